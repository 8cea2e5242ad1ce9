"""What a reader can ask for: each function one transaction and one ConsentEvent.

Whoever changes a reader locks the row first; the sender locks the same row before each
hand-over, so what is answered here holds for every mail from then on. Asking twice for
the same changes nothing and appends no second event.
"""

from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from subscribers import guard, links, outbox
from subscribers.addresses import address_hash, canonical, counting_key
from subscribers.models import (
    ConsentEvent,
    Link,
    Notice,
    Schedule,
    Subscriber,
    Subscription,
    Suppression,
    Topic,
)
from subscribers.schedules import schedule
from subscribers.suppression import is_suppressed, suppress

State = Subscriber.State
CONFIRMED = (State.ACTIVE, State.PAUSED)


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What a reader wants, and when: checked by the caller (see forms.py)."""

    topics: tuple[str, ...]
    interests: str = ""
    timezone: str = "UTC"
    send_hour: int = 7
    cadence: Schedule.Cadence = Schedule.Cadence.DAILY


@dataclass(frozen=True, kw_only=True)
class SubscriptionRequest(Wishes):
    email: str


@dataclass(frozen=True)
class Origin:
    """Where a wish came from: the form's path, the truncated network, the text shown."""

    source: str
    network: str = ""
    wording: str = ""


@transaction.atomic
def subscribe(request: SubscriptionRequest, *, origin: Origin, now: datetime) -> None:
    """Ask the address's holder to confirm. Raises BadAddress.

    A confirmed reader's wishes stay as they are, since anyone can type an address: they
    get a mail with a link instead. A suppressed address leaves no trace at all.
    """
    email = canonical(request.email)
    guard.one_at_a_time(counting_key(email))
    if is_suppressed(address_hash(email)):
        return
    known = Subscriber.objects.select_for_update().filter(email_hash=address_hash(email))
    subscriber = known.first()
    if subscriber is not None and subscriber.state in CONFIRMED:
        outbox.owe(subscriber, Notice.Kind.ALREADY, now=now)
        return
    if subscriber is None:
        subscriber = Subscriber(email=email, email_hash=address_hash(email), created_at=now)
    subscriber.state = State.PENDING
    subscriber.confirmed_at = None
    subscriber.unsubscribed_at = None
    set_wishes(subscriber, request, now=now)
    record(
        subscriber,
        ConsentEvent.Kind.REQUESTED,
        origin=origin,
        now=now,
        detail=described(request),
    )
    outbox.owe(subscriber, Notice.Kind.CONFIRM, now=now)


@transaction.atomic
def confirm(token: str, *, origin: Origin, now: datetime) -> Subscriber | None:
    """Make a pending reader active; None if they were confirmed already.

    Raises links.BadLink; links.Expired also if the reader has unsubscribed since.
    """
    link = links.read(token, Link.Purpose.CONFIRM, now=now)
    subscriber = locked(link.subscriber_id)
    if subscriber is None:
        raise links.Unknown
    if subscriber.state in CONFIRMED:
        return None
    if subscriber.state != State.PENDING or is_suppressed(subscriber.email_hash):
        raise links.Expired(link)
    Link.objects.filter(pk=link.pk).update(used_at=now)
    subscriber.confirmed_at = now
    move(subscriber, State.ACTIVE, now=now)
    record(subscriber, ConsentEvent.Kind.CONFIRMED, origin=origin, now=now)
    return subscriber


@transaction.atomic
def change_preferences(
    subscriber_id: int, wishes: Wishes, *, origin: Origin, now: datetime
) -> None:
    """Put the new wishes in place of the old; a reader who has left stays as they are."""
    subscriber = locked(subscriber_id)
    if subscriber is None or subscriber.state not in CONFIRMED:
        return
    set_wishes(subscriber, wishes, now=now)
    record(
        subscriber,
        ConsentEvent.Kind.CHANGED,
        origin=origin,
        now=now,
        detail=described(wishes),
    )


@transaction.atomic
def slow_down(subscriber_id: int, *, origin: Origin, now: datetime) -> None:
    """Once a week instead, at the same hour."""
    subscriber = locked(subscriber_id)
    if subscriber is None or subscriber.state not in CONFIRMED:
        return
    old = Schedule.objects.get(pk=subscriber.schedule_id)
    weekly = Schedule.Cadence.WEEKLY
    if old.cadence == weekly:
        return
    subscriber.schedule = schedule(old.timezone, old.send_hour, weekly)
    subscriber.changed_at = now
    subscriber.save(update_fields=["schedule", "changed_at"])
    detail: dict[str, object] = {"cadence": str(weekly)}
    record(subscriber, ConsentEvent.Kind.CHANGED, origin=origin, now=now, detail=detail)


@transaction.atomic
def pause(subscriber_id: int, *, origin: Origin, now: datetime) -> None:
    """No mail until resumed."""
    subscriber = locked(subscriber_id)
    if subscriber is None or subscriber.state != State.ACTIVE:
        return
    move(subscriber, State.PAUSED, now=now)
    record(subscriber, ConsentEvent.Kind.PAUSED, origin=origin, now=now)


@transaction.atomic
def resume(subscriber_id: int, *, origin: Origin, now: datetime) -> None:
    """Mail again, from the next due hour on."""
    subscriber = locked(subscriber_id)
    if subscriber is None or subscriber.state != State.PAUSED:
        return
    move(subscriber, State.ACTIVE, now=now)
    record(subscriber, ConsentEvent.Kind.RESUMED, origin=origin, now=now)


@transaction.atomic
def unsubscribe(subscriber_id: int, *, origin: Origin, now: datetime) -> None:
    """No mail any more, from the moment this returns."""
    subscriber = locked(subscriber_id)
    if subscriber is None or subscriber.state == State.UNSUBSCRIBED:
        return
    subscriber.unsubscribed_at = now
    move(subscriber, State.UNSUBSCRIBED, now=now)
    record(subscriber, ConsentEvent.Kind.UNSUBSCRIBED, origin=origin, now=now)


@transaction.atomic
def block(token: str, *, origin: Origin, now: datetime) -> None:
    """Never write to this address again, by the link to confirm, however old it is.

    Raises links.Malformed or links.Unknown.
    """
    try:
        link = links.read(token, Link.Purpose.CONFIRM, now=now)
    except links.Expired as expired:
        link = expired.link
    subscriber = locked(link.subscriber_id)
    if subscriber is None:
        raise links.Unknown
    if not suppress(subscriber.email_hash, Suppression.Reason.BLOCKED, now=now):
        return
    subscriber.unsubscribed_at = now
    move(subscriber, State.UNSUBSCRIBED, now=now)
    record(subscriber, ConsentEvent.Kind.BLOCKED, origin=origin, now=now)


def locked(subscriber_id: int) -> Subscriber | None:
    """The row until the transaction ends; None if it was erased meanwhile."""
    return Subscriber.objects.select_for_update().filter(pk=subscriber_id).first()


def move(subscriber: Subscriber, state: Subscriber.State, *, now: datetime) -> None:
    subscriber.state = state
    subscriber.changed_at = now
    subscriber.save(
        update_fields=["state", "changed_at", "confirmed_at", "unsubscribed_at"]
    )


def set_wishes(subscriber: Subscriber, wishes: Wishes, *, now: datetime) -> None:
    subscriber.schedule = schedule(wishes.timezone, wishes.send_hour, wishes.cadence)
    subscriber.interests = wishes.interests
    subscriber.changed_at = now
    subscriber.save()
    topics = Topic.objects.filter(slug__in=wishes.topics)
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
    }


def record(
    subscriber: Subscriber,
    kind: ConsentEvent.Kind,
    *,
    origin: Origin,
    now: datetime,
    detail: dict[str, object] | None = None,
) -> None:
    ConsentEvent.objects.create(
        subscriber=subscriber,
        email_hash=subscriber.email_hash,
        kind=kind,
        at=now,
        wording=origin.wording,
        source=origin.source,
        network=origin.network,
        detail=detail or {},
    )
