"""Every due instant, held against clocks that were read every quarter of an hour.

`python -m tests.deliveries.schedule_sweep [--days 400] [--first 2026-01-01]`: all zones
whose clocks change from 2020 to 2035, and the odd ones, each wished hour, each edition.
Readers wish whole hours; zones half or three quarters of an hour off are among them.
"""

import argparse
import time
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import numpy as np

from digest.deliveries.schedule import (
    DAILY_LATENESS,
    Standing,
    due_at,
    release_at,
    standing,
)

FIRST, DAYS = date(2026, 1, 1), 400
QUARTER = timedelta(minutes=15)
YEARS = [
    datetime(year, month, 1, tzinfo=UTC)
    for year in range(2020, 2036)
    for month in range(1, 13)
]
# Clocks that did something odd inside the years above: swept there, not in 2026.
ODD = {
    "Asia/Beirut": date(2022, 10, 1),  # midnight gap; a change that came and went
    "Africa/Cairo": date(2023, 1, 1),  # midnight gap, after years without any
    "America/Havana": date(2026, 1, 1),  # midnight gap
    "Pacific/Apia": date(2011, 6, 1),  # no 30 December 2011
    "Pacific/Kwajalein": date(1993, 3, 1),  # no 21 August 1993
    "Australia/Lord_Howe": date(2026, 1, 1),  # half an hour of summer time
    "Asia/Kathmandu": date(2026, 1, 1),  # 5:45
    "Pacific/Chatham": date(2026, 1, 1),  # 12:45 and 13:45
    "Pacific/Kiritimati": date(2026, 1, 1),  # 14:00
    "America/St_Johns": date(2026, 1, 1),  # 2:30 and 3:30 behind
}


def clock(name: str) -> tuple[timedelta | None, ...]:
    zone = ZoneInfo(name)
    return tuple(instant.astimezone(zone).utcoffset() for instant in YEARS)


def changing_zones() -> list[str]:
    names = sorted(available_timezones() - {"Factory", "localtime"})
    return [name for name in names if len(set(clock(name))) > 1]


def one_of_each_clock() -> list[str]:
    """Aliases and neighbours follow the same clock."""
    kept: dict[tuple[timedelta | None, ...], str] = {}
    for name in changing_zones():
        kept.setdefault(clock(name), name)
    return sorted(kept.values())


def days_of_change(name: str, first: date, days: int) -> list[date]:
    """The dates of these at whose end a clock shows another offset than at their start."""
    zone = ZoneInfo(name)
    midnights = [
        datetime.combine(first + timedelta(days=offset), datetime.min.time(), UTC)
        for offset in range(days + 1)
    ]
    offsets = [one.astimezone(zone).utcoffset() for one in midnights]
    return [
        one.date()
        for one, before, after in zip(midnights, offsets, offsets[1:], strict=False)
        if before != after
    ]


def sweep(name: str, first: date = FIRST, days: int = DAYS) -> int:
    """Check each edition × hour; how many. Raises AssertionError."""
    zone = ZoneInfo(name)
    releases = [release_at(first + timedelta(days=offset)) for offset in range(days)]
    start = releases[0]
    instants = [start + QUARTER * number for number in range((days + 2) * 96)]
    local = [instant.astimezone(zone) for instant in instants]
    shown = np.array([one.hour * 60 + one.minute for one in local])
    again = np.array([one.fold for one in local], dtype=bool)
    opened = np.arange(days) * 96
    for hour in range(24):
        hits = np.flatnonzero((shown == hour * 60) & ~again)
        wanted = hits[np.searchsorted(hits, opened)]
        before = start
        shared = 0
        for release, index in zip(releases, wanted, strict=True):
            due = due_at(release, timezone=name, hour=hour, days=127)
            assert release <= due <= release + timedelta(hours=26), (name, hour, release)
            # Where the hour lies just at the release, clocks set back let two editions
            # come due at one instant: the newer goes (plan.py).
            assert before <= due, (name, hour, release)
            shared += before == due
            before = due
            if due != instants[index]:
                assert due < instants[index], (name, due)
                assert skipped(due.astimezone(zone), hour, zone), (name, due)
        assert shared <= 2, (name, hour)
    return 24 * days


def rows_of(name: str, hour: int, first: date, days: int) -> list[Standing]:
    """What each edition's row says, as ticks come at every due instant and never between.

    An edition without a row would be missing from it: each must have one.
    """
    instants = [
        due_at(release_at(first + timedelta(days=n)), timezone=name, hour=hour, days=127)
        for n in range(days)
    ]
    found: list[Standing] = []
    for due, newer in zip(instants, [*instants[1:], None], strict=True):
        # The first tick that sees it due is the one that makes its row.
        row = standing(due, newer, now=due, lateness=DAILY_LATENESS)
        assert row in (Standing.DUE, Standing.SUPERSEDED), f"no row: {name} {hour} {due}"
        found.append(row)
    assert found[-1] is Standing.DUE
    return found


def two_at_once(name: str, hour: int, first: date, days: int) -> int:
    """How many editions a newer one supersedes at the instant at which both are due."""
    return rows_of(name, hour, first, days).count(Standing.SUPERSEDED)


def years_of(name: str) -> int:
    """All editions of 2020 to 2035, each hour: how many were superseded."""
    first, days = date(2020, 1, 1), (date(2036, 1, 1) - date(2020, 1, 1)).days
    return sum(two_at_once(name, hour, first, days) for hour in range(24))


def skipped(local: datetime, hour: int, zone: ZoneInfo) -> bool:
    """Whether clocks left the hour out, on this date or just before its midnight."""
    for day in (local, local - timedelta(days=1)):
        wished = day.replace(hour=hour, minute=0, fold=0, tzinfo=zone)
        shown = wished.astimezone(UTC).astimezone(zone)
        if (shown.hour, shown.minute) != (hour, 0):
            return True
    return False


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.deliveries.schedule_sweep")
    parser.add_argument("--days", type=int, default=DAYS)
    parser.add_argument("--first", type=date.fromisoformat, default=FIRST)
    arguments = parser.parse_args()
    started = time.process_time()
    zones = changing_zones()
    checked = sum(sweep(name, arguments.first, arguments.days) for name in zones)
    checked += sum(sweep(name, first) for name, first in ODD.items())
    superseded = sum(years_of(name) for name in one_of_each_clock())
    took = time.process_time() - started
    print(
        f"{checked:,} due instants in {len(zones)} + {len(ODD)} zones: {took:.0f} s of CPU;"
        f" from 2020 to 2035 {superseded} editions are superseded as they come due, and"
        " every edition has its row"
    )


if __name__ == "__main__":
    main()
