"""Materialise: an edition's rows for all readers of a due instant, in one statement."""

from collections.abc import Sequence
from datetime import datetime

from django.conf import settings
from django.db import connection

from digest.deliveries.statements import instant
from digest.models import Edition

# Ids follow each other: times a prime, modulo the window, they fill it evenly.
SPREAD = {
    "postgresql": "CASE WHEN changed_at > %s THEN %s::timestamptz"
    " ELSE %s::timestamptz + make_interval(secs => id * 7919 %% %s) END",
    "sqlite": "CASE WHEN changed_at > %s THEN %s"
    " ELSE datetime(%s, '+' || (id * 7919 %% %s) || ' seconds') END",
}


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
    `changed_since`, only readers whose state or schedule changed from then on. Readers are
    spread over SEND_WINDOW, each always at the same second of it; who changed after the
    instant (who has just confirmed, say) does not wait.
    """
    marks = ", ".join(["%s"] * len(schedules))
    window = settings.SEND_WINDOW * 60
    sql = (
        "INSERT INTO digest_delivery (edition_id, subscriber_id, state, due_at, not_before,"
        " expires_at, attempts, lease_token, picks, reason, reply)"
        f" SELECT %s, id, 'pending', %s, {SPREAD[connection.vendor] if window else '%s'},"
        " %s, 0, '', '', '', ''"
        " FROM subscribers_subscriber"
        f" WHERE state = 'active' AND schedule_id IN ({marks})"
    )
    due, expires = instant(due_at), instant(expires_at)
    spread = [due, due, due, window] if window else [due]
    values = [edition.pk, due, *spread, expires, *schedules]
    if changed_since:
        sql += " AND changed_at >= %s"
        values.append(instant(changed_since))
    with connection.cursor() as cursor:
        cursor.execute(sql + " ON CONFLICT (edition_id, subscriber_id) DO NOTHING", values)
        return int(cursor.rowcount)
