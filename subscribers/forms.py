"""What a person types: checked here, each message beside its field.

Nothing here needs a session or a CSRF token; SignUpForm() also stands on the front page
(include subscribers/_sign_up_form.html with `form` and `topic_groups`).
"""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from zoneinfo import available_timezones

from django import forms

from subscribers.addresses import BadAddress, canonical
from subscribers.models import Schedule, Subscriber, Topic
from subscribers.subscriptions import SubscriptionRequest, Wishes

DEFAULT_HOUR = 7
LONGEST_INTERESTS = 500


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


@cache
def zones() -> tuple[str, ...]:
    """The IANA names one can choose; two entries of the database name no place."""
    return tuple(sorted(available_timezones() - {"Factory", "localtime"}))


class AddressField(forms.CharField):
    """Cleans to the canonical form."""

    def __init__(self) -> None:
        missing = "Enter your email address."
        super().__init__(max_length=320, error_messages={"required": missing})

    def clean(self, value: object) -> str:
        try:
            return canonical(super().clean(value))
        except BadAddress as error:
            raise forms.ValidationError(str(error)) from None


class WishesForm(forms.Form):
    """Topics, interests and schedule. A field that is missing has its default."""

    topics = forms.Field(required=False, widget=forms.SelectMultiple)
    interests = forms.CharField(required=False, max_length=LONGEST_INTERESTS)
    timezone = forms.CharField(required=False)
    send_hour = forms.CharField(required=False)
    cadence = forms.CharField(required=False)

    def clean_topics(self) -> tuple[str, ...]:
        asked = set(self.cleaned_data["topics"] or ())
        if not asked:
            raise forms.ValidationError("Choose at least one topic.")
        known = set(Topic.objects.values_list("slug", flat=True))
        if not asked <= known:
            raise forms.ValidationError(
                "One of these topics does not exist (any more): choose from the list."
            )
        return tuple(sorted(asked))

    def clean_interests(self) -> str:
        text = self.cleaned_data["interests"]
        plain = "".join(c if unicodedata.category(c)[0] != "C" else " " for c in text)
        return " ".join(plain.split())

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
            return Schedule.Cadence(self.cleaned_data["cadence"] or "daily")
        except ValueError:
            raise forms.ValidationError("Choose daily, weekdays or weekly.") from None

    def wishes(self) -> Wishes:
        """Of a valid form."""
        return Wishes(**{name: self.cleaned_data[name] for name in WishesForm.base_fields})

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
    def zones(self) -> tuple[str, ...]:
        return zones()

    @property
    def hours(self) -> list[tuple[str, str]]:
        return [(str(hour), f"{hour:02}:00") for hour in range(24)]

    @property
    def cadences(self) -> list[tuple[str, str]]:
        return [(cadence.value, str(cadence.label)) for cadence in Schedule.Cadence]


HOURS = {str(hour): hour for hour in range(24)} | {f"{hour:02}": hour for hour in range(24)}


class SignUpForm(WishesForm):
    email = AddressField()

    def request(self) -> SubscriptionRequest:
        """Of a valid form."""
        return SubscriptionRequest(**self.cleaned_data)


class AddressForm(forms.Form):
    email = AddressField()


def preferences_of(subscriber: Subscriber) -> dict[str, object]:
    """The initial values of a WishesForm."""
    return {
        "topics": list(subscriber.topics.values_list("slug", flat=True)),
        "interests": subscriber.interests,
        "timezone": subscriber.schedule.timezone,
        "send_hour": str(subscriber.schedule.send_hour),
        "cadence": subscriber.schedule.cadence,
    }
