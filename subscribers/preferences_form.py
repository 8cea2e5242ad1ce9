"""The preferences of a reader as a form.

Which widget, label and hint a field has stands here once; the templates say where it goes.
"""

import calendar
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from functools import cache
from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.conf import settings
from django.forms.renderers import TemplatesSetting

from subscribers import time_zones
from subscribers.models import (
    FEWEST_PAPERS,
    MOST_PAPERS,
    USUAL_PAPERS,
    Length,
    Schedule,
    Topic,
    Trending,
)
from subscribers.preferences import Preferences

LONGEST_INTEREST = 500  # characters of one
MOST_INTERESTS = 5  # ranking reads so many lines
Cadence = Schedule.Cadence

MOST_LINES = 30
LONGEST_LINE = 80
MOST_SEARCHES = 10
LONGEST_SEARCH = 200  # characters, as in the search box
WEEKDAYS = list(enumerate(calendar.day_name))  # 0 is Monday


def plain(text: str) -> str:
    """Return one line without control and format characters (bidi marks among them)."""
    kept = "".join(c if unicodedata.category(c)[0] != "C" else " " for c in text)
    return " ".join(kept.split())


@cache
def zones() -> frozenset[str]:
    """Return all IANA names; two entries of the database name no place."""
    return frozenset(available_timezones() - {"Factory", "localtime"})


# -- topics to choose from ---------------------------------------------------------


@dataclass(frozen=True)
class TopicChoice:
    """What the form shows of a topic: `papers` counts its recent ones, 0 is not shown."""

    topic: Topic
    papers: int

    def __str__(self) -> str:
        return self.topic.label


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


seen: set[str] = set()  # topics that this process has found in the database


def exist(slugs: set[str]) -> bool:
    """Return whether there are such topics; one withdrawn since is left off when stored."""
    if not slugs <= seen:
        seen.update(Topic.objects.values_list("slug", flat=True))
    return slugs <= seen


# -- fields ------------------------------------------------------------------------


class Renderer(TemplatesSetting):
    """Renders a field with its label, hint and errors, as the pages show them."""

    field_template_name = "subscribers/_field.html"


class Form(forms.Form):
    """A form whose fields carry their own names as ids, without a prefix."""

    default_renderer = Renderer

    def __init__(self, data: Any = None, *, auto_id: str = "%s", **options: Any) -> None:
        super().__init__(data, auto_id=auto_id, **options)


class Select(forms.Select):
    """Django's, without a dictionary and a template for each option."""

    template_name = "subscribers/_select.html"

    def optgroups(self, name: str, value: list[str], attrs: Any = None) -> list[Any]:
        """Return (group, options); an option is (value, label, is chosen)."""
        return [("", self.options_of(self.choices, value))]

    def options_of(self, choices: Iterable[tuple[Any, Any]], value: list[str]) -> list[Any]:
        return [(str(key), str(label), str(key) in value) for key, label in choices]


class ZoneSelect(Select):
    """Cities by region; a zone that is none of them is offered where it is chosen."""

    def optgroups(self, name: str, value: list[str], attrs: Any = None) -> list[Any]:
        regions = [(region, self.options_of(some, value)) for region, some in self.choices]
        chosen = any(is_chosen for _, some in regions for *_, is_chosen in some)
        mine = [] if chosen else [one for one in value if one in zones()]
        own = [("", self.options_of([(one, one) for one in mine], value))] if mine else []
        return own + regions


class Chips(forms.CheckboxSelectMultiple):
    template_name = "subscribers/_chips.html"


class ChoiceField(forms.TypedChoiceField):
    """One of a list. What is missing has the default, which is shown as chosen then."""

    widget = Select

    def __init__(
        self,
        choices: Any,
        *,
        default: Any,
        wrong: str,
        coerce: Callable[[str], object] = str,
        **options: Any,
    ) -> None:
        super().__init__(
            choices=choices,
            coerce=coerce,
            empty_value=default,
            initial=default,
            required=False,
            error_messages={"invalid_choice": wrong},
            **options,
        )

    def bound_data(self, data: Any, initial: Any) -> Any:
        return data or self.initial


class ZoneField(ChoiceField):
    widget = ZoneSelect

    def valid_value(self, value: str) -> bool:
        """Take any IANA name: browsers, imports and readers of before know more of them."""
        return value in zones()


class HourField(ChoiceField):
    def to_python(self, value: Any) -> str:
        """Take 07, too, for 7."""
        return re.sub(r"\A0(?=\d\Z)", "", super().to_python(value))


class SeveralField(forms.TypedMultipleChoiceField):
    """Any number of a list: cleaned to a sorted tuple."""

    widget = Chips

    def clean(self, value: object) -> tuple[Any, ...]:
        return tuple(sorted(set(super().clean(value))))


class TopicsField(SeveralField):
    """Slugs of topics; what there is to choose from is set when it is shown."""

    def validate(self, value: list[str]) -> None:
        if not exist(set(value)):
            raise forms.ValidationError(
                "One of these topics does not exist (any more): choose from the list."
            )


class LinesField(forms.CharField):
    """A list, one entry to a line: cleaned, without repeats (case is ignored)."""

    widget = forms.Textarea(attrs={"rows": 3})

    def __init__(
        self, *, most: int = MOST_LINES, longest: int = LONGEST_LINE, **options: Any
    ) -> None:
        self.most, self.longest = most, longest
        super().__init__(required=False, max_length=most * (longest + 2), **options)

    def clean(self, value: object) -> tuple[str, ...]:
        lines = [plain(line) for line in super().clean(value).splitlines()]
        kept = tuple({line.casefold(): line for line in lines if line}.values())
        if len(kept) > self.most:
            raise forms.ValidationError(f"Write {self.most} lines at most.")
        if any(len(line) > self.longest for line in kept):
            raise forms.ValidationError(
                f"Use {self.longest} characters at most on one line."
            )
        return kept

    def prepare_value(self, value: object) -> object:
        return "\n".join(value) if isinstance(value, list | tuple) else value


# -- the form ----------------------------------------------------------------------


class PreferencesForm(Form):
    """All preferences of a reader. A field that is missing has its default."""

    topics = TopicsField(
        required=False,
        label="Your topics",
        help_text="Optional: without topics or interests you get the day’s most upvoted "
        "papers. The number says how many papers a topic had in 30 days.",
    )
    interests = LinesField(
        most=MOST_INTERESTS,
        longest=LONGEST_INTEREST,
        label="Your interests, in your own words",
        help_text="Optional. One to a line, five at most. For example: how diffusion "
        "models learn to generate video.",
    )
    keywords = LinesField(
        label="Words to look for",
        help_text="Optional, one to a line. Papers that contain them come first.",
    )
    watched_authors = LinesField(
        label="Authors to watch",
        help_text="Optional, one name to a line, as on the paper.",
    )
    muted_authors = LinesField(
        label="Authors to leave out", help_text="Optional, one name to a line."
    )
    watched_institutions = LinesField(
        label="Institutions to watch",
        help_text="Optional, one name to a line. “Google” finds Google DeepMind, too.",
    )
    muted_institutions = LinesField(
        label="Institutions to leave out", help_text="Optional, one name to a line."
    )
    searches = LinesField(
        most=MOST_SEARCHES,
        longest=LONGEST_SEARCH,
        label="Your searches",
        help_text="Optional, one to a line, as in the search box. Papers found by one come "
        "with its words as the reason.",
    )
    trending = ChoiceField(
        Trending.choices,
        coerce=lambda value: Trending(int(value)),
        default=Trending.NEVER,
        wrong="Choose how many trending papers you want from the list.",
        label="Your interests, or what is trending",
        help_text="Each paper says which of the two brought it.",
    )
    most_papers = ChoiceField(
        [(number, number) for number in range(FEWEST_PAPERS, MOST_PAPERS + 1)],
        coerce=int,
        default=USUAL_PAPERS,
        wrong=f"Choose a number from {FEWEST_PAPERS} to {MOST_PAPERS}.",
        label="Papers per mail, at most",
    )
    wants_missed = ChoiceField(
        [
            (False, "Go on with the papers of the day"),
            (True, "First send the best of what I missed"),
        ],
        coerce=lambda value: value == "True",
        default=False,
        wrong="Choose from the list what to send after a pause.",
        label="After a pause",
        help_text="Also after five days or more on which no mail could come. The best of the "
        "last two weeks comes once, in place of that day’s mail.",
    )
    length = ChoiceField(
        Length.choices,
        coerce=Length,
        default=Length.SHORT,
        wrong="Choose titles, short or abstracts.",
        label="Length of a mail",
    )
    language = ChoiceField(
        lambda: settings.LANGUAGES,
        default=settings.LANGUAGE_CODE,
        wrong="Choose a language from the list.",
        label="Language of your mail",
        help_text="Papers stay in theirs.",
    )
    cadence = ChoiceField(
        Cadence.choices,
        coerce=Cadence,
        default=Cadence.DAILY,
        wrong="Choose daily, weekdays, chosen days or weekly.",
        label="How often",
    )
    send_hour = HourField(
        [(hour, f"{hour:02}:00") for hour in range(24)],
        coerce=int,
        default=7,
        wrong="Choose an hour from 0 to 23.",
        label="At",
    )
    timezone = ZoneField(
        time_zones.offered,
        default="UTC",
        wrong="Choose a time zone from the list, like Europe/Berlin.",
        label="Time zone",
    )
    days = SeveralField(
        choices=WEEKDAYS,
        coerce=int,
        required=False,
        error_messages={"invalid_choice": "Choose days from Monday to Sunday."},
        label="On these days",
        help_text="If you chose “On chosen days”.",
    )
    weekday = ChoiceField(
        WEEKDAYS,
        coerce=int,
        default=0,
        wrong="Choose a day from Monday to Sunday.",
        label="On",
        help_text="If you chose “Once a week”.",
    )

    def offer(
        self, topics: Iterable[Topic], papers: Mapping[str, int] | None = None
    ) -> None:
        """Set the topics to choose from; `papers` counts their recent ones, by slug."""
        counts = papers or {}
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

    def clean_interests(self) -> str:
        """Return one interest to a line; each is ranked by itself."""
        return "\n".join(self.cleaned_data["interests"])

    def clean(self) -> dict[str, object]:
        """Keep the days that the cadence leaves open."""
        cleaned = self.cleaned_data
        match cleaned.get("cadence"):
            case Cadence.CHOSEN:
                if not cleaned.get("days", (0,)):
                    self.add_error("days", "Choose at least one day.")
            case Cadence.WEEKLY:
                cleaned["days"] = (cleaned.get("weekday"),)
            case _:
                cleaned["days"] = ()
        return cleaned

    def preferences(self) -> Preferences:
        """Return what a valid form asks for."""
        return Preferences(
            **{field.name: self.cleaned_data[field.name] for field in fields(Preferences)}
        )


def initial_of(preferences: Preferences) -> dict[str, object]:
    """Return the initial values of a PreferencesForm."""
    days, cadence = preferences.days, preferences.cadence
    return asdict(preferences) | {
        "days": list(days) if cadence == Cadence.CHOSEN else [],
        "weekday": days[0] if cadence == Cadence.WEEKLY and days else 0,
    }
