"""When an edition is due for a reader. Pure: zones and the calendar, no clock.

An edition is released at one instant for everybody. It is due, for each schedule,
the first time after that when local clocks show the wished hour on a wished weekday.
So every edition has exactly one due instant per schedule, whatever the zone does, and
nothing is stored that a change of zone, hour or tzdata could leave stale.
"""

from datetime import UTC, date, datetime, time, timedelta
from enum import Enum, auto
from functools import lru_cache
from zoneinfo import ZoneInfo

# By then the source's list of the day is complete: of 5,314 submissions whose time is
# known, nine came after 08:00 UTC.
RELEASE_TIME = time(8, 30, tzinfo=UTC)
# A weekly edition holds the seven days that end on its day. There is one for each day, and
# it goes to the schedules whose weekday and hour come before the next is released.
# How long after the due instant a digest may still go out.
DAILY_LATENESS = timedelta(hours=18)
WEEKLY_LATENESS = timedelta(days=3)
ANNOUNCEMENT_LATENESS = timedelta(days=7)


def release_at(day: date) -> datetime:
    """Return the instant (UTC) from which the edition of that day may go out."""
    return datetime.combine(day, RELEASE_TIME)


@lru_cache(maxsize=65536)
def due_at(release: datetime, *, timezone: str, hour: int, days: int) -> datetime:
    """Return the first instant (UTC) from `release` on at which it is `hour` o'clock locally.

    `days` is a bit set of wished local weekdays, bit 0 is Monday. An hour that the
    clocks skip counts as the instant just after the gap, an hour that comes twice as
    its first time (PEP 495, fold=0). Raises ValueError when no day is wished and
    ZoneInfoNotFoundError for a zone that tzdata does not know.
    """
    zone = ZoneInfo(timezone)
    first = release.astimezone(zone).date() - timedelta(days=1)
    for offset in range(10):
        day = first + timedelta(days=offset)
        if days >> day.weekday() & 1:
            instant = datetime.combine(day, time(hour), tzinfo=zone).astimezone(UTC)
            if instant >= release:
                return instant
    raise ValueError(f"no weekday in {days!r}")


def is_of_the_week(release: datetime, due: datetime) -> bool:
    """Return whether a weekly edition is the newest at its due instant.

    So each weekday and hour has one edition a week, with the seven days before it.
    """
    return due < release + timedelta(days=1)


def longest_gap(days: int) -> int:
    """Return the most days from one wished weekday to the next; `days` is a bit set."""
    wished = [day for day in range(7) if days >> day & 1]
    later = [*wished[1:], *(day + 7 for day in wished[:1])]
    return max((b - a for a, b in zip(wished, later, strict=True)), default=7)


class Standing(Enum):
    """What an edition is to the readers of a schedule at an instant."""

    AHEAD = auto()  # not due yet
    DUE = auto()  # to be sent
    SUPERSEDED = auto()  # a newer edition has come due, which goes instead
    LATE = auto()  # nobody planned it in time


def standing(
    due: datetime, newer: datetime | None, *, now: datetime, lateness: timedelta
) -> Standing:
    """Return the standing of the edition due at `due`, where the next is due at `newer`.

    Where clocks go back, two editions may come due at one instant.
    """
    if due > now:
        return Standing.AHEAD
    if newer is not None and newer <= now:
        return Standing.SUPERSEDED
    return Standing.LATE if now - due >= lateness else Standing.DUE
