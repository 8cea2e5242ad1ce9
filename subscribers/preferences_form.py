"""The preferences of a reader as a form.

Which widget, label and hint a field has stands here once; the templates say where it goes.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from django.conf import settings
from django.core import signing
from django.utils.dates import WEEKDAYS
from django.utils.text import format_lazy
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from subscribers import time_zones
from subscribers.fields import (
    MOST_SEARCHES,
    ChoiceField,
    Form,
    HourField,
    LinesField,
    SeveralField,
    TopicsField,
    ZoneField,
)
from subscribers.models import (
    FEWEST_PAPERS,
    MOST_PAPERS,
    USUAL_PAPERS,
    Length,
    Schedule,
    Topic,
    Trending,
)
from subscribers.preferences import Preferences, from_json

LONGEST_INTEREST = 500  # characters of one
MOST_INTERESTS = 5  # ranking reads so many lines
Cadence = Schedule.Cadence

SHOWN = "preferences shown"
LONGEST_SEARCH = 200  # characters, as in the search box
# Fields that few readers fill in.
WORDS = (
    "keywords",
    "searches",
    "watched_authors",
    "muted_authors",
    "watched_institutions",
    "muted_institutions",
)
NAMES = [field.name for field in fields(Preferences)]
DAY_CHOICES = list(WEEKDAYS.items())  # 0 is Monday


# -- topics to choose from ---------------------------------------------------------


@dataclass(frozen=True)
class TopicChoice:
    """What the form shows of a topic: `papers` counts its recent ones, 0 is not shown."""

    topic: Topic
    papers: int

    def __str__(self) -> str:
        return str(self.topic)


@dataclass(frozen=True)
class TopicGroup:
    """Topics under one heading, in the order of the form."""

    name: str
    topics: list[Topic]


def topic_groups(topics: Iterable[Topic]) -> list[TopicGroup]:
    groups: dict[str, list[Topic]] = {}
    for topic in topics:
        groups.setdefault(topic.group, []).append(topic)
    return [TopicGroup(name, members) for name, members in groups.items()]


# -- the form ----------------------------------------------------------------------


class PreferencesForm(Form):
    """All preferences of a reader. A field that is missing has its default."""

    own: Collection[str] = ("topics",)

    topics = TopicsField(
        required=False,
        label=_("Your topics"),
        help_text=_(
            "Optional: without topics, interests or searches you get the day’s most "
            "upvoted papers. The number says how many papers a topic had in 30 days."
        ),
    )
    interests = LinesField(
        most=MOST_INTERESTS,
        longest=LONGEST_INTEREST,
        label=_("Your interests, in your own words"),
        help_text=_(
            "Optional. One to a line, five at most: what you want, as nothing can be "
            "left out. For example: how diffusion models learn to generate video."
        ),
    )
    keywords = LinesField(
        label=_("Words to look for"),
        help_text=_("Optional, one to a line. Papers that contain them rank higher."),
    )
    watched_authors = LinesField(
        label=_("Authors to watch"),
        help_text=_("Optional, one name to a line, as on the paper."),
    )
    muted_authors = LinesField(
        label=_("Authors to leave out"),
        help_text=_("Optional, one name to a line."),
    )
    watched_institutions = LinesField(
        label=_("Institutions to watch"),
        help_text=_("Optional, one name to a line. “Google” finds Google DeepMind, too."),
    )
    muted_institutions = LinesField(
        label=_("Institutions to leave out"),
        help_text=_("Optional, one name to a line."),
    )
    searches = LinesField(
        most=MOST_SEARCHES,
        longest=LONGEST_SEARCH,
        label=_("Your searches"),
        help_text=_(
            "Optional, one to a line, as in the search box. Papers found by one come "
            "with its words as the reason."
        ),
    )
    trending = ChoiceField(
        Trending.choices,
        coerce=lambda value: Trending(int(value)),
        default=Trending.NEVER,
        wrong=_("Choose how many trending papers you want from the list."),
        label=_("Your interests, or what is trending"),
        help_text=_("Each paper says why you get it."),
    )
    most_papers = ChoiceField(
        [(number, number) for number in range(FEWEST_PAPERS, MOST_PAPERS + 1)],
        coerce=int,
        default=USUAL_PAPERS,
        wrong=format_lazy(
            _("Choose a number from {fewest} to {most}."),
            fewest=FEWEST_PAPERS,
            most=MOST_PAPERS,
        ),
        label=_("Papers per mail, at most"),
    )
    wants_missed = ChoiceField(
        [
            (False, _("Go on with the papers of the day")),
            (True, _("First send the best of what I missed")),
        ],
        coerce=lambda value: value == "True",
        default=False,
        wrong=_("Choose from the list what to send after a pause."),
        label=_("After a pause"),
        help_text=_(
            "Also after five days or more on which no mail could come. The best of the "
            "last two weeks comes once, in place of that day’s mail."
        ),
    )
    length = ChoiceField(
        Length.choices,
        coerce=Length,
        default=Length.SHORT,
        wrong=_("Choose titles, short or abstracts."),
        label=_("Length of a mail"),
    )
    language = ChoiceField(
        lambda: settings.LANGUAGES,
        default=settings.LANGUAGE_CODE,
        wrong=_("Choose a language from the list."),
        label=_("Language of your mail"),
        help_text=_("Papers stay in their own language."),
    )
    cadence = ChoiceField(
        Cadence.choices,
        coerce=Cadence,
        default=Cadence.DAILY,
        wrong=_("Choose daily, weekdays, chosen days or weekly."),
        label=_("How often"),
    )
    send_hour = HourField(
        [(hour, f"{hour:02}:00") for hour in range(24)],
        coerce=int,
        default=7,
        wrong=_("Choose an hour from 0 to 23."),
        label=_("At"),
    )
    timezone = ZoneField(
        time_zones.offered,
        default="UTC",
        wrong=_("Choose a time zone from the list, like Europe/Berlin."),
        label=_("Time zone"),
    )
    days = SeveralField(
        choices=DAY_CHOICES,
        coerce=int,
        required=False,
        error_messages={"invalid_choice": _("Choose days from Monday to Sunday.")},
        label=_("On these days"),
        help_text=_("If you chose “On chosen days”."),
    )
    weekday = ChoiceField(
        DAY_CHOICES,
        coerce=int,
        default=0,
        wrong=_("Choose a day from Monday to Sunday."),
        label=_("On"),
        help_text=_("If you chose “Once a week”."),
    )

    def offer(
        self,
        topics: Iterable[Topic],
        papers: Mapping[str, int] | None = None,
        *,
        fold: bool = False,
    ) -> None:
        """Set the topics to choose from; `papers` counts their recent ones, by slug.

        With `fold` a group of which none is chosen shows its topics once it is opened.
        """
        counts = papers or {}
        self.fields["topics"].widget.fold = fold
        self.fields["topics"].choices = [  # type: ignore[attr-defined]
            (
                group.name,
                [
                    (topic.slug, TopicChoice(topic, counts.get(topic.slug, 0)))
                    for topic in group.topics
                ],
            )
            for group in topic_groups(topics)
        ]

    @property
    def uses_words(self) -> bool:
        """Return whether there is anything to see, or to correct, in the fields of WORDS."""
        return any(self[name].value() or self[name].errors for name in WORDS)

    def clean_interests(self) -> str:
        """Return one interest to a line; each is ranked by itself."""
        return "\n".join(self.cleaned_data["interests"])

    def clean(self) -> dict[str, object]:
        """Keep the days that the cadence leaves open."""
        cleaned = self.cleaned_data
        match cleaned.get("cadence"):
            case Cadence.CHOSEN:
                if not cleaned.get("days", (0,)):
                    self.add_error("days", gettext("Choose at least one day."))
            case Cadence.WEEKLY:
                cleaned["days"] = (cleaned.get("weekday"),)
            case _:
                cleaned["days"] = ()
        return cleaned

    def preferences(self) -> Preferences:
        """Return what a valid form asks for."""
        return chosen(self.cleaned_data)


def chosen(cleaned: Mapping[str, Any]) -> Preferences:
    """Return the preferences of a form's cleaned data."""
    return Preferences(**{name: cleaned[name] for name in NAMES})


# -- a form that was opened before something else was changed ----------------------------


def as_shown(preferences: Preferences) -> str:
    """Return what a page shows, for its hidden field `shown`.

    Compressed, as a form may have 64 KB, and long lists in Chinese are most of them already.
    """
    return signing.dumps(asdict(preferences), salt=SHOWN, compress=True)


def read_shown(text: str) -> Preferences | None:
    """Return what the page had shown; None where a post does not say it, or another release's."""
    try:
        return from_json(signing.loads(text, salt=SHOWN))
    except (signing.BadSignature, KeyError, TypeError, ValueError):
        return None


def changed_since(
    shown: Preferences | None, wanted: Preferences, had: Preferences
) -> Preferences:
    """Return `had` with what a reader changed in a page that had `shown` something older.

    Whoever saves from an old tab, or from behind the back button, must not take back what
    they changed elsewhere meanwhile: a topic that they dropped, an author that they left out.
    """
    if shown is None:
        return wanted
    merged = {name: merged_field(name, shown, wanted, had) for name in NAMES}
    is_when = (wanted.cadence, wanted.days) != (shown.cadence, shown.days)
    when = wanted if is_when else had  # the days belong to their cadence
    return chosen(merged | {"cadence": when.cadence, "days": when.days})


def merged_field(
    name: str, shown: Preferences, wanted: Preferences, had: Preferences
) -> object:
    """Return one field's value; of a list each entry is by itself, as far as there is room."""
    old, new, now = (getattr(one, name) for one in (shown, wanted, had))
    if new == old or now == old:
        return now if new == old else new
    if name == "interests":
        lines = merged_list(*(text.split("\n") for text in (old, new, now)))
        return "\n".join(lines) if len(lines) <= MOST_INTERESTS else new
    if not isinstance(now, tuple):
        return new
    entries = tuple(merged_list(old, new, now))
    most = getattr(PreferencesForm.base_fields[name], "most", len(entries))
    return entries if len(entries) <= most else new


def merged_list(
    old: Collection[str], new: Collection[str], now: Collection[str]
) -> list[str]:
    """Return the entries of `now` without those taken from `old`, and those that are new."""
    kept = [one for one in now if one in new or one not in old]
    return kept + [one for one in new if one not in old and one not in now]


def initial_of(preferences: Preferences) -> dict[str, object]:
    """Return the initial values of a PreferencesForm."""
    days, cadence = preferences.days, preferences.cadence
    return asdict(preferences) | {
        "days": list(days) if cadence == Cadence.CHOSEN else [],
        "weekday": days[0] if cadence == Cadence.WEEKLY and days else 0,
    }
