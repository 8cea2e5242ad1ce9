"""Receipts of consent: appended in the transaction they prove, sealed soon after.

A seal is a keyed hash of the seal before it and of the receipt, so nobody who can write
the database, but lacks ADDRESS_KEY, can change, insert or remove a receipt unnoticed. The
newest seal also stands outside the database, in the log and in STATE_DIR, or the newest
receipts could be removed. What is not sealed yet, usually a minute's receipts, is noted in
another file there, one line a receipt, so that a removal shows, too.

Sealing is a step of its own, as one chain would make all readers wait for each other. The
content hash is salted: once an erasure has blanked content and salt, it stands for nothing,
and the chain still holds.
"""

import fcntl
import json
import logging
import os
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Max, Q, QuerySet

from subscribers import address_key, webhooks
from subscribers.addresses import keyed_hash
from subscribers.bulk import insert
from subscribers.models import ConsentEvent, Subscriber, new_capability

logger = logging.getLogger(__name__)

SEALED_AT_ONCE = 1000
# Bytes, for 130,000 receipts: a machine where nobody seals must not fill its disk.
MOST_NOTED = 10_000_000
SEALING = 0x64617065  # the advisory lock's number: one sealer at a time
SEAL = "UPDATE subscribers_consentevent SET number = %s, seal = %s WHERE id = %s"
type Columns = dict[str, Any]
encoded = json.JSONEncoder(sort_keys=True).encode
events = ConsentEvent._base_manager  # the open door past "appended, never changed"


@dataclass(frozen=True)
class Origin:
    """Where a preference came from: the form's path, the truncated network, the text shown."""

    source: str
    network: str = ""
    wording: str = ""


@dataclass(frozen=True)
class Head:
    """The newest seal, and the number of its receipt. Before the first: 0 and nothing."""

    number: int = 0
    seal: str = ""

    def __str__(self) -> str:
        return f"{self.number}:{self.seal}"


@dataclass(frozen=True)
class Report:
    """What `verify` found: how many receipts are in which state, and what is wrong."""

    sealed: int
    unsealed: int
    blanked: int
    head: Head
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
    append(
        [
            receipt(
                subscriber.email_hash,
                kind,
                subscriber_id=subscriber.pk,
                origin=origin,
                now=now,
                detail=detail,
            )
        ]
    )
    webhooks.tell_receipt(kind, subscriber.pk, now=now)


def append(receipts: Sequence[Columns]) -> None:
    """Save receipts, and note them in STATE_DIR once they are committed."""
    if len(receipts) == 1:
        saved = {(events.create(**receipts[0]).pk, receipts[0]["content_hash"])}
    else:  # bulk_create would bring the ids, and takes four times as long
        before = events.aggregate(pk=Max("pk"))["pk"] or 0
        insert(ConsentEvent, receipts)
        mine = {one["content_hash"] for one in receipts}
        new = events.filter(pk__gt=before).values_list("pk", "content_hash")
        saved = {one for one in new if one[1] in mine}
    lines = [f"{pk} {content_hash}\n" for pk, content_hash in sorted(saved)]
    transaction.on_commit(partial(list_fresh, lines))


def receipt(
    email_hash: str,
    kind: ConsentEvent.Kind,
    *,
    subscriber_id: int | None,
    origin: Origin,
    now: datetime,
    detail: dict[str, object] | None = None,
) -> Columns:
    """Return a receipt that is not saved yet: an import makes many, and no object of them."""
    columns: Columns = {
        "subscriber_id": subscriber_id,
        "email_hash": email_hash,
        "kind": kind,
        "at": now,
        "wording": origin.wording,
        "source": origin.source,
        "network": origin.network,
        "detail": detail or {},
        "salt": new_capability(),
    }
    return columns | {"content_hash": content_hash(columns)}


def content_hash(columns: Mapping[str, Any]) -> str:
    """Return the hash of a receipt's columns by name, as in `vars(event)`."""
    content = [
        columns["salt"],
        columns["email_hash"],
        columns["kind"],
        instant(columns["at"]),
        columns["wording"],
        columns["source"],
        columns["network"],
        columns["detail"],
    ]
    return keyed_hash("receipt " + encoded(content))


def seal_of(before: Head, event: ConsentEvent) -> str:
    """Return what stays of a blanked receipt and is sealed beside its hash: time and kind."""
    kept = f"{event.kind} {instant(event.at)} {event.content_hash}"
    return keyed_hash(f"seal {before} {kept}")


def blank_mark(event: ConsentEvent) -> str:
    """Return the mark that replaces the salt of a receipt that we, and nobody else, blanked."""
    return "-" + keyed_hash(f"blanked {event.content_hash}")[:21]


def instant(at: datetime) -> str:
    return at.astimezone(UTC).isoformat()


# -- sealing --------------------------------------------------------------------------


def seal() -> int:
    """Append the receipts that are not in the chain yet, in batches; return how many."""
    total = 0
    while count := seal_batch():
        total += count
    forget_sealed()
    return total


def seal_batch() -> int:
    """Seal the oldest ones, SEALED_AT_ONCE at most, and note the new head."""
    with transaction.atomic(), connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [SEALING])
        fresh = list(events.filter(number=None).order_by("pk")[:SEALED_AT_ONCE])
        head = newest()
        rows = []
        for event in fresh:
            head = Head(head.number + 1, seal_of(head, event))
            rows.append((head.number, head.seal, event.pk))
        cursor.executemany(SEAL, rows)  # bulk_update takes twelve times as long
    if fresh:
        note(head)
    return len(fresh)


def newest() -> Head:
    last = events.filter(number__isnull=False).order_by("-number").first()
    return Head(last.number or 0, last.seal) if last else Head()


# -- the head outside of the database -------------------------------------------------


def head_file() -> Path:
    return Path(settings.STATE_DIR) / "receipts-head"


def note(head: Head) -> None:
    """Write the newest head to the log and to STATE_DIR, unless the old one is missing.

    Then it is left there: it is the evidence that `verify` goes by.
    """
    logger.info("receipts are sealed, the newest seal is %s", head)
    path = head_file()
    try:
        if lost := missing(noted()):
            logger.error(lost)
            return
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = path.with_name(f"{path.name}.{os.getpid()}")
        fresh.touch(mode=0o600)
        fresh.write_text(f"{head}\n")
        fresh.replace(path)
    except OSError as error:
        logger.warning("%s cannot be written: %s", path, error.strerror)


def noted() -> Head:
    """Return the head that this machine knows of; the first, if its file is damaged.

    Raises OSError, but for a missing file.
    """
    try:
        return read_head(head_file().read_text())
    except (FileNotFoundError, ValueError):
        return Head()


def read_head(text: str) -> Head:
    """Return the head of a log or of the file. Raises ValueError."""
    found = re.fullmatch(r"([1-9][0-9]{0,17}):([0-9a-f]{64})", text.strip())
    if not found:
        raise ValueError("not like NUMBER:SEAL")
    return Head(int(found[1]), found[2])


def missing(known: Head) -> str:
    """Return what to say if the chain does not hold this head; empty if it does."""
    if not known.number or events.filter(number=known.number, seal=known.seal).exists():
        return ""
    return (
        f"receipt {known.number} was sealed with {known.seal} and is not there any more: "
        f"receipts are missing. After a restore of the database remove {head_file()}"
    )


# -- receipts that are not sealed yet -------------------------------------------------


def list_file() -> Path:
    """Return the file with a line for each, from its commit until it is sealed."""
    return Path(settings.STATE_DIR) / "receipts-fresh"


def list_fresh(lines: Sequence[str]) -> None:
    """Append receipts to this machine's list, until it has MOST_NOTED bytes."""
    path = list_file()
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
        with path.open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if file.seek(0, os.SEEK_END) < MOST_NOTED:
                file.write("".join(lines))
    except OSError as error:
        logger.warning("%s cannot be written: %s", path, error.strerror)


def forget_sealed() -> None:
    """Take what is sealed off the list; what has gone stays there, for `verify`."""
    try:
        with list_file().open("r+", errors="replace") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            noted = read_list(file.read())
            sealed = set(
                events.filter(pk__in=list(noted), number__isnull=False).values_list(
                    "pk", "content_hash"
                )
            )
            left = [one for one in noted.items() if one not in sealed]
            file.seek(0)
            file.truncate()
            file.writelines(f"{pk} {content_hash}\n" for pk, content_hash in left)
    except FileNotFoundError:
        return
    except OSError as error:
        logger.warning("%s cannot be written: %s", list_file(), error.strerror)
        return
    for lost in removed_unsealed():
        logger.error(lost)


def read_list(text: str) -> dict[int, str]:
    """Return content hashes by primary key; damaged lines say nothing."""
    lines = re.findall(
        r"^([1-9][0-9]{0,17}) ([0-9a-f]{64})$", text, re.ASCII | re.MULTILINE
    )
    return {int(pk): content_hash for pk, content_hash in lines}


def removed_unsealed() -> list[str]:
    """Return a line for each receipt that was noted and is not in the table any more."""
    try:
        noted = read_list(list_file().read_text(errors="replace"))
    except FileNotFoundError:
        return []
    there = set(events.filter(pk__in=list(noted)).values_list("pk", "content_hash"))
    return [
        f"row {pk} was removed before it was sealed. After a restore of the database "
        f"remove {list_file()}"
        for pk, content_hash in noted.items()
        if (pk, content_hash) not in there
    ]


# -- checking -------------------------------------------------------------------------


def verify(known: Head | None = None) -> Report:
    """Walk the whole chain, and look for the heads that are known from outside.

    Raises WrongKey, under which no seal would fit.
    `known` is one that the log holds; the file's is looked for in any case.
    """
    address_key.check()
    heads = [noted(), known or Head()]  # before the walk, as sealing may go on meanwhile
    wrong = [lost for lost in map(missing, heads) if lost] + removed_unsealed()
    before, blanked, sealed = Head(), 0, 0
    chain = events.filter(number__isnull=False).order_by("number")
    for event in chain.select_related("subscriber").iterator():
        number = event.number or 0
        if number != before.number + 1:
            wrong.append(f"before receipt {number}: some are missing")
            before = Head(number - 1, before.seal)
        if event.seal != seal_of(before, event):
            wrong.append(f"receipt {number}: its seal does not fit the one before")
        blanked += event.salt == blank_mark(event)
        wrong += [f"receipt {number}: {words}" for words in wrong_with(event)]
        before, sealed = Head(number, event.seal), sealed + 1
    unsealed = 0
    open_ = events.filter(number=None).order_by("pk").select_related("subscriber")
    for event in open_.iterator():
        unsealed += 1
        wrong += [f"row {event.pk}, not sealed yet: {words}" for words in wrong_with(event)]
    return Report(sealed, unsealed, blanked, before, wrong)


def wrong_with(event: ConsentEvent) -> list[str]:
    """Return what is wrong with one receipt by itself."""
    if event.salt == blank_mark(event):
        left = (event.email_hash, event.subscriber_id, event.source, event.network)
        emptied = left == ("", None, "", "") and event.detail == {}
        return [] if emptied else ["it was blanked, and its content was changed since"]
    if event.content_hash != content_hash(vars(event)):
        return ["its content was changed"]
    reader = event.subscriber
    if reader is None or reader.email_hash == event.email_hash:
        return []
    known = event.email_hash in addresses_of(reader)
    return [] if known else ["it was given to a reader who never had its address"]


def blank(receipts: Collection[int]) -> None:
    """Take the person out of these receipts: when and what kind stay, and the hashes."""
    rows = list(events.filter(pk__in=receipts))
    for row in rows:
        row.email_hash = row.source = row.network = ""
        row.subscriber, row.detail, row.salt = None, {}, blank_mark(row)
    columns = ["email_hash", "subscriber", "source", "network", "detail", "salt"]
    events.bulk_update(rows, columns, batch_size=500)


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
        moved_to_it = events.filter(email_hash=address, kind=ConsentEvent.Kind.MOVED)
        moves = moved_to_it.filter(mine).order_by("-at")
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
