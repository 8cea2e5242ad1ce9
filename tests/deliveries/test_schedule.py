"""Due instants: a pure function of release, zone, hour and weekdays."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from digest.deliveries.schedule import due_at, release_at

ZONES = [
    "UTC",
    "America/New_York",
    "Europe/Berlin",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Pacific/Chatham",
    "Pacific/Kiritimati",
    "Pacific/Apia",
    "Africa/Cairo",
    "America/Havana",
    "Asia/Beirut",
    "America/Santiago",
    "Africa/Casablanca",
    "Antarctica/Troll",
]
DAYS = st.dates(date(2020, 1, 1), date(2035, 12, 31))


def due(day: str, zone: str, hour: int, days: int = 127) -> str:
    instant = due_at(
        release_at(date.fromisoformat(day)), timezone=zone, hour=hour, days=days
    )
    return f"{instant:%Y-%m-%d %H:%M}"


@pytest.mark.parametrize(
    ("zone", "hour", "expected"),
    [
        ("UTC", 9, "2026-04-17 09:00"),
        ("UTC", 8, "2026-04-18 08:00"),
        ("America/New_York", 7, "2026-04-17 11:00"),
        ("Asia/Tokyo", 7, "2026-04-17 22:00"),
        ("Asia/Kolkata", 14, "2026-04-17 08:30"),
        ("Pacific/Kiritimati", 7, "2026-04-17 17:00"),
    ],
)
def test_the_first_wished_hour_after_the_release(zone, hour, expected):
    assert due("2026-04-17", zone, hour) == expected


def test_a_skipped_hour_is_the_instant_after_the_gap():
    assert due("2027-03-13", "America/New_York", 2) == "2027-03-14 07:00"


def test_an_hour_that_comes_twice_is_its_first_time():
    assert due("2027-11-06", "America/New_York", 1) == "2027-11-07 05:00"


def test_weekdays_are_the_readers_own():
    # Friday's edition reaches Tokyo on Saturday morning: kept for Monday, local time.
    assert due("2026-04-17", "Asia/Tokyo", 7, days=31) == "2026-04-19 22:00"
    assert due("2026-04-17", "America/New_York", 7, days=31) == "2026-04-17 11:00"


def test_no_day_at_all_is_an_error():
    with pytest.raises(ValueError, match="weekday"):
        due("2026-04-17", "UTC", 9, days=0)


@given(DAYS, st.sampled_from(ZONES), st.integers(0, 23))
def test_every_edition_is_due_within_a_day_and_none_before_an_older_one(day, zone, hour):
    release = release_at(day)
    instant = due_at(release, timezone=zone, hour=hour, days=127)
    following = due_at(
        release_at(day + timedelta(days=1)), timezone=zone, hour=hour, days=127
    )
    assert release <= instant <= release + timedelta(hours=26)
    assert instant <= following  # at once where clocks go back over the release


@given(DAYS, st.sampled_from(ZONES), st.integers(0, 23), st.integers(1, 127))
def test_local_clocks_show_the_wish_except_in_a_gap(day, zone, hour, days):
    instant = due_at(release_at(day), timezone=zone, hour=hour, days=days)
    local = instant.astimezone(ZoneInfo(zone))
    wished = datetime(local.year, local.month, local.day, hour, tzinfo=ZoneInfo(zone))
    in_gap = wished.astimezone(UTC).astimezone(ZoneInfo(zone)).hour != hour
    assert local.hour == hour or in_gap or local.hour == (hour + 1) % 24
    assert days >> local.weekday() & 1 or local.hour != hour
