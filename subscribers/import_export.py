"""Readers in and out of a file (import_file.py reads it).

An import changes nobody's state: it takes over opt-outs, bars and pauses as they are, and
asks by mail where a confirmation is missing: without a stated legal source everybody, but
for the confirmed ones in an export of an instance with our own ADDRESS_KEY. An address that
has left or is barred here stays away, whatever the file says, and a reader who is known
already stays as they are, but for an opt-out that is newer than their confirmation.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from django.db import transaction
from django.db.models import Max

from subscribers import address_key, consent, preferences, rate_limits, subscriptions
from subscribers.addresses import key_fingerprint
from subscribers.bulk import insert
from subscribers.import_file import BadFile, ImportFile, Row
from subscribers.import_rows import COLUMNS, INSTANTS, LINES, Person, Reader, Unusable
from subscribers.models import (
    ConsentEvent,
    Import,
    Notice,
    Schedule,
    Subscriber,
    Subscription,
    Suppression,
    Topic,
)
from subscribers.notices import outbox
from subscribers.preferences import Preferences, schedule, stored
from subscribers.preferences_form import initial_of
from subscribers.suppression import suppress_each
from subscribers.tables import as_csv

SLICE = 2000  # rows in one transaction, of half a second
State = Subscriber.State
Kind = ConsentEvent.Kind
ORIGIN = consent.Origin("import")
WORD = re.compile(r"\S+")


class Became(StrEnum):
    """What became of a row."""

    IMPORTED = "imported"  # active or paused, as the file says
    ASKED = "asked by mail to confirm"
    PENDING = "pending without a mail"  # their mailbox had its share of mails
    OPTED_OUT = "kept as opted out"
    BARRED = "kept as barred"
    KNOWN = "known already"
    OUT = "left or barred here"
    REFUSED = "refused"  # the row cannot be used


@dataclass(frozen=True)
class Imported:
    """What became of the row that begins in this line; `words` say why it was not taken."""

    line: int
    became: Became
    words: str = ""


def without_addresses(text: str) -> str:
    return WORD.sub(lambda word: "…" if "@" in word[0] else word[0], text)


class Intake:
    """Takes slices of a file in, one after the other, each in a transaction of its own.

    A `trial` is rolled back by its caller, slice by slice, who notes in its `tried` whom a
    slice had: `seen`. A `dry_run` is rolled back, too, and remembers them itself. `name` is
    how bars tell later by which import they came.
    """

    def __init__(
        self,
        legal_source: str,
        now: datetime,
        *,
        name: str = "",
        trial: Import | None = None,
        dry_run: bool = False,
    ) -> None:
        self.reader, self.now, self.trial = Reader(legal_source, now), now, trial
        self.dry_run = dry_run
        self.name = without_addresses(name)[:200]
        self.schedules: dict[tuple[object, ...], Schedule] = {}
        self.seen: set[str] = set()

    def take(self, rows: Sequence[Row]) -> list[Imported]:
        """Return what became of each row, in the order of the file."""
        people: list[Person] = []
        refused: list[Imported] = []
        for row in rows:
            try:
                people.append(self.reader.person(row))
            except Unusable as error:
                refused.append(Imported(row.line, Became.REFUSED, str(error)))
        if not self.dry_run:
            self.seen = set()
        if self.dry_run or self.trial:
            self.schedules = {}  # those of the last slice are gone
        if self.trial:
            hashes = {person.email_hash for person in people}
            tried = self.trial.tried.filter(email_hash__in=hashes)
            self.seen.update(tried.values_list("email_hash", flat=True))
        found = store(people, self.schedules, self.seen, name=self.name, now=self.now)
        return sorted([*refused, *found], key=lambda one: one.line)


def load(
    file: ImportFile, *, legal_source: str, now: datetime, dry_run: bool = False
) -> Iterator[Imported]:
    """Import the rows, slice by slice, each slice in a transaction of its own.

    A `dry_run` rolls each back before the next begins: in one transaction a large file kept
    all others from writing for minutes, who wanted to unsubscribe among them.
    `legal_source` says in words why these people may be written to; a column of that name
    outdoes it row by row. Raises BadFile, after the rows before the fault were taken, and
    WrongKey, as everybody would be taken for new.
    """
    address_key.check()
    intake = Intake(legal_source, now, name=file.path.name, dry_run=dry_run)
    for rows in slices(file.rows()):
        with transaction.atomic():
            found = intake.take(rows)
            if dry_run:
                transaction.set_rollback(True)
        yield from found


def slices(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Yield the rows in slices; those before a fault of the file come before it is raised."""
    kept: list[Row] = []
    fault: BadFile | None = None
    try:
        for row in rows:
            kept.append(row)
            if len(kept) == SLICE:
                yield kept
                kept = []
    except BadFile as error:
        fault = error
    if kept:
        yield kept
    if fault:
        raise fault


# -- writing a slice ----------------------------------------------------------------


@transaction.atomic
def store(
    people: Sequence[Person],
    schedules: dict[tuple[object, ...], Schedule],
    seen: set[str],
    *,
    name: str,
    now: datetime,
) -> list[Imported]:
    """Store a slice in a few statements, however many people it has.

    `seen` are the hashes of earlier rows, and gets those of these; `name` is the import's.
    """
    rate_limits.no_sign_up_meanwhile()
    hashes = {person.email_hash for person in people}
    listed = Suppression.objects.filter(email_hash__in=hashes)
    suppressed = set(listed.values_list("email_hash", flat=True))
    readers = {
        reader.email_hash: reader
        for reader in Subscriber.objects.filter(email_hash__in=hashes)
    }
    done, new = [], []
    for person in people:
        reader = readers.get(person.email_hash)
        if person.email_hash in seen:
            done.append(Imported(person.line, Became.KNOWN, "in an earlier line too"))
        elif reader:
            done.append(meet(person, reader, now=now))
        elif person.email_hash in suppressed and not person.is_out:
            words = "has left or must not be written to"
            done.append(Imported(person.line, Became.OUT, words))
        else:
            new.append(person)
        seen.add(person.email_hash)
    suppress(people, name=name, now=now)
    return done + add(new, schedules, now=now)


def meet(person: Person, reader: Subscriber, *, now: datetime) -> Imported:
    """Leave a known reader as they are, unless the file's opt-out is newer.

    A bar needs no change of state: a suppressed address gets no mail in any.
    """
    if person.is_barred:
        return Imported(person.line, Became.BARRED)
    if reader.state == State.UNSUBSCRIBED:
        return Imported(person.line, Became.OUT, "has left or must not be written to")
    if not person.is_out or not is_newer(person, reader):
        return Imported(person.line, Became.KNOWN, "known already")
    subscriptions.unsubscribe(reader.pk, origin=ORIGIN, now=now)
    return Imported(person.line, Became.OPTED_OUT)


def is_newer(person: Person, reader: Subscriber) -> bool:
    """Return whether the file's opt-out is newer than the confirmation here."""
    left, confirmed = person.unsubscribed_at, reader.confirmed_at
    return left is None or confirmed is None or left > confirmed


def suppress(people: Sequence[Person], *, name: str, now: datetime) -> None:
    """Take over bars and opt-outs, each with its date; a bar outdoes having left."""
    out = [(person, reason) for person in people if (reason := person.suppression)]
    confirmed = Subscriber.objects.filter(
        email_hash__in={person.email_hash for person, _ in out},
        state__in=subscriptions.CONFIRMED,
    )  # those whose confirmation is newer than the opt-out
    current = set(confirmed.values_list("email_hash", flat=True))
    suppress_each(
        [
            (
                person.email_hash,
                reason,
                person.suppressed_at or person.unsubscribed_at or now,
            )
            for person, reason in out
            if person.is_barred or person.email_hash not in current
        ],
        taken_from=name,
        now=now,
    )


# -- people who are new here --------------------------------------------------------


@dataclass(frozen=True)
class Alike:
    """What new readers with the same preferences have in common."""

    columns: dict[str, object]
    topics: list[int]  # ids
    detail: dict[str, object]  # of the receipt


@dataclass(frozen=True, slots=True)
class New:
    """Somebody who is stored as a reader; the columns are theirs alone."""

    person: Person
    alike: Alike
    columns: dict[str, Any]

    @property
    def state(self) -> State:
        state: State = self.columns["state"]
        return state

    @property
    def is_asked(self) -> bool:
        return self.state == State.PENDING and not self.person.is_barred


def add(
    people: Sequence[Person],
    schedules: dict[tuple[object, ...], Schedule],
    *,
    now: datetime,
) -> list[Imported]:
    """Store new readers with their topics, receipts and mails to confirm.

    `schedules` keeps the rows that were found, from slice to slice.
    """
    done = [
        Imported(person.line, Became.BARRED if person.is_barred else Became.OPTED_OUT)
        for person in people
        if person.preferences is None
    ]
    groups: dict[Preferences, Alike] = {}
    topics = {topic.slug: topic for topic in Topic.objects.all()}
    new = []
    for person in people:
        if (wanted := person.preferences) is not None:
            if wanted not in groups:
                groups[wanted] = alike(wanted, topics, schedules, now=now)
            new.append(New(person, groups[wanted], columns_of(person, now=now)))
    ids = add_rows(new)
    insert(
        Subscription,
        [
            {"subscriber_id": ids[one.person.email_hash], "topic_id": topic}
            for one in new
            for topic in one.alike.topics
        ],
    )
    consent.append([receipt_for(one, ids[one.person.email_hash], now=now) for one in new])
    asked = outbox.enqueue_all(
        {ids[one.person.email_hash]: one.person.email for one in new if one.is_asked},
        Notice.Kind.CONFIRM,
        now=now,
    )
    for one in new:
        is_asked = ids[one.person.email_hash] in asked
        done.append(Imported(one.person.line, became(one, is_asked=is_asked)))
    return done


def add_rows(new: Sequence[New]) -> dict[str, int]:
    """Insert readers; return their ids by hash of the address."""
    before = Subscriber.objects.aggregate(pk=Max("pk"))["pk"] or 0
    insert(Subscriber, [one.alike.columns | one.columns for one in new])
    stored = Subscriber.objects.filter(pk__gt=before)
    return dict(stored.values_list("email_hash", "pk"))


def alike(
    wanted: Preferences,
    topics: Mapping[str, Topic],
    schedules: dict[tuple[object, ...], Schedule],
    *,
    now: datetime,
) -> Alike:
    when = (wanted.timezone, wanted.send_hour, wanted.cadence, wanted.days)
    if when not in schedules:
        schedules[when] = schedule(*when[:3], days=wanted.days)
    chosen = [topics[slug] for slug in wanted.topics if slug in topics]
    columns = preferences.columns(wanted) | {
        "schedule_id": schedules[when].pk,
        "profile": preferences.profile([topic.column for topic in chosen], {}),
        "directions": None if wanted.has_interests else b"",
        "changed_at": now,
    }
    topic_ids = [topic.pk for topic in chosen]
    return Alike(columns, topic_ids, preferences.receipt_detail(wanted))


def columns_of(person: Person, *, now: datetime) -> dict[str, Any]:
    """Return the columns of a new reader that do not follow from their preferences."""
    state, confirmed_at = person.becomes, None
    if state != State.PENDING:
        confirmed_at = person.confirmed_at
    if state in subscriptions.CONFIRMED:
        confirmed_at = person.confirmed_at or now
    left = state == State.UNSUBSCRIBED
    return {
        "email": person.email,
        "email_hash": person.email_hash,
        "state": state,
        "created_at": person.created_at or person.confirmed_at or now,
        "confirmed_at": confirmed_at,
        "unsubscribed_at": (person.unsubscribed_at or now) if left else None,
        "paused_until": person.paused_until if state == State.PAUSED else None,
    }


def receipt_for(one: New, subscriber_id: int, *, now: datetime) -> dict[str, object]:
    """Return the proof of what the file said."""
    kinds = {State.PENDING: Kind.REQUESTED, State.UNSUBSCRIBED: Kind.UNSUBSCRIBED}
    person, detail = one.person, dict(one.alike.detail)
    if one.state in subscriptions.CONFIRMED:
        detail |= {"legal_source": person.legal_source, "state": one.state}
    for name in INSTANTS:
        if instant := getattr(person, name):
            detail[name] = instant.isoformat()
    return consent.receipt(
        person.email_hash,
        kinds.get(one.state, Kind.IMPORTED),
        subscriber_id=subscriber_id,
        origin=ORIGIN,
        now=now,
        detail=detail,
    )


def became(one: New, *, is_asked: bool) -> Became:
    if one.person.is_barred:
        return Became.BARRED
    if one.state == State.PENDING:
        return Became.ASKED if is_asked else Became.PENDING
    left = one.state == State.UNSUBSCRIBED
    return Became.OPTED_OUT if left else Became.IMPORTED


# -- export -------------------------------------------------------------------------


def dump(*, jsonl: bool) -> Iterator[str]:
    """Yield all readers, then the suppressed addresses that have no row, as text.

    JSON Lines, or CSV without formulas.
    """
    if not jsonl:
        yield as_csv([], COLUMNS)
    for row in rows_out():
        if jsonl:
            kept = {name: value for name, value in row.items() if value not in (None, "")}
            yield json.dumps(kept, ensure_ascii=False) + "\n"
        else:
            flat = {name: flattened(name, value) for name, value in row.items()}
            yield as_csv([flat], COLUMNS).partition("\r\n")[2]


def rows_out() -> Iterator[dict[str, object]]:
    fingerprint = key_fingerprint()
    bars = {
        row.email_hash: row for row in Suppression.objects.order_by("pk").iterator(2000)
    }
    readers = Subscriber.objects.select_related("schedule").prefetch_related("topics")
    for reader in readers.order_by("pk").iterator(chunk_size=500):
        bar = bars.pop(reader.email_hash, None)
        yield row_of(reader) | suppression_of(bar) | {"address_key": fingerprint}
    for bar in bars.values():
        named = {"email_hash": bar.email_hash, "address_key": fingerprint}
        yield suppression_of(bar) | named


def row_of(reader: Subscriber) -> dict[str, object]:
    row = initial_of(stored(reader)) | {"email": reader.email, "state": reader.state}
    for name in (*INSTANTS, "paused_until"):
        instant = getattr(reader, name)
        row[name] = instant.isoformat() if instant else None
    return {name: row[name] for name in COLUMNS if name in row}


def suppression_of(bar: Suppression | None) -> dict[str, object]:
    if bar is None:
        return {}
    return {"suppressed": bar.reason, "suppressed_at": bar.at.isoformat()}


def flattened(name: str, value: object) -> object:
    if isinstance(value, list | tuple):
        return ("\n" if name in LINES else " ").join(map(str, value))
    return value
