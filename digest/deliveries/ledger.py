"""The ledger's transitions: one statement or one short transaction for a whole slice.

Every function takes `now` and may run twice, at once, or not to its end. `now` is the
database's clock (`database_now`), so that a machine with a wrong clock does no harm;
a sender that slept through its lease writes no intent, and outcomes go by lease token.
"""

import math
import secrets
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from types import MappingProxyType
from typing import NamedTuple

from django.db import connection, transaction
from django.db.models import F, Q

from digest import logs
from digest.models import Delivery, Lease
from digest.sql import Rows, Statement, among, change, fetch, postgres
from digest.throttling.domains import Wait
from digest.transport.outcomes import Outcome, Verdict, backoff
from digest.transport.relays import MAIN

State, Reason = Delivery.State, Delivery.Reason

# Long enough to rank and compose a slice; short, as a dead sender's rows wait for it.
CLAIM_LEASE = timedelta(minutes=2)
# Longer than a submit group can take: replies are waited for up to two minutes each.
HANDOVER_LEASE = timedelta(minutes=15)
MOST_ATTEMPTS = 8


class Claimed(NamedTuple):
    """A row that this sender owns until its lease ends. It is pending like others."""

    delivery_id: int
    edition_id: int
    subscriber_id: int | None
    attempts: int
    lease_token: str
    expires_at: str = ""  # ISO 8601, as rows also lie in the outcome journal's files


def database_now() -> datetime:
    """Return the database's time, aware, in UTC: the clock of due instants and leases."""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("SELECT strftime('%%Y-%%m-%%dT%%H:%%M:%%f+00:00', 'now')", [])
            return datetime.fromisoformat(cursor.fetchone()[0])
        cursor.execute("SELECT clock_timestamp()")
        value: datetime = cursor.fetchone()[0]
        return value


class DatabaseClock:
    """The database's clock, read at most once a second.

    A monotonic clock fills the time between; it also runs while a process is stopped.
    """

    def __init__(self) -> None:
        self.read_at, self.value = -math.inf, datetime.min.replace(tzinfo=UTC)

    def __call__(self) -> datetime:
        passed = time.monotonic() - self.read_at
        if passed > 1:
            self.read_at, passed = time.monotonic(), 0.0
            self.value = database_now()
        return self.value + timedelta(seconds=passed)


# Find the rows of a lane that are due and that no sender has, oldest first, by the index
# delivery_open. "is_open = 1" is as the index says it: SQLite takes a partial index by its
# very words. The leases' lists are read once, however many rows they are asked about.
CLAIM = Statement(
    postgresql="""
SELECT id, edition_id, subscriber_id, attempts, expires_at, not_before
FROM digest_delivery
WHERE is_open AND lane = %(lane)s AND state = 'pending' AND not_before <= %(due)s
    AND (not_before <= %(now)s OR (attempts = 0 AND reason = ''))
    AND (%(edition)s::bigint IS NULL OR edition_id = %(edition)s::bigint)
    AND edition_id NOT IN (SELECT id FROM digest_edition WHERE hold <> '')
    AND id NOT IN (SELECT unnest(string_to_array(deliveries, ',')::bigint[])
        FROM digest_lease WHERE claimed_until IS NOT NULL)
ORDER BY not_before LIMIT %(limit)s""",
    sqlite="""
SELECT id, edition_id, subscriber_id, attempts, expires_at, not_before
FROM digest_delivery
WHERE is_open = 1 AND lane = %(lane)s AND state = 'pending' AND not_before <= %(due)s
    AND (not_before <= %(now)s OR (attempts = 0 AND reason = ''))
    AND (%(edition)s IS NULL OR edition_id = %(edition)s)
    AND edition_id NOT IN (SELECT id FROM digest_edition WHERE hold <> '')
    AND id NOT IN (SELECT value FROM digest_lease, json_each('[' || deliveries || ']')
        WHERE claimed_until IS NOT NULL)
ORDER BY not_before LIMIT %(limit)s""",
)
# Statistics of before a plan know of no open rows: so each claim would read and sort all.
IN_ORDER = "SET LOCAL enable_sort = off"
CLAIMING = 0x636C6169  # the advisory lock's number: one sender claims at a time


def one_at_a_time() -> None:
    """Keep others from a claim until this one is committed; they see its lease then.

    In a statement of its own, so that the next one looks after the wait. On SQLite the
    immediate transaction already stands alone.
    """
    if postgres():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [CLAIMING])
            cursor.execute(IN_ORDER)


def claim(
    now: datetime, *, limit: int, edition_id: int | None = None, due: datetime | None = None
) -> list[Claimed]:
    """Take up to `limit` due rows of the first lane that has some, oldest due first.

    The claim is the new lease that lists them: no row is written or locked.
    `due` is the instant to judge by, if another than now; the lease counts from now, and
    rows that were put off wait by the real clock, or one run would use up their attempts.
    The caller must `finish` the lease.
    """
    token = f"{logs.run_id()}{secrets.token_urlsafe(10)}"
    with transaction.atomic():
        one_at_a_time()
        found = []
        wanted = {"now": now, "due": due or now, "edition": edition_id, "limit": limit}
        for lane in Delivery.Lane:
            if found := fetch(CLAIM, lane=lane.value, **wanted):
                break
        found.sort(key=itemgetter(5, 0))
        if found:
            Lease.objects.create(
                token=token,
                claimed_until=now + CLAIM_LEASE,
                deliveries=",".join(str(row[0]) for row in found),
            )
    return [
        Claimed(pk, edition, person, attempts, token, instant(expires_at).isoformat())
        for pk, edition, person, attempts, expires_at, _ in found
    ]


def instant(stored: datetime | str) -> datetime:
    """Return an aware instant that a statement returned; SQLite's has no zone: UTC."""
    at = datetime.fromisoformat(stored) if isinstance(stored, str) else stored
    return at if at.tzinfo else at.replace(tzinfo=UTC)


# Write intents, by the primary keys of rows and readers and a suppression's hash. Not for a
# reader who was erased since the claim: the row would have picks of theirs again.
INTEND = Statement(
    postgresql="""
UPDATE digest_delivery
SET state = CASE WHEN expires_at <= %(due)s::timestamptz THEN 'expired'
        WHEN v.reason <> '' THEN 'skipped' ELSE 'submitting' END,
    reason = CASE WHEN expires_at <= %(due)s::timestamptz THEN %(too_late)s::text
        ELSE v.reason END,
    lease_token = %(token)s::text, picks = v.picks, relay = %(relay)s::text,
    intent_at = %(now)s::timestamptz,
    outcome_at = CASE WHEN expires_at <= %(due)s::timestamptz OR v.reason <> ''
        THEN %(now)s::timestamptz END
FROM (
    SELECT r.id, r.subscriber_id, r.picks, CASE
        WHEN p.id IS NULL OR p.state <> 'active' OR x.id IS NOT NULL
            THEN %(left)s::text
        ELSE r.fault END AS reason
    FROM unnest(%(id)s::bigint[], %(subscriber_id)s::bigint[], %(picks)s::text[],
        %(fault)s::text[]) AS r(id, subscriber_id, picks, fault)
    LEFT JOIN subscribers_subscriber p ON p.id = r.subscriber_id
    LEFT JOIN subscribers_suppression x ON x.email_hash = p.email_hash
) AS v
WHERE digest_delivery.id = v.id AND digest_delivery.state = 'pending'
    AND digest_delivery.subscriber_id IS NOT DISTINCT FROM v.subscriber_id
    AND digest_delivery.edition_id NOT IN (
        SELECT id FROM digest_edition WHERE hold <> '')
RETURNING digest_delivery.id, digest_delivery.state""",
    sqlite="""
UPDATE digest_delivery
SET state = CASE WHEN expires_at <= %(due)s THEN 'expired'
        WHEN v.reason <> '' THEN 'skipped' ELSE 'submitting' END,
    reason = CASE WHEN expires_at <= %(due)s THEN %(too_late)s ELSE v.reason END,
    lease_token = %(token)s, picks = v.picks, relay = %(relay)s, intent_at = %(now)s,
    outcome_at = CASE WHEN expires_at <= %(due)s OR v.reason <> '' THEN %(now)s END
FROM (
    SELECT r.id, r.subscriber_id, r.picks, CASE
        WHEN p.id IS NULL OR p.state <> 'active' OR x.id IS NOT NULL THEN %(left)s
        ELSE r.fault END AS reason
    FROM (
        SELECT CAST(value ->> 0 AS INTEGER) AS id,
            CAST(value ->> 1 AS INTEGER) AS subscriber_id,
            value ->> 2 AS picks, value ->> 3 AS fault
        FROM json_each(%(rows)s)) AS r
    LEFT JOIN subscribers_subscriber p ON p.id = r.subscriber_id
    LEFT JOIN subscribers_suppression x ON x.email_hash = p.email_hash
) AS v
WHERE digest_delivery.id = v.id AND digest_delivery.state = 'pending'
    AND digest_delivery.subscriber_id IS v.subscriber_id
    AND digest_delivery.edition_id NOT IN (
        SELECT id FROM digest_edition WHERE hold <> '')
RETURNING digest_delivery.id, digest_delivery.state""",
)
INTENT = ("id", "subscriber_id", "picks", "fault")


def intend(
    claimed: Sequence[Claimed],
    picks: Mapping[int, str],
    faults: Mapping[int, str] = MappingProxyType({}),
    *,
    now: datetime,
    due: datetime | None = None,
    relay: str = MAIN,
) -> set[int]:
    """Commit the intents to hand over and return the ids of the mails that may go out.

    Consent and suppression are looked at here, and again before the first of the mails
    begins: who leaves meanwhile is not locked out, and not written to. `picks` is
    delivery id → block positions, `faults` why a mail cannot be made; a row with a fault
    or without picks is skipped, one of a held edition stays pending. All rows carry one
    lease token, and go by one relay. When the lease is over, nothing is written.
    """
    token = claimed[0].lease_token
    rows = [
        (pk, row.subscriber_id, chosen, faults.get(pk, "" if chosen else Reason.NO_PAPER))
        for row in claimed
        for pk in [row.delivery_id]
        for chosen in [picks.get(pk, "")]
    ]
    with transaction.atomic(savepoint=False):
        # The lease first, as `rescue_expired` does: who comes second sees what the other did.
        if not change(EXTEND, until=now + HANDOVER_LEASE, token=token):
            return set()
        written = fetch(
            INTEND,
            rows=Rows(INTENT, rows, numbers=("id", "subscriber_id")),
            token=token,
            now=now,
            due=due or now,
            too_late=Reason.TOO_LATE.value,
            left=Reason.LEFT.value,
            relay=relay,
        )
    return {pk for pk, state in written if state == State.SUBMITTING}


# Extend a lease whose claim is not over, by its primary key.
EXTEND_LEASE = (
    "UPDATE digest_lease SET submitting_until = %(until)s"
    " WHERE token = %(token)s AND claimed_until IS NOT NULL"
)
EXTEND = Statement(EXTEND_LEASE, EXTEND_LEASE)
# Write outcomes, by the rows' primary keys. A row that has its end keeps of the token what
# names the run. One that is unknown keeps all, as its owner may still tell what became of it;
# one that is pending again, as it says that it was looked at under this lease.
RECORD = Statement(
    postgresql="""
UPDATE digest_delivery
SET state = v.state, reason = v.reason, reply = v.reply, outcome_at = %(now)s::timestamptz,
    not_before = COALESCE(v.not_before, digest_delivery.not_before),
    attempts = digest_delivery.attempts + v.charge,
    lease_token = CASE WHEN v.state IN ('unknown', 'pending') THEN lease_token
        ELSE substr(lease_token, 1, %(run)s) END
FROM unnest(%(id)s::bigint[], %(state)s::text[], %(reason)s::text[], %(reply)s::text[],
    %(not_before)s::timestamptz[], %(charge)s::bigint[])
    AS v(id, state, reason, reply, not_before, charge)
WHERE digest_delivery.id = v.id AND digest_delivery.lease_token = %(token)s
    AND (digest_delivery.state = 'submitting' OR (digest_delivery.state = 'unknown'
        AND v.state IN ('accepted', 'refused')))""",
    sqlite="""
UPDATE digest_delivery
SET state = v.state, reason = v.reason, reply = v.reply, outcome_at = %(now)s,
    not_before = COALESCE(v.not_before, digest_delivery.not_before),
    attempts = digest_delivery.attempts + v.charge,
    lease_token = CASE WHEN v.state IN ('unknown', 'pending') THEN lease_token
        ELSE substr(lease_token, 1, %(run)s) END
FROM (
    SELECT CAST(value ->> 0 AS INTEGER) AS id, value ->> 1 AS state, value ->> 2 AS reason,
        value ->> 3 AS reply, value ->> 4 AS not_before,
        CAST(value ->> 5 AS INTEGER) AS charge
    FROM json_each(%(rows)s)) AS v
WHERE digest_delivery.id = v.id AND digest_delivery.lease_token = %(token)s
    AND (digest_delivery.state = 'submitting' OR (digest_delivery.state = 'unknown'
        AND v.state IN ('accepted', 'refused')))""",
)
OUTCOME = ("id", "state", "reason", "reply", "not_before", "charge")


def record(
    outcomes: Mapping[int, Outcome], claimed: Sequence[Claimed], *, now: datetime
) -> int:
    """Write the outcomes of hand-overs and return how many rows took theirs.

    A slow owner whose lease ran out may still upgrade `unknown` to accepted or refused,
    by the same token, and never to pending.
    """
    owned = {row.delivery_id: row for row in claimed}
    judged = [outcome_row(owned[pk], outcome, now) for pk, outcome in outcomes.items()]
    rows = Rows(OUTCOME, judged, numbers=("id", "charge"))
    token = claimed[0].lease_token
    return change(RECORD, rows=rows, token=token, run=logs.RUN_LENGTH, now=now)


def outcome_row(row: Claimed, outcome: Outcome, now: datetime) -> tuple[object, ...]:
    """Return the row's new values, in the order of OUTCOME."""
    attempts = row.attempts + outcome.charged
    state, not_before = STATES[outcome.verdict], None
    if outcome.verdict is Verdict.RETRY:
        if attempts >= MOST_ATTEMPTS:
            state = State.REFUSED
        else:
            wait = max(backoff(attempts), timedelta(seconds=outcome.wait))
            not_before = now + wait
    reply = outcome.reply.replace("\0", "")[:500]
    charge = int(outcome.charged)
    reason = "" if outcome.reason == state else outcome.reason[:60]
    return row.delivery_id, state.value, reason, reply, not_before, charge


STATES = {
    Verdict.ACCEPTED: State.ACCEPTED,
    Verdict.REFUSED: State.REFUSED,
    Verdict.RETRY: State.PENDING,
    Verdict.UNKNOWN: State.UNKNOWN,
    Verdict.RETURNED: State.PENDING,
}


# Put rows off, by their primary keys, and never beyond their end.
PUT_OFF = Statement(
    postgresql="""
UPDATE digest_delivery
SET reason = v.reason, not_before = LEAST(v.until, digest_delivery.expires_at)
FROM unnest(%(id)s::bigint[], %(until)s::timestamptz[], %(reason)s::text[])
    AS v(id, until, reason)
WHERE digest_delivery.id = v.id AND digest_delivery.state = 'pending'""",
    sqlite="""
UPDATE digest_delivery
SET reason = v.reason, not_before = MIN(v.until, digest_delivery.expires_at)
FROM (
    SELECT CAST(value ->> 0 AS INTEGER) AS id, value ->> 1 AS until, value ->> 2 AS reason
    FROM json_each(%(rows)s)) AS v
WHERE digest_delivery.id = v.id AND digest_delivery.state = 'pending'""",
)


def finish(token: str, waits: Mapping[int, Wait] = MappingProxyType({})) -> None:
    """End a lease: what it lists and was not handed over is anybody's again.

    Some only after an instant each, by delivery id; no attempt is charged.
    """
    each = [(pk, wait.until, wait.reason) for pk, wait in waits.items()]
    with transaction.atomic():
        lease = Lease.objects.filter(pk=token)
        is_ours, _ = lease.filter(claimed_until__isnull=False).delete()
        if not is_ours:  # its rows have become anybody's
            lease.delete()
        elif each:
            change(PUT_OFF, rows=Rows(("id", "until", "reason"), each))


def give_back(token: str) -> None:
    """End the claim on what was not handed over. By the lease, what was ends as unknown."""
    Lease.objects.filter(pk=token).update(claimed_until=None)


def rescue_expired(now: datetime) -> tuple[int, int]:
    """End leases that ran out: charge what was claimed, and submitting → unknown.

    Return both counts.
    """
    returned = unknown = 0
    over = Lease.objects.filter(Q(claimed_until__lte=now) | Q(claimed_until=None))
    for token in over.values_list("pk", flat=True):
        with transaction.atomic():
            # Wait for a concurrent extension of the lease, then read the extended value.
            lease = Lease.objects.select_for_update().filter(pk=token).first()
            if lease is None:
                continue
            ids = [int(pk) for pk in lease.deliveries.split(",")]
            if lease.claimed_until:
                returned += charge(ids, token)
                give_back(token)
            if lease.submitting_until is None or lease.submitting_until <= now:
                unknown += mark_unknown(ids, token, now)
                lease.delete()
    return returned, unknown


def charge(ids: Sequence[int], token: str) -> int:
    """Charge rows that were claimed and not looked at an attempt each; return how many.

    One of them may be what the sender died of. A row that came back from an intent of this
    lease bears its token, and paid already if it had to.
    """
    untouched = Q(state=State.PENDING) & ~Q(lease_token=token)
    of_an_older_release = Q(state=State.CLAIMED, lease_token=token)
    rows = Delivery.objects.filter(untouched | of_an_older_release, pk__in=among(ids))
    return rows.update(state=State.PENDING, attempts=F("attempts") + 1)


def mark_unknown(ids: Sequence[int], token: str, now: datetime) -> int:
    """Mark submitting rows as unknown, as their mails may have gone; return how many."""
    rows = Delivery.objects.filter(pk__in=among(ids), lease_token=token)
    return rows.filter(state=State.SUBMITTING).update(
        state=State.UNKNOWN, reason=Reason.CRASHED, outcome_at=now
    )
