"""Plan: give every reader whose hour has come a row in the ledger.

The tick is a catch-up: it makes the rows of every due instant since the last one, for
however long that was. Of several editions due to a reader at once only the newest goes; the
rows of the others say that it superseded them, and as they have no picks, their papers stay
unseen. A reader who was away gets the mail of what they missed in place of the newest, if
they wish.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfoNotFoundError

from django.db import transaction
from django.db.models import QuerySet

from digest.deliveries import ledger, schedule
from digest.deliveries.planned_rows import (
    Check,
    Newer,
    Part,
    insert_announced,
    insert_deliveries,
    insert_ended,
    insert_missed,
)
from digest.deliveries.schedule import Standing
from digest.models import Delivery, Edition
from digest.sql import Statement, fetch
from subscribers.models import Schedule, Subscriber

State, Reason = Delivery.State, Delivery.Reason

# A change commits a little after its `changed_at`, by another machine's clock, which may be
# ten minutes behind the database's: look back this far for it.
OVERLAP = timedelta(minutes=15)
# Editions older than this are never due to anybody.
HORIZON = timedelta(days=11)
# A week that nobody published in time is published this many days later at most.
WEEKS_BACK = 3
SLICE = 1000

LATENESS = {
    Edition.Kind.DAILY: schedule.DAILY_LATENESS,
    Edition.Kind.WEEKLY: schedule.WEEKLY_LATENESS,
    Edition.Kind.MISSED: schedule.DAILY_LATENESS,
}


def plan(now: datetime, check: Check | None = None) -> int:
    """Make rows for all that is due at `now` and return how many are to be sent.

    An edition that is published for it, of what readers missed, is looked at by `check`
    before it has rows.
    """
    made = sum(plan_kind(kind, now, check) for kind in LATENESS)
    return made + plan_announcements(now, check)


def plan_announcements(now: datetime, check: Check | None) -> int:
    """Make the rows of announcements that were started since the last plan.

    One that is held gets its rows all the same, as it may be resumed.
    """
    started = Edition.objects.filter(
        kind=Edition.Kind.ANNOUNCEMENT, planned_until=None, published_at__lte=now
    ).exclude(hold=Edition.Hold.CANCELLED)
    made = 0
    for edition in started.select_related("announcement"):
        if check:
            check(Edition.objects.filter(pk=edition.pk), now)
        made += insert_announced(edition, now)
    return made


def due_editions(now: datetime) -> QuerySet[Edition]:
    """Return the editions of papers that may be due to somebody, newest first."""
    return (
        Edition.objects.of_papers()
        .filter(
            day__gte=(now - HORIZON).date(),
            day__lte=now.date(),
            published_at__lte=now,
            folded_at=None,
        )
        .order_by("-day")
    )


def plan_kind(kind: Edition.Kind, now: datetime, check: Check | None) -> int:
    made = 0
    newer: dict[int, Newer] = {}
    for edition in due_editions(now).filter(kind=kind):
        dues = {pk: due for pk, due in due_instants(edition).items() if due <= now}
        made += plan_schedules(edition, dues, newer, now, check)
        # The newest due edition goes; the next newer one ended the turn of this one.
        for pk, due in dues.items():
            newer[pk] = Newer(due, newer[pk].goes if pk in newer else str(edition))
    return made


def plan_edition(edition: Edition, now: datetime) -> int:
    """Make rows of this edition for all readers whose hour has come, however late it is.

    Revives rows that ended as too late or superseded and were never handed over.
    Returns how many rows are to be sent: none of an edition whose rows are folded.
    """
    dues = {pk: due for pk, due in due_instants(edition).items() if due <= now}
    expires_at = max(now, ledger.database_now()) + LATENESS[Edition.Kind(edition.kind)]
    has_ended = ended_unsent(edition).exists()  # else each part would look for none
    made = 0
    for due_at, schedules in grouped(dues):
        part = Part(edition, schedules, due_at, expires_at)
        with transaction.atomic():
            # So that its rows are not folded meanwhile: a reader would get another.
            if not fetch(UNFOLDED, edition=edition.pk):
                break
            made += insert_deliveries(part)
            made += revive(part) if has_ended else 0
    return made


# Keep an edition from being closed until the commit, and see whether it is. No other change
# of it waits for that.
UNFOLDED = Statement(
    "SELECT 1 FROM digest_edition"
    " WHERE id = %(edition)s AND folded_at IS NULL FOR KEY SHARE",
    "SELECT 1 FROM digest_edition WHERE id = %(edition)s AND folded_at IS NULL",
)


def ended_unsent(edition: Edition) -> QuerySet[Delivery]:
    """Return the edition's rows that ended for the calendar's sake, by delivery_outcome."""
    return Delivery.objects.filter(
        edition=edition,
        state__in=[State.SKIPPED, State.EXPIRED],
        reason__in=[Reason.SUPERSEDED, Reason.TOO_LATE],
        intent_at=None,
        outcome_at__isnull=False,
    )


def revive(part: Part) -> int:
    """Make rows pending again that ended unsent and return how many; for operators only."""
    ended = ended_unsent(part.edition).filter(
        subscriber__schedule__in=part.schedules,
        subscriber__state=Subscriber.State.ACTIVE,
    )
    return ended.update(
        state=State.PENDING,
        reason="",
        reply="",
        outcome_at=None,
        not_before=part.due_at,
        expires_at=part.expires_at,
    )


def due_instants(edition: Edition) -> dict[int, datetime]:
    """Return the due instant of this edition by schedule id."""
    match edition.kind:
        case Edition.Kind.DAILY:
            return daily_instants(edition.day)
        case Edition.Kind.WEEKLY:
            return weekly_instants(edition.day)
    return {}  # it goes to readers one by one, in place of another


def daily_instants(day: date) -> dict[int, datetime]:
    return instants(Schedule.objects.exclude(cadence=Schedule.Cadence.WEEKLY), day)


def weekly_instants(day: date) -> dict[int, datetime]:
    """Return the instants of the schedules that get the week that ends on this day."""
    release = schedule.release_at(day)
    found = instants(Schedule.objects.filter(cadence=Schedule.Cadence.WEEKLY), day)
    return {pk: due for pk, due in found.items() if schedule.is_of_the_week(release, due)}


def instants(schedules: QuerySet[Schedule], day: date) -> dict[int, datetime]:
    release = schedule.release_at(day)
    columns = schedules.values_list("pk", "timezone", "send_hour", "days")
    return {pk: due_in_zone(release, zone, hour, days) for pk, zone, hour, days in columns}


def week_end(day: date) -> date:
    """Return the first day, from `day` on, whose week some schedule gets; else its Sunday."""
    week = [day + timedelta(days=n) for n in range(7)]
    sunday = week[6 - day.weekday()]
    return next((each for each in week if weekly_instants(each)), sunday)


def weeks_wanted(newest: date) -> list[date]:
    """Return the last days, up to `newest`, whose week somebody gets and that is in time."""
    last = [newest - timedelta(days=ago) for ago in range(WEEKS_BACK)]
    wanted = []
    for day in reversed(last):
        schedules = weekly_instants(day)
        active = Subscriber.objects.filter(
            schedule__in=schedules, state=Subscriber.State.ACTIVE
        )
        if schedules and active.exists():
            wanted.append(day)
    return wanted


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


def plan_schedules(
    edition: Edition,
    dues: Mapping[int, datetime],
    newer: Mapping[int, Newer],
    now: datetime,
    check: Check | None,
) -> int:
    """Make rows for instants due since the last plan and for readers changed since.

    Returns how many are to be sent; rows of a superseded or late edition end here.
    """
    since, lateness = edition.planned_until, LATENESS[Edition.Kind(edition.kind)]
    looked_at = since - OVERLAP if since else None
    changed = changed_schedules(looked_at) if looked_at else set[int]()
    groups = defaultdict(list)
    for pk, due in dues.items():
        newly = looked_at is None or due > looked_at
        if newly or pk in changed:
            groups[due, newer.get(pk), newly].append(pk)
    made = 0
    for (due, after, newly), schedules in sorted(groups.items(), key=lambda one: one[0][0]):
        is_now = schedule.standing(due, after and after.due, now=now, lateness=lateness)
        for start in range(0, len(schedules), SLICE):
            part = Part(
                edition,
                schedules[start : start + SLICE],
                due,
                due + lateness,
                changed_since=None if newly else looked_at,
            )
            if is_now is Standing.DUE:
                made += insert_missed(part, now, check) + insert_deliveries(part)
            elif is_now is Standing.SUPERSEDED and after:
                insert_ended(part, State.SKIPPED, Reason.SUPERSEDED, after, now)
            else:
                over = Newer(due + lateness, "")
                insert_ended(part, State.EXPIRED, Reason.TOO_LATE, over, now)
    # Compare and set: a slower planner must not move it back.
    Edition.objects.filter(pk=edition.pk, planned_until=since).update(planned_until=now)
    return made


def changed_schedules(since: datetime) -> set[int]:
    """Return the ids of schedules with a reader who changed from then on."""
    changed = Subscriber.objects.filter(
        changed_at__gte=since, state=Subscriber.State.ACTIVE
    )
    return set(changed.values_list("schedule", flat=True).distinct())


def grouped(dues: Mapping[int, datetime]) -> Iterable[tuple[datetime, list[int]]]:
    """Yield due instants with their schedules, in slices that a statement can hold."""
    groups = defaultdict(list)
    for pk, due in dues.items():
        groups[due].append(pk)
    for due in sorted(groups):
        for start in range(0, len(groups[due]), SLICE):
            yield due, groups[due][start : start + SLICE]
