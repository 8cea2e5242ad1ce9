"""The schedules that readers can wish for: one row each, however many readers share it."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from subscribers.models import Schedule

Cadence = Schedule.Cadence
DAYS = {
    Cadence.DAILY: (0, 1, 2, 3, 4, 5, 6),
    Cadence.WEEKDAYS: (0, 1, 2, 3, 4),
}
MONDAY = (0,)


def schedule(
    timezone: str, send_hour: int, cadence: Schedule.Cadence, *, days: Sequence[int] = ()
) -> Schedule:
    """The row of this wish: an IANA zone, a local hour, a cadence, weekdays (0 is Monday).

    The weekdays count where the cadence leaves them open; Monday, if none is given.
    """
    wished = DAYS.get(cadence) or days or MONDAY
    found, _ = Schedule.objects.get_or_create(
        timezone=timezone,
        send_hour=send_hour,
        cadence=cadence,
        days=sum(1 << day for day in set(wished)),
    )
    return found


def first_hour(wish: Schedule, day: date) -> datetime:
    """The first instant (UTC) of the schedule on the local date `day` or after it.

    Resuming exactly then brings no edition whose hour lay in the pause. An hour that the
    clocks skip is the instant after the gap (fold=0).
    """
    while not wish.days >> day.weekday() & 1:
        day += timedelta(days=1)
    local = datetime.combine(day, time(wish.send_hour), tzinfo=ZoneInfo(wish.timezone))
    return local.astimezone(UTC)
