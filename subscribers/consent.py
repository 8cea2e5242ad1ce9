"""Receipts of consent: appended in the transaction they prove, sealed soon after.

A seal hashes the seal before it and the receipt's content hash, so nobody can change,
insert or remove a receipt in the middle unnoticed. Sealing is a step of its own, as one
chain would make all readers wait for each other. The content hash is salted: once an
erasure has blanked content and salt, it stands for nothing, and the chain still holds.
"""

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from django.db import connection, transaction
from django.db.models import Q, QuerySet

from subscribers.models import ConsentEvent, Subscriber, new_capability

SEALED_AT_ONCE = 1000
SEALING = 0x64617065  # the advisory lock's number: one sealer at a time
events = ConsentEvent._base_manager  # the open door past "appended, never changed"


@dataclass(frozen=True)
class Origin:
    """Where a request came from: the form's path, the truncated network, the text shown."""

    source: str
    network: str = ""
    wording: str = ""


@dataclass(frozen=True)
class ChainReport:
    """What `verify` found: how many receipts, the newest seal, and what is wrong."""

    sealed: int
    blanked: int
    head: str
    wrong: list[str]


def record(
    subscriber: Subscriber,
    kind: ConsentEvent.Kind,
    *,
    origin: Origin,
    now: datetime,
    detail: dict[str, object] | None = None,
) -> None:
    """Append a receipt."""
    event = ConsentEvent(
        subscriber=subscriber,
        email_hash=subscriber.email_hash,
        kind=kind,
        at=now,
        wording=origin.wording,
        source=origin.source,
        network=origin.network,
        detail=detail or {},
        salt=new_capability(),
    )
    event.content_hash = content_hash(event)
    event.save()


def content_hash(event: ConsentEvent) -> str:
    at = event.at.astimezone(UTC).isoformat()
    where = [event.wording, event.source, event.network]
    content = [event.salt, event.email_hash, event.kind, at, *where, event.detail]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def sealed(before: str, event: ConsentEvent) -> str:
    return hashlib.sha256(f"{before} {event.content_hash}".encode()).hexdigest()


@transaction.atomic
def seal() -> int:
    """Append the receipts that are not in the chain yet; how many."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [SEALING])
    last = events.filter(number__isnull=False).order_by("-number").first()
    number, before = (last.number or 0, last.seal) if last else (0, "")
    fresh = list(events.filter(number=None).order_by("pk")[:SEALED_AT_ONCE])
    for event in fresh:
        number, before = number + 1, sealed(before, event)
        event.number, event.seal = number, before
    events.bulk_update(fresh, ["number", "seal"])
    return len(fresh)


def verify() -> ChainReport:
    """Walk the whole chain."""
    wrong, before, expected, blanked = [], "", 0, 0
    for event in events.filter(number__isnull=False).order_by("number").iterator():
        expected += 1
        if event.number != expected:
            wrong.append(f"before receipt {event.number}: some are missing")
            expected = event.number or expected
        if event.seal != sealed(before, event):
            wrong.append(f"receipt {event.number}: its seal does not fit the one before")
        if not event.salt:
            blanked += 1
        elif event.content_hash != content_hash(event):
            wrong.append(f"receipt {event.number}: its content was changed")
        before = event.seal
    return ChainReport(expected, blanked, before, wrong)


def blank(receipts: Collection[int]) -> None:
    """Take the person out of these receipts: when and what kind stay, and the hashes."""
    events.filter(pk__in=receipts).update(
        email_hash="", subscriber=None, source="", network="", detail={}, salt=""
    )


# -- whose receipts -------------------------------------------------------------------


def of_person(subscriber: Subscriber) -> QuerySet[ConsentEvent]:
    """Return all receipts of a person, under every address that they have had."""
    return events.filter(belonging(subscriber, addresses_of(subscriber)))


def of_address(email_hash: str) -> QuerySet[ConsentEvent]:
    """Return the receipts of an address that are no reader's any more."""
    return events.filter(email_hash=email_hash, subscriber=None)


def addresses_of(subscriber: Subscriber) -> dict[str, datetime | None]:
    """Return the hash of each address the person has had, and until when: None is now.

    Each change of address left a receipt under the new one that names the old one.
    """
    found: dict[str, datetime | None] = {subscriber.email_hash: None}
    to_trace = [subscriber.email_hash]
    while to_trace:
        address = to_trace.pop()
        mine = belonging(subscriber, {address: found[address]})
        moves = events.filter(mine, kind=ConsentEvent.Kind.MOVED).order_by("-at")
        for move in moves:
            former = str(move.detail.get("from", ""))
            if former and former not in found:
                found[former] = move.at
                to_trace.append(former)
    return found


def belonging(subscriber: Subscriber, addresses: Mapping[str, datetime | None]) -> Q:
    """Receipts of this row, or of none and from when the address was this person's.

    Rows that are gone leave receipts behind; an address may have another reader by now.
    """
    mine = Q(subscriber=subscriber)
    for email_hash, until in addresses.items():
        ownerless = Q(subscriber=None, email_hash=email_hash)
        mine |= ownerless & Q(at__lte=until) if until else ownerless
    return mine
