"""What a reader wants, and when: one shape from the form to the row.

A Schedule is one row for all readers who want the same zone, hour and days. A profile is
what ranking multiplies: one signed byte per topic, at the place Topic.column, CHOSEN if
the reader chose it, plus a leaning from votes of at most MOST_LEANING either way. A chosen
topic weighs at least half of CHOSEN whatever was voted and any other stays below that, so
the byte alone says which it is. Zeros at the end are left off.
"""

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.utils.formats import date_format
from django.utils.translation import pgettext

from subscribers import time_zones
from subscribers.models import (
    USUAL_PAPERS,
    Length,
    Link,
    Notice,
    Schedule,
    Subscriber,
    Subscription,
    Topic,
    Trending,
)

Cadence = Schedule.Cadence
DAYS = {
    Cadence.DAILY: (0, 1, 2, 3, 4, 5, 6),
    Cadence.WEEKDAYS: (0, 1, 2, 3, 4),
}
MONDAY = (0,)
CHOSEN = 64
MOST_LEANING = 31


@dataclass(frozen=True, kw_only=True)
class Preferences:
    """All that a reader has chosen, checked by the form; `days` for chosen and weekly only."""

    topics: tuple[str, ...] = ()
    interests: str = ""
    keywords: tuple[str, ...] = ()
    watched_authors: tuple[str, ...] = ()
    muted_authors: tuple[str, ...] = ()
    watched_institutions: tuple[str, ...] = ()
    muted_institutions: tuple[str, ...] = ()
    searches: tuple[str, ...] = ()
    trending: Trending = Trending.NEVER
    most_papers: int = USUAL_PAPERS
    wants_missed: bool = False
    language: str = "en"
    length: Length = Length.SHORT
    timezone: str = "UTC"
    send_hour: int = 7
    cadence: Schedule.Cadence = Cadence.DAILY
    days: tuple[int, ...] = ()

    @property
    def has_interests(self) -> bool:
        """Return whether anything was written that ranks papers beside topics."""
        return bool(self.interests.strip() or self.keywords)

    @property
    def is_general(self) -> bool:
        """Return whether nothing was chosen, so that the most upvoted papers come."""
        return not (self.topics or self.has_interests or self.searches)

    @property
    def schedule(self) -> Schedule:
        """Return the wanted zone, hour and days as a row that is not saved, to be shown."""
        return Schedule(
            timezone=self.timezone,
            send_hour=self.send_hour,
            cadence=self.cadence,
            days=day_bits(self.cadence, self.days),
        )


def from_json(stored: dict[str, object]) -> Preferences:
    """Return the Preferences of a JSONField, which holds what `asdict` gave."""
    plain = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in stored.items()
    }
    cadence = Cadence(str(plain.pop("cadence")))
    length = Length(str(plain.pop("length", Length.SHORT)))
    trending = Trending(int(str(plain.pop("trending", Trending.NEVER))))
    return Preferences(cadence=cadence, length=length, trending=trending, **plain)  # type: ignore[arg-type]


def stored(subscriber: Subscriber) -> Preferences:
    """Return what the reader's row says."""
    when = subscriber.schedule
    return Preferences(
        topics=tuple(sorted(topic.slug for topic in subscriber.topics.all())),
        interests=subscriber.interests,
        keywords=tuple(subscriber.keywords),
        watched_authors=tuple(subscriber.watched_authors),
        muted_authors=tuple(subscriber.muted_authors),
        watched_institutions=tuple(subscriber.watched_institutions),
        muted_institutions=tuple(subscriber.muted_institutions),
        searches=tuple(subscriber.searches),
        trending=Trending(subscriber.trending),
        most_papers=subscriber.most_papers,
        wants_missed=subscriber.wants_missed,
        language=subscriber.language,
        length=Length(subscriber.length),
        timezone=when.timezone,
        send_hour=when.send_hour,
        cadence=Cadence(when.cadence),
        days=() if when.cadence in DAYS else tuple(when.weekdays),
    )


def bound_to(row: Link | Notice, subscriber: Subscriber) -> Preferences:
    """Return the preferences that this mail or link is about, and no others.

    Rows that name none are about what the reader's row says.
    """
    return from_json(row.preferences) if row.preferences else stored(subscriber)


def set_preferences(
    subscriber: Subscriber, preferences: Preferences, *, now: datetime
) -> None:
    """Put these preferences in place of all the old; saves the row, which is locked or new."""
    subscriber.schedule = schedule(
        preferences.timezone,
        preferences.send_hour,
        preferences.cadence,
        days=preferences.days,
    )
    topics = list(Topic.objects.filter(slug__in=preferences.topics))
    fill(subscriber, preferences, topics, now=now)
    subscriber.save()
    Subscription.objects.filter(subscriber=subscriber).exclude(topic__in=topics).delete()
    Subscription.objects.bulk_create(
        [Subscription(subscriber=subscriber, topic=topic) for topic in topics],
        ignore_conflicts=True,
    )


def fill(
    subscriber: Subscriber,
    preferences: Preferences,
    topics: Iterable[Topic],
    *,
    now: datetime,
) -> None:
    """Set the row's preferences, but for its schedule, with these topics; saves nothing."""
    before = (subscriber.interests, subscriber.keywords)
    for name, value in columns(preferences).items():
        setattr(subscriber, name, value)
    if before != (subscriber.interests, subscriber.keywords):
        subscriber.directions = None
    subscriber.changed_at = now
    follow_choice(subscriber, topics)


def columns(preferences: Preferences) -> dict[str, object]:
    """Return the columns of a reader's row that have no table of their own."""
    return {
        "interests": preferences.interests,
        "keywords": list(preferences.keywords),
        "watched_authors": list(preferences.watched_authors),
        "muted_authors": list(preferences.muted_authors),
        "watched_institutions": list(preferences.watched_institutions),
        "muted_institutions": list(preferences.muted_institutions),
        "searches": list(preferences.searches),
        "trending": preferences.trending,
        "most_papers": preferences.most_papers,
        "wants_missed": preferences.wants_missed,
        "language": preferences.language,
        "length": preferences.length,
    }


def receipt_detail(preferences: Preferences) -> dict[str, object]:
    """Return what the receipt says of preferences, without the reader's own words."""
    return {
        "topics": sorted(preferences.topics),
        "timezone": preferences.timezone,
        "send_hour": preferences.send_hour,
        "cadence": str(preferences.cadence),
        "days": list(preferences.days),
        "most_papers": preferences.most_papers,
        "length": str(preferences.length),
    }


def schedule(
    timezone: str, send_hour: int, cadence: Schedule.Cadence, *, days: Sequence[int] = ()
) -> Schedule:
    """Return the row for an IANA zone, a local hour, a cadence and weekdays (0 is Monday).

    The weekdays count where the cadence leaves them open; Monday, if none is given.
    """
    found, _ = Schedule.objects.get_or_create(
        timezone=timezone,
        send_hour=send_hour,
        cadence=cadence,
        days=day_bits(cadence, days),
    )
    return found


def day_bits(cadence: Schedule.Cadence, days: Sequence[int]) -> int:
    """Return Schedule.days: bit 0 is Monday."""
    return sum(1 << day for day in set(DAYS.get(cadence) or days or MONDAY))


def zone(preference: Schedule) -> ZoneInfo:
    """Return the schedule's zone; UTC for what is no zone, as tzdata drops names."""
    try:
        return ZoneInfo(preference.timezone)
    except (ZoneInfoNotFoundError, ValueError, TypeError, OSError):
        return ZoneInfo("UTC")


def first_hour(preference: Schedule, day: date) -> datetime:
    """Return the schedule's first instant (UTC) on the local date `day` or after it.

    Resuming exactly then brings no edition whose hour lay in the pause. An hour that the
    clocks skip is the instant after the gap (fold=0).
    """
    while not preference.days >> day.weekday() & 1:
        day += timedelta(days=1)
    local = datetime.combine(day, time(preference.send_hour), tzinfo=zone(preference))
    return local.astimezone(UTC)


def next_hour(preference: Schedule, now: datetime) -> datetime:
    """Return the schedule's next instant after `now`, in its zone."""
    where = zone(preference)
    today = now.astimezone(where).date()
    first = first_hour(preference, today)
    if first <= now:
        first = first_hour(preference, today + timedelta(days=1))
    return first.astimezone(where)


def day_and_hour(instant: datetime) -> dict[str, object]:
    """Return an instant in words of the active language: day, hour and zone."""
    # Translators: Django's date format, a day of the coming week
    day_format = pgettext("date format", "l, j F")
    return {
        "day": date_format(instant, day_format),
        "hour": f"{instant:%H:%M}",
        "zone": time_zones.in_words(str(instant.tzinfo)),
    }


def profile(chosen: Iterable[int], leaning: Mapping[int, int]) -> bytes:
    """Return the bytes of the chosen columns and of column → leaning, -31 to 31."""
    weights = dict(leaning)
    for column in chosen:
        weights[column] = weights.get(column, 0) + CHOSEN
    dense = array("b", bytes(max(weights, default=-1) + 1))
    for column, weight in weights.items():
        dense[column] = weight
    return dense.tobytes().rstrip(b"\0")


def leaning(stored: bytes) -> dict[int, int]:
    """Return column → leaning of a stored profile, without zeros."""
    leanings = (weight - CHOSEN * (weight > MOST_LEANING) for weight in array("b", stored))
    return {column: lean for column, lean in enumerate(leanings) if lean}


def follow_choice(subscriber: Subscriber, topics: Iterable[Topic]) -> None:
    """Set the profile to exactly these chosen topics; the caller saves the row."""
    columns = [topic.column for topic in topics]
    subscriber.profile = profile(columns, leaning(bytes(subscriber.profile)))


def follow_votes(subscriber: Subscriber, leanings: Mapping[int, int]) -> None:
    """Store the profile with these leanings in place of the old. The row is locked."""
    chosen = Subscription.objects.filter(subscriber=subscriber)
    subscriber.profile = profile(chosen.values_list("topic__column", flat=True), leanings)
    subscriber.directions = None
    subscriber.save(update_fields=["profile", "directions"])


def weights(subscriber: Subscriber) -> list[dict[str, object]]:
    """Return the profile for the reader's own copy: topic and weight, 1 is chosen without votes."""
    stored = array("b", bytes(subscriber.profile))
    topics = Topic.objects.filter(column__lt=len(stored))
    return [
        {"topic": topic.slug, "weight": stored[topic.column] / CHOSEN}
        for topic in topics
        if stored[topic.column]
    ]
