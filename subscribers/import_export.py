"""Readers in and out of a file (import_file.py reads it).

An import changes nobody's state: it takes over opt-outs, bars and pauses as they are, and
asks by mail where a confirmation is missing: without a stated legal source everybody, but
for the confirmed ones in an export of an instance with our own ADDRESS_KEY. An address that
has left or is barred here stays away, whatever the file says, and a reader who is known
already stays as they are, but for an opt-out that is newer than their confirmation.
"""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum

from django.db import transaction
from django.utils.datastructures import MultiValueDict

from subscribers import consent, rate_limits, subscriptions
from subscribers.addresses import (
    BadAddress,
    address_hash,
    canonical,
    key_fingerprint,
)
from subscribers.forms import SignUpForm
from subscribers.import_file import BadFile, ImportFile, Row
from subscribers.models import (
    ConsentEvent,
    Notice,
    Schedule,
    Subscriber,
    Subscription,
    Suppression,
    Topic,
)
from subscribers.notices import outbox
from subscribers.preferences import SubscriptionRequest, described, fill, schedule
from subscribers.preferences_form import plain, preferences_of
from subscribers.suppression import LEFT, suppress_each
from subscribers.tables import as_csv

ORIGIN = consent.Origin("import")
SLICE = 500  # rows in one transaction
State = Subscriber.State
Reason = Suppression.Reason
Kind = ConsentEvent.Kind

LISTS = {"topics", "days"}
LINES = {"keywords", "watched_authors", "muted_authors"}
PREFERENCES = ["topics", "interests", "keywords", "watched_authors", "muted_authors"]
PREFERENCES += ["most_papers", "timezone", "send_hour", "cadence", "days"]
PREFERENCES += ["weekday", "language"]
INSTANTS = ["created_at", "confirmed_at", "unsubscribed_at"]
COLUMNS = ["email", "state", *PREFERENCES, *INSTANTS, "paused_until"]
COLUMNS += ["suppressed", "suppressed_at", "email_hash", "address_key"]
KNOWN = frozenset([*COLUMNS, "legal_source"])

# The words of other tools for the same states and bars.
STATES = {state.value: state for state in State} | {
    "subscribed": State.ACTIVE,
    "enabled": State.ACTIVE,
    "confirmed": State.ACTIVE,
    "unconfirmed": State.PENDING,
    "left": State.UNSUBSCRIBED,
    "opted out": State.UNSUBSCRIBED,
    "inactive": State.UNSUBSCRIBED,
}
BARS = {reason.value: reason for reason in Reason} | {
    "suppressed": Reason.MANUAL,
    "blocklisted": Reason.MANUAL,
    "blacklisted": Reason.MANUAL,
    "disabled": Reason.MANUAL,
    "cleaned": Reason.BOUNCED,
    "bounce": Reason.BOUNCED,
    "complaint": Reason.COMPLAINED,
    "spam": Reason.COMPLAINED,
}


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

    @property
    def refused(self) -> str:
        return self.words


class Unusable(Exception):
    """A row cannot be used; the message names the column."""


@dataclass(frozen=True, kw_only=True)
class Person:
    """A row that can be used. Without a `request` only its opt-out or bar counts."""

    line: int
    email_hash: str
    request: SubscriptionRequest | None = None
    state: State | None = None  # None: the file says none
    bar: Suppression.Reason | None = None
    legal_source: str = ""
    created_at: datetime | None = None
    confirmed_at: datetime | None = None
    unsubscribed_at: datetime | None = None
    suppressed_at: datetime | None = None
    paused_until: date | None = None

    @property
    def suppression(self) -> Suppression.Reason | None:
        """The reason under which the address is suppressed from now on."""
        return self.bar or (LEFT if self.state == State.UNSUBSCRIBED else None)

    @property
    def is_barred(self) -> bool:
        return self.bar not in (None, LEFT)

    @property
    def is_out(self) -> bool:
        return self.is_barred or self.state == State.UNSUBSCRIBED

    @property
    def becomes(self) -> State:
        if self.state in (State.UNSUBSCRIBED, State.PENDING):
            return self.state
        return (self.state or State.ACTIVE) if self.legal_source else State.PENDING


def load(file: ImportFile, *, legal_source: str, now: datetime) -> Iterator[Imported]:
    """Import the rows, slice by slice, each slice in a transaction of its own.

    `legal_source` says in words why these people may be written to; a column of that name
    outdoes it row by row. Raises BadFile, after the rows before the fault were taken.
    """
    reader = Reader(legal_source, now)
    for rows in slices(file.rows()):
        people: list[Person] = []
        refused: list[Imported] = []
        for row in rows:
            try:
                people.append(reader.person(row))
            except Unusable as error:
                refused.append(Imported(row.line, Became.REFUSED, str(error)))
        yield from sorted([*refused, *store(people, now=now)], key=lambda one: one.line)


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


# -- reading a row ------------------------------------------------------------------


class Reader:
    """Turns rows into people by the rules of the sign-up form, with one form for all rows."""

    def __init__(self, legal_source: str, now: datetime) -> None:
        self.legal_source, self.now = legal_source, now
        self.form = SignUpForm(MultiValueDict())
        self.fingerprint = key_fingerprint()

    def person(self, row: Row) -> Person:
        """Return the row's person. Raises Unusable."""
        values = row.values
        if row.wrong:
            raise Unusable(row.wrong)
        state, bar = state_of(values)
        instants = {
            name: self.instant(values, name) for name in [*INSTANTS, "suppressed_at"]
        }
        if state is None and bar is None and instants["unsubscribed_at"]:
            state = State.UNSUBSCRIBED
        is_ours = text(values, "address_key") == self.fingerprint
        source = plain(text(values, "legal_source")) or self.legal_source
        if not source and is_ours and instants["confirmed_at"]:
            source = f"confirmed at {instants['confirmed_at']:%Y-%m-%d}, in our own export"
        out = bar not in (None, LEFT) or state == State.UNSUBSCRIBED
        request = self.request(values, out=out)
        return Person(
            line=row.line,
            email_hash=self.hash_of(values, out=out, is_ours=is_ours),
            request=None if bar and state is None else request,
            state=state,
            bar=bar,
            legal_source=source[:500],
            paused_until=day_of(values) if state == State.PAUSED else None,
            **instants,
        )

    def hash_of(self, values: dict[str, object], *, out: bool, is_ours: bool) -> str:
        if text(values, "email"):
            try:
                return address_hash(canonical(text(values, "email")))
            except BadAddress as error:
                raise Unusable(f"email: {error}") from None
        email_hash = text(values, "email_hash")
        if not email_hash or not out:
            raise Unusable("no email")
        if not is_ours:
            raise Unusable("email_hash: it was made with another ADDRESS_KEY")
        if not re.fullmatch("[0-9a-f]{64}", email_hash):
            raise Unusable("email_hash: not 64 hex digits")
        return email_hash

    def request(
        self, values: dict[str, object], *, out: bool
    ) -> SubscriptionRequest | None:
        """Return what the row asks for; None if it cannot be used, but its opt-out can."""
        form = self.form
        form.data = posted(values)
        form.full_clean()
        if not form.errors:
            return form.request()
        if out:
            return None  # an opt-out counts whatever the preferences beside it
        name, errors = next(iter(form.errors.items()))
        raise Unusable(f"{name}: {errors[0]}")

    def instant(self, values: dict[str, object], name: str) -> datetime | None:
        given = text(values, name)
        if not given:
            return None
        try:
            found = datetime.fromisoformat(given)
            found = found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
        except (ValueError, OverflowError):
            raise Unusable(f"{name}: not an instant like 2026-04-17T08:00+00:00") from None
        return min(found, self.now)


def text(values: dict[str, object], name: str) -> str:
    value = values.get(name)
    return "" if value is None else str(value).strip()


def state_of(
    values: dict[str, object],
) -> tuple[Subscriber.State | None, Suppression.Reason | None]:
    """Return the state and the bar that a row names. Raises Unusable."""
    word = text(values, "state").lower().replace("_", " ").replace("-", " ")
    reason = text(values, "suppressed").lower()
    if reason and reason not in BARS:
        raise Unusable("suppressed: not a reason that we know")
    bar = BARS.get(reason)
    if bar == LEFT:  # only a pending reader has come back from that
        is_back = STATES.get(word) == State.PENDING
        return (State.PENDING, LEFT) if is_back else (State.UNSUBSCRIBED, None)
    if not word or word in STATES:
        return STATES.get(word), bar
    if word not in BARS:
        raise Unusable("state: not a state that we know, like active or unsubscribed")
    return None, bar or BARS[word]


def day_of(values: dict[str, object]) -> date | None:
    given = text(values, "paused_until")
    try:
        return date.fromisoformat(given) if given else None
    except ValueError:
        raise Unusable("paused_until: not a date like 2026-04-17") from None


def posted(values: dict[str, object]) -> MultiValueDict[str, str]:
    """Return the row as the sign-up form would have posted it."""
    data: MultiValueDict[str, str] = MultiValueDict()
    for name in ("email", *PREFERENCES):
        value = values.get(name)
        if value is None:
            continue
        if name in LISTS and not isinstance(value, list):
            value = re.split(r"[\s,;|]+", str(value).strip(" ,;|"))
        if name in LINES and isinstance(value, list):
            value = "\n".join(map(str, value))
        many = value if isinstance(value, list) else [value]
        data.setlist(name, [str(one) for one in many if one is not None and one != ""])
    return data


# -- writing a slice ----------------------------------------------------------------


@transaction.atomic
def store(people: Sequence[Person], *, now: datetime) -> list[Imported]:
    """Store a slice in a few statements, however many people it has."""
    rate_limits.no_sign_up_meanwhile()
    hashes = {person.email_hash for person in people}
    listed = Suppression.objects.filter(email_hash__in=hashes)
    suppressed = set(listed.values_list("email_hash", flat=True))
    readers = {
        reader.email_hash: reader
        for reader in Subscriber.objects.filter(email_hash__in=hashes)
    }
    done, new = [], []
    seen: set[str] = set()
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
    suppress(people, now=now)
    return done + add(new, now=now)


def meet(person: Person, reader: Subscriber, *, now: datetime) -> Imported:
    """A known reader stays as they are, but leaves if the file's opt-out is newer.

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
    """Whether the file's opt-out is newer than the confirmation here."""
    left, confirmed = person.unsubscribed_at, reader.confirmed_at
    return left is None or confirmed is None or left > confirmed


def suppress(people: Sequence[Person], *, now: datetime) -> None:
    """Take over bars and opt-outs, each with its date; a bar outdoes having left."""
    current = set(
        Subscriber.objects.filter(
            email_hash__in={person.email_hash for person in people},
            state__in=subscriptions.CONFIRMED,
        ).values_list("email_hash", flat=True)
    )  # those whose confirmation is newer than the opt-out
    groups: dict[tuple[Suppression.Reason, datetime], set[str]] = {}
    for person in people:
        reason = person.suppression
        if reason and (person.is_barred or person.email_hash not in current):
            at = person.suppressed_at or person.unsubscribed_at or now
            groups.setdefault((reason, at), set()).add(person.email_hash)
    suppress_each(
        [
            (email_hash, reason, at)
            for (reason, at), many in groups.items()
            for email_hash in many
        ]
    )


def add(people: Sequence[Person], *, now: datetime) -> list[Imported]:
    """Store new readers with their topics, receipts and mails to confirm."""
    done = [
        Imported(person.line, Became.BARRED if person.is_barred else Became.OPTED_OUT)
        for person in people
        if person.request is None
    ]
    pairs = [
        (person, person.request, row_for(person, person.request, now=now))
        for person in people
        if person.request is not None
    ]
    topics = {topic.slug: topic for topic in Topic.objects.all()}
    schedules: dict[tuple[object, ...], Schedule] = {}
    for _, request, reader in pairs:
        when = (request.timezone, request.send_hour, request.cadence, request.days)
        if when not in schedules:
            schedules[when] = schedule(*when[:3], days=request.days)
        reader.schedule = schedules[when]
        chosen = [topics[slug] for slug in request.topics if slug in topics]
        fill(reader, request, chosen, now=now)
    Subscriber.objects.bulk_create([reader for _, _, reader in pairs])
    Subscription.objects.bulk_create(
        Subscription(subscriber=reader, topic=topics[slug])
        for _, request, reader in pairs
        for slug in request.topics
        if slug in topics
    )
    ConsentEvent.objects.bulk_create(
        receipt_for(person, reader, now=now) for person, _, reader in pairs
    )
    waiting = [reader for person, _, reader in pairs if is_asked(person, reader)]
    asked = outbox.enqueue_all(waiting, Notice.Kind.CONFIRM, now=now)
    for person, _, reader in pairs:
        done.append(Imported(person.line, became(person, reader, asked)))
    return done


def row_for(person: Person, request: SubscriptionRequest, *, now: datetime) -> Subscriber:
    reader = Subscriber(email=request.email, email_hash=person.email_hash)
    reader.state = person.becomes
    reader.created_at = person.created_at or person.confirmed_at or now
    if reader.state != State.PENDING:
        reader.confirmed_at = person.confirmed_at
    if reader.state in subscriptions.CONFIRMED:
        reader.confirmed_at = person.confirmed_at or now
    if reader.state == State.UNSUBSCRIBED:
        reader.unsubscribed_at = person.unsubscribed_at or now
    if reader.state == State.PAUSED:
        reader.paused_until = person.paused_until
    return reader


def receipt_for(person: Person, reader: Subscriber, *, now: datetime) -> ConsentEvent:
    """Return the proof of what the file said."""
    kinds = {State.PENDING: Kind.REQUESTED, State.UNSUBSCRIBED: Kind.UNSUBSCRIBED}
    detail = described(person.request) if person.request else {}
    if reader.state in subscriptions.CONFIRMED:
        detail |= {"legal_source": person.legal_source, "state": reader.state}
    for name in INSTANTS:
        if instant := getattr(person, name):
            detail |= {name: instant.isoformat()}
    kind = kinds.get(State(reader.state), Kind.IMPORTED)
    return consent.receipt(reader, kind, origin=ORIGIN, now=now, detail=detail)


def is_asked(person: Person, reader: Subscriber) -> bool:
    return reader.state == State.PENDING and not person.is_barred


def became(person: Person, reader: Subscriber, asked: set[int]) -> Became:
    if person.is_barred:
        return Became.BARRED
    if reader.state == State.PENDING:
        return Became.ASKED if reader.pk in asked else Became.PENDING
    left = reader.state == State.UNSUBSCRIBED
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
    row = preferences_of(reader) | {"email": reader.email, "state": reader.state}
    row["topics"] = sorted(topic.slug for topic in reader.topics.all())
    for name in (*INSTANTS, "paused_until"):
        instant = getattr(reader, name)
        row[name] = instant.isoformat() if instant else None
    return {name: row[name] for name in COLUMNS if name in row}


def suppression_of(bar: Suppression | None) -> dict[str, object]:
    if bar is None:
        return {}
    return {"suppressed": bar.reason, "suppressed_at": bar.at.isoformat()}


def flattened(name: str, value: object) -> object:
    if isinstance(value, list):
        return ("\n" if name in LINES else " ").join(map(str, value))
    return value


def take(wanted: SubscriptionRequest, legal_source: str, *, now: datetime) -> str:
    """Import one request; return why it was not taken, empty if it was."""
    person = Person(
        line=1,
        email_hash=address_hash(wanted.email),
        request=wanted,
        legal_source=legal_source,
    )
    (done,) = store([person], now=now)
    return done.words
