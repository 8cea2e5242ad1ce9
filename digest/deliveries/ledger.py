"""The ledger's transitions: one statement or one short transaction for a whole slice.

Every function takes `now` and may run twice, at once, or not to its end. `now` is the
database's clock (`database_now`), so that a machine with a wrong clock does no harm;
leases are checked by token, so a sender that slept through its lease changes nothing.
"""

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.db.models import F

from digest.deliveries.outcomes import Outcome, Verdict, backoff
from digest.models import Delivery, Edition
from subscribers.models import Subscriber

State = Delivery.State

# Long enough to rank and compose a slice; short, as a dead sender's rows wait for it.
CLAIM_LEASE = timedelta(minutes=2)
# Longer than a submit group can take: replies are waited for up to two minutes each.
HANDOVER_LEASE = timedelta(minutes=15)
MOST_ATTEMPTS = 8


@dataclass(frozen=True, slots=True)
class Claimed:
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


def materialise(
    edition: Edition,
    schedules: Sequence[int],
    *,
    due_at: datetime,
    expires_at: datetime,
    changed_since: datetime | None = None,
) -> int:
    """Make a pending row for each active reader of these schedules who has none.

    One INSERT … SELECT, whatever their number; delivery_unique drops repeats. With
    `changed_since`, only readers whose state or schedule changed from then on.
    """
    instant = connection.ops.adapt_datetimefield_value
    marks = ", ".join(["%s"] * len(schedules))
    sql = (
        "INSERT INTO digest_delivery (edition_id, subscriber_id, state, due_at, not_before,"
        " expires_at, attempts, lease_token, picks, reason, reply)"
        " SELECT %s, id, 'pending', %s, %s, %s, 0, '', '', '', ''"
        " FROM subscribers_subscriber"
        f" WHERE state = 'active' AND schedule_id IN ({marks})"
    )
    due, expires = instant(due_at), instant(expires_at)
    values = [edition.pk, due, due, expires, *schedules]
    if changed_since:
        sql += " AND changed_at >= %s"
        values.append(instant(changed_since))
    with connection.cursor() as cursor:
        cursor.execute(sql + " ON CONFLICT (edition_id, subscriber_id) DO NOTHING", values)
        return int(cursor.rowcount)


def claim(now: datetime, *, limit: int, edition_id: int | None = None) -> list[Claimed]:
    """Take up to `limit` due rows, oldest due first; nobody else gets them meanwhile.

    SKIP LOCKED on PostgreSQL; on SQLite the IMMEDIATE transaction keeps others out.
    """
    token = secrets.token_urlsafe(16)
    ready = Delivery.objects.ready(now)
    if edition_id is not None:
        ready = ready.filter(edition=edition_id)
    with transaction.atomic():
        skip = connection.features.has_select_for_update_skip_locked
        ids = list(
            ready.select_for_update(skip_locked=skip).values_list("pk", flat=True)[:limit]
        )
        Delivery.objects.filter(pk__in=ids).update(
            state=State.CLAIMED, lease_token=token, lease_until=now + CLAIM_LEASE
        )
    rows = Delivery.objects.filter(lease_token=token, state=State.CLAIMED)
    values = rows.order_by("not_before", "pk").values_list(
        "pk", "edition_id", "subscriber_id", "attempts"
    )
    return [Claimed(*row, lease_token=token) for row in values]


def intend(
    claimed: Sequence[Claimed], picks: Mapping[int, str], *, now: datetime
) -> set[int]:
    """Commit the intent to hand over; the ids that may go out, and nothing else may.

    Consent and suppression are looked at under the readers' row locks: an unsubscribe
    that has answered is seen here. `picks` is delivery id → block positions; a row
    without picks is skipped. All rows carry one lease token.
    """
    readers = Subscriber.objects.filter(pk__in=[row.subscriber_id or 0 for row in claimed])
    no_key = connection.features.has_select_for_no_key_update
    with transaction.atomic(savepoint=False):
        # Two statements: the second sees what whoever held a lock has committed.
        list(readers.order_by("pk").select_for_update(no_key=no_key).values_list("pk"))
        return submitting(claimed, picks, now)


SUBMIT = """
UPDATE digest_delivery
SET state = CASE v.reason WHEN '' THEN 'submitting' WHEN 'too late' THEN 'expired'
        ELSE 'skipped' END,
    reason = v.reason, picks = v.picks, intent_at = %s,
    outcome_at = CASE v.reason WHEN '' THEN NULL ELSE {instant} END,
    lease_until = CASE v.reason WHEN '' THEN {instant} ELSE NULL END
FROM (
    SELECT r.id, r.picks, CASE
        WHEN d.expires_at <= %s THEN 'too late'
        WHEN s.id IS NULL THEN 'no longer subscribed'
        WHEN r.picks = '' THEN 'no paper of the reader''s topics'
        ELSE '' END AS reason
    FROM {rows}
    JOIN digest_delivery d ON d.id = r.id
    LEFT JOIN subscribers_subscriber s ON s.id = d.subscriber_id AND s.state = 'active'
        AND NOT EXISTS (
            SELECT 1 FROM subscribers_suppression x WHERE x.email_hash = s.email_hash)
) AS v
WHERE digest_delivery.id = v.id AND digest_delivery.lease_token = %s
    AND digest_delivery.state = 'claimed'
RETURNING digest_delivery.id, digest_delivery.state
"""


def submitting(
    claimed: Sequence[Claimed], picks: Mapping[int, str], now: datetime
) -> set[int]:
    adapted = connection.ops.adapt_datetimefield_value
    rows = [
        {"id": row.delivery_id, "picks": picks.get(row.delivery_id, "")} for row in claimed
    ]
    typed = "%s" if connection.vendor == "sqlite" else "%s::timestamptz"
    sql = SUBMIT.format(instant=typed, rows=json_rows("r", "id", "picks"))
    instant, lease = adapted(now), adapted(now + HANDOVER_LEASE)
    values = [instant, instant, lease, instant, json.dumps(rows), claimed[0].lease_token]
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return {pk for pk, state in cursor.fetchall() if state == State.SUBMITTING}


def json_rows(name: str, key: str, *columns: str) -> str:
    """FROM-clause that reads one JSON parameter as rows NAME(key bigint, columns text)."""
    if connection.vendor == "sqlite":
        parts = [f"CAST(value ->> '{key}' AS INTEGER) AS {key}"]
        parts += [f"value ->> '{column}' AS {column}" for column in columns]
        return f"(SELECT {', '.join(parts)} FROM json_each(%s)) AS {name}"
    typed = ", ".join([f"{key} bigint", *(f"{column} text" for column in columns)])
    return f"json_to_recordset(%s) AS {name}({typed})"


def record(
    outcomes: Mapping[int, Outcome], claimed: Sequence[Claimed], *, now: datetime
) -> int:
    """Write the outcomes of hand-overs; how many rows took theirs.

    A slow owner whose lease ran out may still upgrade `unknown` to accepted or refused,
    by the same token, and never to pending.
    """
    owned = {row.delivery_id: row for row in claimed}
    rows = json.dumps(
        [outcome_row(owned[pk], result, now) for pk, result in outcomes.items()]
    )
    stamp = "v.not_before" if connection.vendor == "sqlite" else "v.not_before::timestamptz"
    sql = (
        "UPDATE digest_delivery SET state = v.state, reason = v.reason, reply = v.reply,"
        f" not_before = COALESCE({stamp}, digest_delivery.not_before),"
        " attempts = digest_delivery.attempts + CAST(v.charge AS INTEGER),"
        " outcome_at = %s, lease_until = NULL,"
        " lease_token = CASE WHEN v.state = 'pending' THEN '' ELSE lease_token END"
        f" FROM {json_rows('v', 'id', 'state', 'reason', 'reply', 'not_before', 'charge')}"
        " WHERE digest_delivery.id = v.id AND digest_delivery.lease_token = %s"
        " AND (digest_delivery.state = 'submitting' OR (digest_delivery.state = 'unknown'"
        " AND v.state IN ('accepted', 'refused')))"
    )
    with connection.cursor() as cursor:
        instant = connection.ops.adapt_datetimefield_value(now)
        cursor.execute(sql, [instant, rows, claimed[0].lease_token])
        return int(cursor.rowcount)


def outcome_row(row: Claimed, outcome: Outcome, now: datetime) -> dict[str, object]:
    attempts = row.attempts + outcome.charged
    state, not_before = State(STATES[outcome.verdict]), None
    if outcome.verdict is Verdict.RETRY:
        if attempts >= MOST_ATTEMPTS:
            state = State.REFUSED
        else:
            not_before = str(
                connection.ops.adapt_datetimefield_value(now + backoff(attempts))
            )
    return {
        "id": row.delivery_id,
        "state": state.value,
        "reason": outcome.reason[:60],
        "reply": outcome.reply.replace("\0", "")[:500],
        "not_before": not_before,
        "charge": int(outcome.charged),
    }


STATES = {
    Verdict.ACCEPTED: State.ACCEPTED,
    Verdict.REFUSED: State.REFUSED,
    Verdict.RETRY: State.PENDING,
    Verdict.UNKNOWN: State.UNKNOWN,
}


def release(claimed: Sequence[Claimed]) -> int:
    """Give back rows that were claimed and not handed over."""
    return Delivery.objects.filter(
        pk__in=[row.delivery_id for row in claimed],
        lease_token=claimed[0].lease_token,
        state=State.CLAIMED,
    ).update(state=State.PENDING, lease_token="", lease_until=None)


def reap(now: datetime) -> tuple[int, int]:
    """End leases that ran out: claimed → pending, submitting → unknown. Counts of both."""
    over = Delivery.objects.filter(lease_until__lte=now)
    returned = over.filter(state=State.CLAIMED).update(
        state=State.PENDING,
        lease_token="",
        lease_until=None,
        attempts=F("attempts") + 1,
    )
    unknown = over.filter(state=State.SUBMITTING).update(
        state=State.UNKNOWN,
        reason="crashed in flight",
        lease_until=None,
        outcome_at=now,
    )
    return returned, unknown
