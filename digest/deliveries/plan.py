"""Plan: give every reader whose hour has come a row in the ledger.

The tick is a catch-up: it makes the rows of every due instant since the last one, for
however long that was. Of several editions due to a reader at once only the newest goes.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from zoneinfo import ZoneInfoNotFoundError

from digest.deliveries import canary, ledger, schedule
from digest.deliveries.materialise import materialise
from digest.models import Edition
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
        made += materialise(edition, schedules, due_at=due_at, expires_at=expires_at)
    return made


def look(edition: Edition) -> None:
    """The first time: see that it can go out. Its rows are made anyway, to be counted."""
    if edition.planned_until is None and edition.hold == Edition.Hold.NONE:
        canary.hold_if_unsound(edition)


def due_instants(edition: Edition) -> dict[int, datetime]:
    """When this edition is due, per schedule id: a pure function of zones and days."""
    release = schedule.release_at(edition.day)
    weekly = edition.kind == Edition.Kind.WEEKLY
    wishes = Schedule.objects.all()
    wishes = (
        wishes.filter(cadence=Schedule.Cadence.WEEKLY)
        if weekly
        else wishes.exclude(cadence=Schedule.Cadence.WEEKLY)
    )
    columns = wishes.values_list("pk", "timezone", "send_hour", "days")
    return {pk: due_in_zone(release, zone, hour, days) for pk, zone, hour, days in columns}


def due_in_zone(release: datetime, zone: str, hour: int, days: int) -> datetime:
    """In UTC where tzdata has dropped the zone: one odd row must not stop the rest."""
    try:
        return schedule.due_at(release, timezone=zone, hour=hour, days=days)
    except ZoneInfoNotFoundError:
        return schedule.due_at(release, timezone="UTC", hour=hour, days=days)


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
            made += materialise(
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
