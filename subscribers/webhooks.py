"""The outbox of events for the operator's own systems, and of posts about an edition.

An event is a row, inserted in the transaction of what it tells: it exists if and only if that
happened. digest/outgoing.py sends the rows. A row names a reader by id only: an erased reader
leaves nothing of them in it.
"""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime

from django.conf import settings

from subscribers.models import ConsentEvent, OutgoingEvent, Subscriber

Kind = ConsentEvent.Kind
# Receipts that are told, and the name of the event.
TOLD = {
    Kind.CONFIRMED: "subscriber.confirmed",
    Kind.CHANGED: "subscriber.changed",
    Kind.PAUSED: "subscriber.changed",
    Kind.RESUMED: "subscriber.changed",
    Kind.UNSUBSCRIBED: "subscriber.unsubscribed",
}


def tell(
    kind: str,
    *,
    now: datetime,
    subscriber: int | None = None,
    data: Mapping[str, object] | None = None,
    key: str | None = None,
) -> None:
    """Insert an event, unless nobody listens. With a `key`, only the first time."""
    if settings.EVENTS_URL and not settings.TEST_MODE_TO:
        insert([event(kind, now=now, subscriber=subscriber, data=data, key=key)])


def event(
    kind: str,
    *,
    now: datetime,
    subscriber: int | None = None,
    data: Mapping[str, object] | None = None,
    key: str | None = None,
) -> OutgoingEvent:
    row = OutgoingEvent(
        kind=kind, at=now, not_before=now, subscriber=subscriber, data=dict(data or {})
    )
    if key:
        row.key = key
    return row


def insert(rows: list[OutgoingEvent]) -> None:
    OutgoingEvent.objects.bulk_create(rows, ignore_conflicts=True)


def tell_receipt(kind: ConsentEvent.Kind, subscriber: int, *, now: datetime) -> None:
    """Tell what a receipt of consent says, if anybody should know."""
    if told := TOLD.get(kind):
        tell(told, now=now, subscriber=subscriber)


def tell_of_addresses(
    events: Sequence[tuple[str, str, Mapping[str, object]]], *, now: datetime
) -> None:
    """Tell (kind, address hash, data) of readers; of strangers nothing. Two statements."""
    if settings.EVENTS_URL and not settings.TEST_MODE_TO and events:
        hashes = {email_hash for _, email_hash, _ in events}
        known = Subscriber.objects.filter(email_hash__in=hashes)
        readers = dict(known.values_list("email_hash", "pk"))
        insert(
            [
                event(kind, now=now, subscriber=readers[email_hash], data=data)
                for kind, email_hash, data in events
                if email_hash in readers
            ]
        )


def tell_edition(data: Mapping[str, object], *, is_news: bool, now: datetime) -> None:
    """Tell of a new edition; if it `is_news`, owe a post to each place of POST_URLS, once."""
    tell("edition.published", now=now, data=data)
    if settings.TEST_MODE_TO or not is_news:
        return
    rows = []
    for url in settings.POST_URLS:
        key = f"post-{place(url)}-{data['kind']}-{data['day']}"
        row = event("edition.published", now=now, data=data, key=key)
        row.to = place(url)
        rows.append(row)
    insert(rows)


def give_up_posts(now: datetime) -> None:
    """Owe no post any more: after a restore, each may have been posted since the backup."""
    owed = OutgoingEvent.objects.filter(state=OutgoingEvent.State.PENDING).exclude(to="")
    owed.update(
        state=OutgoingEvent.State.GIVEN_UP,
        reply="quarantined after a restore",
        ended_at=now,
    )


def place(url: str) -> str:
    """Return a name of a place to post to; its URL is a secret and stands in no row."""
    return hashlib.sha256(url.encode()).hexdigest()[:12]
