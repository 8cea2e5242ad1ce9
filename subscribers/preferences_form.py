"""The preferences of a reader as a form, and what the templates show of it."""

import calendar
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.conf import settings

from subscribers.models import (
    FEWEST_PAPERS,
    MOST_PAPERS,
    USUAL_PAPERS,
    Schedule,
    Subscriber,
    Topic,
)
from subscribers.preferences import Preferences

DEFAULT_HOUR = 7
LONGEST_INTEREST = 500  # characters of one
MOST_INTERESTS = 5  # ranking reads so many lines
Cadence = Schedule.Cadence

MOST_LINES = 30
LONGEST_LINE = 80
HOURS = {str(hour): hour for hour in range(24)} | {f"{hour:02}": hour for hour in range(24)}
NUMBERS = tuple(str(number) for number in range(FEWEST_PAPERS, MOST_PAPERS + 1))


def plain(text: str) -> str:
    """One line without control and format characters (bidi marks among them)."""
    kept = "".join(c if unicodedata.category(c)[0] != "C" else " " for c in text)
    return " ".join(kept.split())


@cache
def zones() -> tuple[str, ...]:
    """Return the IANA names to choose from; two entries of the database name no place."""
    return tuple(sorted(available_timezones() - {"Factory", "localtime"}))


class LinesField(forms.CharField):
    """A list, one entry to a line: cleaned, without repeats (case is ignored)."""

    def __init__(self) -> None:
        super().__init__(required=False, max_length=MOST_LINES * (LONGEST_LINE + 2))

    def clean(self, value: object) -> tuple[str, ...]:
        lines = [plain(line) for line in super().clean(value).splitlines()]
        kept = tuple({line.casefold(): line for line in lines if line}.values())
        if len(kept) > MOST_LINES:
            raise forms.ValidationError(f"{MOST_LINES} lines at most.")
        if any(len(line) > LONGEST_LINE for line in kept):
            raise forms.ValidationError(f"A line has {LONGEST_LINE} characters at most.")
        return kept

    def prepare_value(self, value: object) -> object:
        return "\n".join(value) if isinstance(value, list | tuple) else value


class DaysField(forms.Field):
    """Weekdays as numbers, 0 is Monday."""

    widget = forms.SelectMultiple

    def __init__(self) -> None:
        super().__init__(required=False)

    def clean(self, value: object) -> tuple[int, ...]:
        typed = set(value) if isinstance(value, list) else set()
        if not typed <= set("0123456"):
            raise forms.ValidationError("Choose days from Monday to Sunday.")
        return tuple(sorted(int(day) for day in typed))


@dataclass(frozen=True)
class TopicGroup:
    """Topics under one heading, in the order of the form."""

    name: str
    topics: list[Topic]
    counts: Mapping[str, int]

    @property
    def choices(self) -> list[tuple[Topic, int]]:
        """Each topic with how many papers it had lately; 0 where nobody counted."""
        return [(topic, self.counts.get(topic.slug, 0)) for topic in self.topics]


def topic_groups(
    topics: Iterable[Topic], counts: Mapping[str, int] | None = None
) -> list[TopicGroup]:
    groups: dict[str, list[Topic]] = {}
    for topic in topics:
        groups.setdefault(topic.group, []).append(topic)
    return [TopicGroup(name, members, counts or {}) for name, members in groups.items()]


seen: set[str] = set()  # topics that this process has found in the database


def exist(slugs: set[str]) -> bool:
    """Whether there are such topics; one withdrawn since is left off later (preferences.py)."""
    if not slugs <= seen:
        seen.update(Topic.objects.values_list("slug", flat=True))
    return slugs <= seen


class PreferencesForm(forms.Form):
    """All preferences of a reader. A field that is missing has its default."""

    topics = forms.Field(required=False, widget=forms.SelectMultiple)
    interests = forms.CharField(
        required=False, max_length=MOST_INTERESTS * (LONGEST_INTEREST + 2)
    )
    keywords = LinesField()
    watched_authors = LinesField()
    muted_authors = LinesField()
    most_papers = forms.CharField(required=False)
    language = forms.CharField(required=False)
    timezone = forms.CharField(required=False)
    send_hour = forms.CharField(required=False)
    cadence = forms.CharField(required=False)
    days = DaysField()
    weekday = forms.CharField(required=False)

    def clean_topics(self) -> tuple[str, ...]:
        asked = set(self.cleaned_data["topics"] or ())
        if not exist(asked):
            raise forms.ValidationError(
                "One of these topics does not exist (any more): choose from the list."
            )
        return tuple(sorted(asked))

    def clean_interests(self) -> str:
        """Return one interest to a line, cleaned; each is ranked by itself."""
        lines = [plain(line) for line in self.cleaned_data["interests"].splitlines()]
        kept = [line for line in lines if line]
        if len(kept) > MOST_INTERESTS:
            raise forms.ValidationError(
                f"Write {MOST_INTERESTS} interests at most, one to a line."
            )
        if any(len(line) > LONGEST_INTEREST for line in kept):
            raise forms.ValidationError(
                f"Use {LONGEST_INTEREST} characters at most for one interest."
            )
        return "\n".join(kept)

    def clean_most_papers(self) -> int:
        typed = self.cleaned_data["most_papers"] or str(USUAL_PAPERS)
        if typed not in NUMBERS:
            raise forms.ValidationError(
                f"Choose a number from {FEWEST_PAPERS} to {MOST_PAPERS}."
            )
        return int(typed)

    def clean_language(self) -> str:
        code: str = self.cleaned_data["language"] or settings.LANGUAGE_CODE
        if code not in dict(settings.LANGUAGES):
            raise forms.ValidationError("Choose a language from the list.")
        return code

    def clean_timezone(self) -> str:
        zone: str = self.cleaned_data["timezone"] or "UTC"
        if zone not in zones():
            raise forms.ValidationError(
                "Choose a time zone from the list, like Europe/Berlin."
            )
        return zone

    def clean_send_hour(self) -> int:
        hour = self.cleaned_data["send_hour"] or str(DEFAULT_HOUR)
        if hour not in HOURS:
            raise forms.ValidationError("Choose an hour from 0 to 23.")
        return HOURS[hour]

    def clean_cadence(self) -> Schedule.Cadence:
        try:
            return Cadence(self.cleaned_data["cadence"] or "daily")
        except ValueError:
            raise forms.ValidationError(
                "Choose daily, weekdays, chosen days or weekly."
            ) from None

    def clean_weekday(self) -> int:
        typed = self.cleaned_data["weekday"] or "0"
        if typed not in tuple("0123456"):
            raise forms.ValidationError("Choose a day from Monday to Sunday.")
        return int(typed)

    def clean(self) -> dict[str, object]:
        cleaned = self.cleaned_data
        if cleaned.get("cadence") == Cadence.CHOSEN and not cleaned.get("days", (0,)):
            self.add_error("days", "Choose at least one day.")
        return cleaned

    def preferences(self) -> Preferences:
        """Of a valid form."""
        return Preferences(**self.values())

    def values(self) -> dict[str, Any]:
        """Return what Preferences takes; days only where the cadence leaves them open."""
        values = {name: self.cleaned_data[name] for name in PreferencesForm.base_fields}
        weekday, days = values.pop("weekday"), values.pop("days")
        open_days = {Cadence.CHOSEN: days, Cadence.WEEKLY: (weekday,)}
        return values | {"days": open_days.get(values["cadence"], ())}

    # -- what the template shows: what was typed, else what holds ------------------

    @property
    def chosen_topics(self) -> set[str]:
        return set(self["topics"].value() or ())

    @property
    def chosen_zone(self) -> str:
        return str(self["timezone"].value() or "UTC")

    @property
    def chosen_hour(self) -> str:
        return str(self["send_hour"].value() or DEFAULT_HOUR)

    @property
    def chosen_cadence(self) -> str:
        return str(self["cadence"].value() or "daily")

    @property
    def chosen_days(self) -> set[str]:
        return set(self["days"].value() or ())

    @property
    def chosen_weekday(self) -> str:
        return str(self["weekday"].value() or "0")

    @property
    def chosen_number(self) -> str:
        return str(self["most_papers"].value() or USUAL_PAPERS)

    @property
    def chosen_language(self) -> str:
        return str(self["language"].value() or settings.LANGUAGE_CODE)

    @property
    def languages(self) -> list[tuple[str, str]]:
        return [(code, str(name)) for code, name in settings.LANGUAGES]

    @property
    def zones(self) -> tuple[str, ...]:
        return zones()

    @property
    def hours(self) -> list[tuple[str, str]]:
        return [(str(hour), f"{hour:02}:00") for hour in range(24)]

    @property
    def cadences(self) -> list[tuple[str, str]]:
        return [(cadence.value, str(cadence.label)) for cadence in Cadence]

    @property
    def weekdays(self) -> list[tuple[str, str]]:
        return [(str(day), calendar.day_name[day]) for day in range(7)]

    @property
    def numbers(self) -> tuple[str, ...]:
        return NUMBERS


def preferences_of(subscriber: Subscriber) -> dict[str, object]:
    """Return the initial values of a PreferencesForm."""
    when = subscriber.schedule
    days = [str(day) for day in when.weekdays]
    return {
        "topics": [topic.slug for topic in subscriber.topics.all()],
        "interests": subscriber.interests,
        "keywords": subscriber.keywords,
        "watched_authors": subscriber.watched_authors,
        "muted_authors": subscriber.muted_authors,
        "most_papers": str(subscriber.most_papers),
        "language": subscriber.language,
        "timezone": when.timezone,
        "send_hour": str(when.send_hour),
        "cadence": when.cadence,
        "days": days if when.cadence == Cadence.CHOSEN else [],
        "weekday": days[0] if when.cadence == Cadence.WEEKLY else "0",
    }
