"""Plan: give every reader whose hour has come a row in the ledger.

The tick is a catch-up: it makes the rows of every due instant since the last one, for
however long that was. Of several editions due to a reader at once only the newest goes.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfoNotFoundError

from django.conf import settings
from django.db import connection

from digest.deliveries import ledger, preflight, schedule
from digest.models import Edition
from digest.sql import instant
from subscribers.models import Schedule, Subscriber

# A change commits a little after its `changed_at`: look back this far for it.
OVERLAP = timedelta(minutes=5)
# Editions older than this are never due to anybody.
HORIZON = timedelta(days=11)
SLICE = 1000

LATENESS = {
    Edition.Kind.DAILY: schedule.DAILY_LATENESS,
    Edition.Kind.WEEKLY: schedule.WEEKLY_LATENESS,
}

# Ids follow each other: times a prime, modulo the window, they fill it evenly.
SPREAD = {
    "postgresql": "CASE WHEN changed_at > %s THEN %s::timestamptz"
    " ELSE %s::timestamptz + make_interval(secs => id * 7919 %% %s) END",
    "sqlite": "CASE WHEN changed_at > %s THEN %s"
    " ELSE datetime(%s, '+' || (id * 7919 %% %s) || ' seconds') END",
}


def plan(now: datetime) -> int:
    """Rows made for all that is due at `now` and not too late."""
    return sum(plan_kind(kind, now) for kind in Edition.Kind)


def plan_kind(kind: Edition.Kind, now: datetime) -> int:
    editions = Edition.objects.filter(
        kind=kind,
        day__gte=(now - HORIZON).date(),
        day__lte=now.date(),
        published_at__lte=now,
    )
    made, superseded = 0, set[int]()
    for edition in editions.order_by("-day"):
        look(edition)
        dues = {pk: due for pk, due in due_instants(edition).items() if due <= now}
        fresh = {
            pk: due
            for pk, due in dues.items()
            if pk not in superseded and now - due < LATENESS[kind]
        }
        made += plan_schedules(edition, fresh, now)
        superseded |= dues.keys()
    return made


def plan_edition(edition: Edition, now: datetime) -> int:
    """Rows of this one edition for everybody whose hour has come, however late it is."""
    look(edition)
    dues = {pk: due for pk, due in due_instants(edition).items() if due <= now}
    expires_at = max(now, ledger.database_now()) + LATENESS[Edition.Kind(edition.kind)]
    made = 0
    for due_at, schedules in grouped(dues):
        made += insert_deliveries(edition, schedules, due_at=due_at, expires_at=expires_at)
    return made


def look(edition: Edition) -> None:
    """The first time: see that it can go out. Its rows are made anyway, to be counted."""
    if edition.planned_until is None and edition.hold == Edition.Hold.NONE:
        preflight.hold_if_failing(edition)


def due_instants(edition: Edition) -> dict[int, datetime]:
    """When this edition is due, per schedule id: a pure function of zones and days."""
    release = schedule.release_at(edition.day)
    weekly = edition.kind == Edition.Kind.WEEKLY
    schedules = Schedule.objects.all()
    schedules = (
        schedules.filter(cadence=Schedule.Cadence.WEEKLY)
        if weekly
        else schedules.exclude(cadence=Schedule.Cadence.WEEKLY)
    )
    columns = schedules.values_list("pk", "timezone", "send_hour", "days")
    return {pk: due_in_zone(release, zone, hour, days) for pk, zone, hour, days in columns}


def due_in_zone(release: datetime, zone: str, hour: int, days: int) -> datetime:
    """Return the due instant; in UTC for what is no zone, as tzdata drops names.

    At once for an hour or days that no calendar has. One odd row must not stop the rest.
    """
    for known in (zone, "UTC"):
        try:
            return schedule.due_at(release, timezone=known, hour=hour, days=days)
        except (ZoneInfoNotFoundError, ValueError, TypeError, OSError):
            continue
    return release


def plan_schedules(edition: Edition, dues: Mapping[int, datetime], now: datetime) -> int:
    """Rows for instants that came due since the last plan, and for readers changed since."""
    since = edition.planned_until
    looked_at = since - OVERLAP if since else None
    changed = (
        Subscriber.objects.filter(changed_at__gte=looked_at).exists() if looked_at else True
    )
    made = 0
    for due_at, schedules in grouped(dues):
        newly = looked_at is None or due_at > looked_at
        if newly or changed:
            made += insert_deliveries(
                edition,
                schedules,
                due_at=due_at,
                expires_at=due_at + LATENESS[Edition.Kind(edition.kind)],
                changed_since=None if newly else looked_at,
            )
    # Compare and set: a slower planner must not move it back.
    Edition.objects.filter(pk=edition.pk, planned_until=since).update(planned_until=now)
    return made


def grouped(dues: Mapping[int, datetime]) -> Iterable[tuple[datetime, list[int]]]:
    """Due instants with their schedules, in slices a statement can hold."""
    groups = defaultdict(list)
    for pk, due in dues.items():
        groups[due].append(pk)
    for due in sorted(groups):
        for start in range(0, len(groups[due]), SLICE):
            yield due, groups[due][start : start + SLICE]


def insert_deliveries(
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
