"""What a reader wants, and when: the words of the form as one value."""

from dataclasses import asdict, dataclass, fields
from datetime import datetime

from subscribers import profiles
from subscribers.models import USUAL_PAPERS, Schedule, Subscriber, Subscription, Topic
from subscribers.schedules import schedule

Cadence = Schedule.Cadence


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """Checked by the caller (see forms.py). `days` counts for chosen and weekly only."""

    topics: tuple[str, ...] = ()
    interests: str = ""
    keywords: tuple[str, ...] = ()
    watched_authors: tuple[str, ...] = ()
    muted_authors: tuple[str, ...] = ()
    most_papers: int = USUAL_PAPERS
    language: str = "en"
    timezone: str = "UTC"
    send_hour: int = 7
    cadence: Schedule.Cadence = Cadence.DAILY
    days: tuple[int, ...] = ()

    def as_json(self) -> dict[str, object]:
        """For a JSONField; `from_json` reads it."""
        return {field.name: asdict(self)[field.name] for field in fields(Wishes)}


@dataclass(frozen=True, kw_only=True)
class SubscriptionRequest(Wishes):
    email: str


def from_json(stored: dict[str, object]) -> Wishes:
    """The Wishes that `as_json` wrote."""
    plain = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in stored.items()
    }
    cadence = Cadence(str(plain.pop("cadence")))
    return Wishes(cadence=cadence, **plain)  # type: ignore[arg-type]


def set_wishes(subscriber: Subscriber, wishes: Wishes, *, now: datetime) -> None:
    """Put these wishes in place of all the old; saves the row, which is locked or new."""
    subscriber.schedule = schedule(
        wishes.timezone, wishes.send_hour, wishes.cadence, days=wishes.days
    )
    subscriber.interests = wishes.interests
    subscriber.keywords = list(wishes.keywords)
    subscriber.watched_authors = list(wishes.watched_authors)
    subscriber.muted_authors = list(wishes.muted_authors)
    subscriber.most_papers = wishes.most_papers
    subscriber.language = wishes.language
    subscriber.changed_at = now
    topics = list(Topic.objects.filter(slug__in=wishes.topics))
    profiles.follow_choice(subscriber, topics)
    subscriber.save()
    Subscription.objects.filter(subscriber=subscriber).exclude(topic__in=topics).delete()
    Subscription.objects.bulk_create(
        [Subscription(subscriber=subscriber, topic=topic) for topic in topics],
        ignore_conflicts=True,
    )


def described(wishes: Wishes) -> dict[str, object]:
    """What the proof says of a wish; the reader's own words are no part of it."""
    return {
        "topics": sorted(wishes.topics),
        "timezone": wishes.timezone,
        "send_hour": wishes.send_hour,
        "cadence": str(wishes.cadence),
        "days": list(wishes.days),
        "most_papers": wishes.most_papers,
    }
