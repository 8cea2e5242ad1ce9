"""The changes of a subscription: each function is one transaction and one ConsentEvent.

A function that changes a reader locks the row first; the sender looks at the row before each
hand-over, so what is answered here holds for every mail from then on. Asking twice for
the same changes nothing and appends no second event.
"""

from collections.abc import Callable
from dataclasses import asdict
from datetime import date, datetime, timedelta

from django.db import transaction

from subscribers import links, rate_limits
from subscribers.addresses import Address, address_hash, counting_key
from subscribers.consent import Origin, record
from subscribers.models import (
    ConsentEvent,
    Link,
    Notice,
    Schedule,
    Subscriber,
    Suppression,
    new_capability,
)
from subscribers.notices import outbox
from subscribers.preferences import (
    Preferences,
    bound_to,
    first_hour,
    receipt_detail,
    schedule,
    set_preferences,
    stored,
    zone,
)
from subscribers.suppression import is_barred, lift, suppress

State = Subscriber.State
MONTH = timedelta(days=30)
AHEAD = timedelta(hours=15)  # no zone is further ahead of UTC
PAUSE_ENDED = Origin("end of the pause")
CONFIRMED = (State.ACTIVE, State.PAUSED)
Kind = ConsentEvent.Kind


@transaction.atomic
def subscribe(
    email: Address, preferences: Preferences, *, origin: Origin, now: datetime
) -> None:
    """Ask the address's holder to confirm.

    A reader whom we know keeps their preferences, since anyone can type an address: the new
    ones stand in the mail and belong to its link, and hold once that is confirmed. A
    confirmed reader gets a mail with a link to their preferences instead. A barred address
    leaves no trace at all.
    """
    rate_limits.one_at_a_time(counting_key(email))
    if is_barred(address_hash(email)):
        return
    known = Subscriber.objects.select_for_update().filter(email_hash=address_hash(email))
    subscriber = known.first()
    if subscriber is not None and subscriber.state in CONFIRMED:
        outbox.enqueue(subscriber, Notice.Kind.ALREADY, now=now)
        return
    if subscriber is None:
        subscriber = Subscriber(email=email, email_hash=address_hash(email), created_at=now)
        set_preferences(subscriber, preferences, now=now)
    else:
        subscriber.confirmed_at = subscriber.unsubscribed_at = None
        move(subscriber, State.PENDING, now=now)
    record(
        subscriber,
        Kind.REQUESTED,
        origin=origin,
        now=now,
        detail=receipt_detail(preferences),
    )
    asked = asdict(preferences)
    outbox.enqueue(subscriber, Notice.Kind.CONFIRM, now=now, preferences=asked)


@transaction.atomic
def confirm(token: str, *, origin: Origin, now: datetime) -> Subscriber | None:
    """Make a pending reader active, with the preferences of this link and no others.

    Returns None if they were confirmed already.

    Raises links.BadLink; links.Expired also if the reader has unsubscribed or complained.
    """
    link = links.read(token, Link.Purpose.CONFIRM, now=now)
    subscriber = locked(link.subscriber_id)
    if subscriber is None:
        raise links.Unknown
    if is_barred(subscriber.email_hash):
        raise links.Expired(link)
    if subscriber.state in CONFIRMED:
        return None
    if subscriber.state != State.PENDING:
        raise links.Expired(link)
    Link.objects.filter(pk=link.pk).update(used_at=now)
    lift(subscriber.email_hash)
    rate_limits.forget(subscriber)
    preferences = bound_to(link, subscriber)
    set_preferences(subscriber, preferences, now=now)
    Link.objects.filter(subscriber=subscriber).update(preferences={})
    Notice.objects.filter(subscriber=subscriber).update(preferences={})
    subscriber.confirmed_at = now
    move(subscriber, State.ACTIVE, now=now)
    detail = {"link": link.pk} | receipt_detail(preferences)
    record(subscriber, Kind.CONFIRMED, origin=origin, now=now, detail=detail)
    outbox.welcome(subscriber, now=now)
    return subscriber


@transaction.atomic
def adjust_preferences(
    subscriber_id: int,
    change: Callable[[Preferences], Preferences],
    *,
    origin: Origin,
    now: datetime,
) -> Preferences | None:
    """Put what `change` makes of the stored preferences in their place.

    Return them as they are now; None for a reader who has left, who stays as they are. What
    changes nothing has no receipt.
    """
    subscriber = locked(subscriber_id)
    if subscriber is None or subscriber.state not in CONFIRMED:
        return None
    had = stored(subscriber)
    preferences = change(had)
    if preferences == had:
        return had
    set_preferences(subscriber, preferences, now=now)
    record(
        subscriber,
        Kind.CHANGED,
        origin=origin,
        now=now,
        detail=receipt_detail(preferences),
    )
    return preferences


@transaction.atomic
def slow_down(subscriber_id: int, *, origin: Origin, now: datetime) -> None:
    """Switch to once a week, at the same hour."""
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
    record(subscriber, Kind.CHANGED, origin=origin, now=now, detail=detail)


def change_feed(subscriber_id: int, *, ends: bool) -> None:
    """End the reader's own feed, or give it a new token: the old one reads no more."""
    reader = Subscriber.objects.filter(pk=subscriber_id, state__in=CONFIRMED)
    reader.update(feed_token=None if ends else new_capability())


@transaction.atomic
def pause(
    subscriber_id: int, until: date | None = None, *, origin: Origin, now: datetime
) -> None:
    """Stop mails until that local date, or until resumed; a second pause sets a new date."""
    subscriber = locked(subscriber_id)
    if subscriber is None or subscriber.state not in CONFIRMED:
        return
    if subscriber.state == State.PAUSED and subscriber.paused_until == until:
        return
    subscriber.paused_until = until
    move(subscriber, State.PAUSED, now=now)
    detail: dict[str, object] = {"until": until.isoformat()} if until else {}
    record(subscriber, Kind.PAUSED, origin=origin, now=now, detail=detail)


@transaction.atomic
def resume(subscriber_id: int, *, origin: Origin, now: datetime) -> None:
    """Start mails again with what is due now and not too late."""
    subscriber = locked(subscriber_id)
    if subscriber is None or subscriber.state != State.PAUSED:
        return
    subscriber.paused_until = None
    move(subscriber, State.ACTIVE, now=now)
    record(subscriber, Kind.RESUMED, origin=origin, now=now)


def local_date(subscriber: Subscriber, now: datetime) -> date:
    """Return today's date in the reader's zone; the schedule must be loaded."""
    return now.astimezone(zone(subscriber.schedule)).date()


def in_a_month(subscriber_id: int, *, now: datetime) -> date | None:
    """Return the local date in 30 days; None for a reader who is gone."""
    rows = Subscriber.objects.select_related("schedule").filter(pk=subscriber_id)
    found = rows.first()
    return local_date(found, now) + MONTH if found else None


def resume_due(now: datetime) -> int:
    """Resume readers at their first hour on or after their date; return how many.

    Not at midnight: the edition of the evening before would still be in time then.
    """
    waiting = Subscriber.objects.filter(
        state=Subscriber.State.PAUSED, paused_until__lte=(now + AHEAD).date()
    ).select_related("schedule")
    due = [
        reader.pk
        for reader in waiting
        if reader.paused_until and first_hour(reader.schedule, reader.paused_until) <= now
    ]
    for subscriber_id in due:
        resume(subscriber_id, origin=PAUSE_ENDED, now=now)
    return len(due)


@transaction.atomic
def unsubscribe(subscriber_id: int, *, origin: Origin, now: datetime) -> None:
    """Stop all mail, from the moment this returns."""
    subscriber = locked(subscriber_id)
    if subscriber is None or subscriber.state == State.UNSUBSCRIBED:
        return
    leave(subscriber, Suppression.Reason.LEFT, now=now)
    record(subscriber, Kind.UNSUBSCRIBED, origin=origin, now=now)


@transaction.atomic
def ask_back(subscriber_id: int, *, origin: Origin, now: datetime) -> None:
    """Undo an unsubscribe: all preferences are kept, and one mail asks to confirm them.

    By mail, since anyone to whom a digest was forwarded holds the link to leave as well. A
    reader who asks again before they confirm is mailed again: a quota may have held back the
    first mail.
    """
    subscriber = locked_with_mailbox(subscriber_id)
    if subscriber is None or subscriber.state in CONFIRMED:
        return
    if subscriber.state == State.PENDING:
        outbox.ask_again(subscriber_id, now=now)
        return
    if is_barred(subscriber.email_hash):
        return
    subscriber.unsubscribed_at = subscriber.confirmed_at = None
    move(subscriber, State.PENDING, now=now)
    record(subscriber, Kind.REQUESTED, origin=origin, now=now)
    outbox.enqueue(subscriber, Notice.Kind.CONFIRM, now=now)


@transaction.atomic
def block(token: str, *, origin: Origin, now: datetime) -> None:
    """Never write to this address again, by a link to confirm it, however old it is.

    Raises links.Malformed or links.Unknown.
    """
    link = links.read_to_block(token, now=now)
    subscriber = locked(link.subscriber_id)
    if subscriber is None:
        raise links.Unknown
    barred = Suppression.Reason.BLOCKED
    if link.email and address_hash(link.email) != subscriber.email_hash:
        suppress(address_hash(link.email), barred, now=now)
        return  # an address somebody wanted to move to: their subscription stays
    if not suppress(subscriber.email_hash, barred, now=now):
        return
    leave(subscriber, barred, now=now)
    record(subscriber, Kind.BLOCKED, origin=origin, now=now)


def leave(subscriber: Subscriber, reason: Suppression.Reason, *, now: datetime) -> None:
    suppress(subscriber.email_hash, reason, now=now)
    links.forget_browsers(subscriber)
    subscriber.unsubscribed_at = now
    subscriber.paused_until = None
    move(subscriber, State.UNSUBSCRIBED, now=now)


def locked(subscriber_id: int) -> Subscriber | None:
    """Lock the reader's row until the transaction ends; None if it was erased meanwhile."""
    return Subscriber.objects.select_for_update().filter(pk=subscriber_id).first()


def locked_with_mailbox(subscriber_id: int, email: str = "") -> Subscriber | None:
    """Lock the mailbox that is to be written to, their own without `email`, then the row.

    In the order of a sign-up, which may have no row yet: in another, each waits for the other.
    """
    rows = Subscriber.objects.filter(pk=subscriber_id).values_list("email", flat=True)
    if address := email or rows.first():
        rate_limits.one_at_a_time(counting_key(address))
    return locked(subscriber_id)


def move(subscriber: Subscriber, state: Subscriber.State, *, now: datetime) -> None:
    subscriber.state = state
    subscriber.changed_at = now
    instants = ["changed_at", "confirmed_at", "unsubscribed_at", "paused_until"]
    subscriber.save(update_fields=["state", *instants])
