"""The ledger's transitions: one statement or one short transaction for a whole slice.

Every function takes `now` and may run twice, at once, or not to its end. `now` is the
database's clock (`database_now`), so that a machine with a wrong clock does no harm;
rows are written by lease token, so a sender that slept through its lease changes nothing.
"""

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from operator import itemgetter
from types import MappingProxyType
from typing import Any, NamedTuple

from django.db import connection, transaction
from django.db.models import F

from digest.models import Delivery, Lease
from digest.sql import among, id_list, instant, postgres, rows, typed
from digest.throttling.domains import Wait
from digest.transport.outcomes import Outcome, Verdict, backoff

State, Reason = Delivery.State, Delivery.Reason

# Long enough to rank and compose a slice; short, as a dead sender's rows wait for it.
CLAIM_LEASE = timedelta(minutes=2)
# Longer than a submit group can take: replies are waited for up to two minutes each.
HANDOVER_LEASE = timedelta(minutes=15)
MOST_ATTEMPTS = 8


class Claimed(NamedTuple):
    """A row that this sender owns until its lease ends."""

    delivery_id: int
    edition_id: int
    subscriber_id: int | None
    attempts: int
    lease_token: str


def database_now() -> datetime:
    """The database's clock, aware, UTC: the one clock of due instants and leases."""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("SELECT strftime('%%Y-%%m-%%dT%%H:%%M:%%f+00:00', 'now')", [])
            return datetime.fromisoformat(cursor.fetchone()[0])
        cursor.execute("SELECT clock_timestamp()")
        value: datetime = cursor.fetchone()[0]
        return value


CLAIM = """
UPDATE digest_delivery SET state = 'claimed', lease_token = %s
WHERE id {chosen}
RETURNING id, edition_id, subscriber_id, attempts, not_before
"""
# ARRAY(): the sub-select runs once, whatever the planner thinks of it.
CHOSEN = {
    "postgresql": "= ANY(ARRAY({ready} FOR UPDATE SKIP LOCKED))",
    "sqlite": "IN ({ready})",
}
# Statistics of before a plan know of no open rows: so each claim would read and sort all.
IN_ORDER = "SET LOCAL enable_sort = off"
NOT_HELD = "edition_id NOT IN (SELECT id FROM digest_edition WHERE hold <> '')"
# As the index says it: SQLite takes a partial index by its very words.
OPEN = {"postgresql": "is_open", "sqlite": "is_open = 1"}
READY = f"""SELECT id FROM digest_delivery WHERE {{open}} AND state = 'pending'
AND not_before <= %s AND {NOT_HELD} {{one}} ORDER BY not_before LIMIT %s"""


def claim(
    now: datetime, *, limit: int, edition_id: int | None = None, due: datetime | None = None
) -> list[Claimed]:
    """Take up to `limit` due rows, oldest due first; nobody else gets them meanwhile.

    What is due by `due`, if it is another instant than now; the lease counts from now.
    Uses the index delivery_open; SKIP LOCKED on PostgreSQL, while on SQLite one writer
    at a time keeps others out. Who claims must `finish`.
    """
    token = secrets.token_urlsafe(16)
    vendor = connection.vendor
    which = "" if edition_id is None else "AND edition_id = %s"
    # What was put off waits by the real clock, or one run would use up all its attempts.
    if ahead := due is not None and due > now:
        which += " AND (not_before <= %s OR (attempts = 0 AND reason = ''))"
    ready = READY.format(open=OPEN[vendor], one=which)
    sql = CLAIM.format(chosen=CHOSEN[vendor].format(ready=ready))
    one: list[Any] = [] if edition_id is None else [edition_id]
    if ahead:
        one.append(instant(now))
    with transaction.atomic(), connection.cursor() as cursor:
        if postgres():
            cursor.execute(IN_ORDER)
        cursor.execute(sql, [token, instant(due or now), *one, limit])
        found = sorted(cursor.fetchall(), key=itemgetter(4, 0))
        if found:
            Lease.objects.create(
                token=token,
                claimed_until=now + CLAIM_LEASE,
                deliveries=",".join(str(row[0]) for row in found),
            )
    return [
        Claimed(pk, edition, person, attempts, token)
        for pk, edition, person, attempts, _ in found
    ]


LOCK = "SELECT id FROM subscribers_subscriber WHERE id {readers} ORDER BY id {lock}"
# A statement of its own after LOCK: it sees what whoever held a lock has committed, so an
# unsubscribe that has answered is seen.
INTEND = """
UPDATE digest_delivery
SET state = CASE WHEN expires_at <= {due} THEN 'expired'
        WHEN v.reason <> '' THEN 'skipped' ELSE 'submitting' END,
    reason = CASE WHEN expires_at <= {due} THEN '{too_late}' ELSE v.reason END,
    picks = v.picks, intent_at = {now},
    outcome_at = CASE WHEN expires_at <= {due} OR v.reason <> '' THEN {now} END
FROM (
    SELECT r.id, r.picks, CASE
        WHEN p.id IS NULL OR p.state <> 'active' OR x.id IS NOT NULL
            THEN '{left}'
        ELSE r.fault END AS reason
    FROM {rows} LEFT JOIN subscribers_subscriber p ON p.id = r.subscriber_id
    LEFT JOIN subscribers_suppression x ON x.email_hash = p.email_hash
) AS v
WHERE digest_delivery.id = v.id AND digest_delivery.lease_token = %s
    AND digest_delivery.state = 'claimed' AND digest_delivery.{not_held}
RETURNING digest_delivery.id, digest_delivery.state
"""

# As the statement says them: it is the same for every group, so that it is planned once.
ENDS = {"too_late": Reason.TOO_LATE.value, "left": Reason.LEFT.value}


def intend(
    claimed: Sequence[Claimed],
    picks: Mapping[int, str],
    faults: Mapping[int, str] = MappingProxyType({}),
    *,
    now: datetime,
    due: datetime | None = None,
) -> set[int]:
    """Commit the intent to hand over; the ids that may go out, and nothing else may.

    Consent and suppression are looked at under the readers' row locks. `picks` is
    delivery id → block positions, `faults` why a mail cannot be made; a row with a fault
    or without picks is skipped, one of a held edition stays claimed. All rows carry one
    lease token.
    """
    readers, people = id_list(sorted({row.subscriber_id or 0 for row in claimed}))
    lock = "FOR NO KEY UPDATE" if postgres() else ""
    source, values = rows(
        "r",
        {"id": "bigint", "subscriber_id": "bigint", "picks": "text", "fault": "text"},
        [
            (
                pk,
                row.subscriber_id,
                chosen,
                faults.get(pk, "" if chosen else Reason.NO_PAPER),
            )
            for row in claimed
            for pk in [row.delivery_id]
            for chosen in [picks.get(pk, "")]
        ],
    )
    sql = INTEND.format(now=typed(), due=typed(), rows=source, not_held=NOT_HELD, **ENDS)
    token, stamp, late = claimed[0].lease_token, instant(now), instant(due or now)
    with transaction.atomic(savepoint=False), connection.cursor() as cursor:
        # The lease first, as `rescue_expired` does: so neither waits for the other in a circle.
        cursor.execute(EXTEND, [instant(now + HANDOVER_LEASE), token])
        cursor.execute(LOCK.format(readers=readers, lock=lock), [people])
        cursor.execute(sql, [late, late, stamp, late, stamp, *values, token])
        return {pk for pk, state in cursor.fetchall() if state == State.SUBMITTING}


EXTEND = "UPDATE digest_lease SET submitting_until = %s WHERE token = %s"
RECORD = """
UPDATE digest_delivery
SET state = v.state, reason = v.reason, reply = v.reply, outcome_at = {now},
    not_before = COALESCE(v.not_before, digest_delivery.not_before),
    attempts = digest_delivery.attempts + v.charge,
    lease_token = CASE WHEN v.state = 'pending' THEN '' ELSE lease_token END
FROM {rows}
WHERE digest_delivery.id = v.id AND digest_delivery.lease_token = %s
    AND (digest_delivery.state = 'submitting' OR (digest_delivery.state = 'unknown'
        AND v.state IN ('accepted', 'refused')))
"""
OUTCOME = {
    "id": "bigint",
    "state": "text",
    "reason": "text",
    "reply": "text",
    "not_before": "timestamptz",
    "charge": "bigint",
}


def record(
    outcomes: Mapping[int, Outcome], claimed: Sequence[Claimed], *, now: datetime
) -> int:
    """Write the outcomes of hand-overs; how many rows took theirs.

    A slow owner whose lease ran out may still upgrade `unknown` to accepted or refused,
    by the same token, and never to pending.
    """
    owned = {row.delivery_id: row for row in claimed}
    judged = [outcome_row(owned[pk], outcome, now) for pk, outcome in outcomes.items()]
    source, values = rows("v", OUTCOME, judged)
    sql = RECORD.format(now=typed(), rows=source)
    with connection.cursor() as cursor:
        cursor.execute(sql, [instant(now), *values, claimed[0].lease_token])
        return int(cursor.rowcount)


def outcome_row(row: Claimed, outcome: Outcome, now: datetime) -> tuple[object, ...]:
    """The row's new values, in the order of OUTCOME."""
    attempts = row.attempts + outcome.charged
    state, not_before = STATES[outcome.verdict], None
    if outcome.verdict is Verdict.RETRY:
        if attempts >= MOST_ATTEMPTS:
            state = State.REFUSED
        else:
            wait = max(backoff(attempts), timedelta(seconds=outcome.wait))
            not_before = instant(now + wait)
    reply = outcome.reply.replace("\0", "")[:500]
    charge = int(outcome.charged)
    return row.delivery_id, state.value, outcome.reason[:60], reply, not_before, charge


STATES = {
    Verdict.ACCEPTED: State.ACCEPTED,
    Verdict.REFUSED: State.REFUSED,
    Verdict.RETRY: State.PENDING,
    Verdict.UNKNOWN: State.UNKNOWN,
    Verdict.RETURNED: State.PENDING,
}


def finish(token: str, rest: Sequence[Claimed]) -> None:
    """Give up a lease, and the rows that were claimed and not handed over."""
    with transaction.atomic():
        Lease.objects.filter(pk=token).delete()
        if rest:
            give_back([row.delivery_id for row in rest], token)


def give_back(ids: Sequence[int], token: str, **changes: object) -> int:
    """claimed → pending, for as far as the rows are still under this lease."""
    rows = Delivery.objects.filter(pk__in=among(ids), lease_token=token)
    return rows.filter(state=State.CLAIMED).update(
        state=State.PENDING, lease_token="", **changes
    )


PUT_OFF = """
UPDATE digest_delivery
SET state = 'pending', lease_token = '', reason = v.reason,
    not_before = {least}(v.until, digest_delivery.expires_at)
FROM {rows}
WHERE digest_delivery.id = v.id AND digest_delivery.lease_token = %s
    AND digest_delivery.state = 'claimed'
"""


def put_off(waits: Mapping[int, Wait], token: str) -> int:
    """claimed → pending until an instant each; nothing is charged for it."""
    columns = {"id": "bigint", "until": "timestamptz", "reason": "text"}
    each = [(pk, instant(wait.until), wait.reason) for pk, wait in waits.items()]
    source, values = rows("v", columns, each)
    sql = PUT_OFF.format(least="LEAST" if postgres() else "MIN", rows=source)
    with connection.cursor() as cursor:
        cursor.execute(sql, [*values, token])
        return int(cursor.rowcount)


def rescue_expired(now: datetime) -> tuple[int, int]:
    """End leases that ran out: claimed → pending, submitting → unknown. Counts of both."""
    returned = unknown = 0
    for token in Lease.objects.filter(claimed_until__lte=now).values_list("pk", flat=True):
        with transaction.atomic():
            # Who extends it at this moment is waited for, and read after.
            lease = Lease.objects.select_for_update().filter(pk=token).first()
            if lease is None:
                continue
            ids = [int(pk) for pk in lease.deliveries.split(",")]
            returned += give_back(ids, token, attempts=F("attempts") + 1)
            if lease.submitting_until is None or lease.submitting_until <= now:
                unknown += mark_unknown(ids, token, now)
                lease.delete()
    return returned, unknown


def mark_unknown(ids: Sequence[int], token: str, now: datetime) -> int:
    """submitting → unknown: the mail may have gone."""
    rows = Delivery.objects.filter(pk__in=among(ids), lease_token=token)
    return rows.filter(state=State.SUBMITTING).update(
        state=State.UNKNOWN, reason=Reason.CRASHED, outcome_at=now
    )
