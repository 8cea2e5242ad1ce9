"""People of a file who are new here: rows of theirs, a few statements for a slice of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from django.db.models import Max

from subscribers import consent, preferences, subscriptions
from subscribers.bulk import insert
from subscribers.import_rows import INSTANTS, Person
from subscribers.models import (
    ConsentEvent,
    Notice,
    Schedule,
    Subscriber,
    Subscription,
    Topic,
)
from subscribers.notices import outbox
from subscribers.preferences import Preferences, schedule

ORIGIN = consent.Origin("import")
State = Subscriber.State
Kind = ConsentEvent.Kind


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
