"""Every due instant of 400 days in every zone whose clocks change from 2020 to 2035."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from digest.deliveries.plan import plan
from digest.deliveries.schedule import due_at, release_at
from digest.models import Delivery
from subscribers import subscriptions
from subscribers.consent import Origin
from subscribers.models import Subscriber
from subscribers.wishes import Wishes
from tests.make import DAY, RELEASE, edition, paper, reader, schedule

FIRST, DAYS = date(2026, 1, 1), 400
YEARS = [
    datetime(year, month, 1, tzinfo=UTC)
    for year in range(2020, 2036)
    for month in range(1, 13)
]
# Clocks that did something odd inside the years above: swept there, not in 2026.
ODD = {"Asia/Beirut": date(2022, 10, 1), "Africa/Cairo": date(2023, 1, 1)}


def offsets(name: str) -> set[timedelta | None]:
    return {instant.astimezone(ZoneInfo(name)).utcoffset() for instant in YEARS}


def changing_zones() -> list[str]:
    """One name for each behaviour: aliases and neighbours follow the same clock."""
    kept: dict[tuple[timedelta | None, ...], str] = {}
    for name in sorted(available_timezones() - {"Factory", "localtime"}):
        if len(offsets(name)) > 1:
            zone = ZoneInfo(name)
            key = tuple(instant.astimezone(zone).utcoffset() for instant in YEARS)
            kept.setdefault(key, name)
    return sorted({*kept.values(), "Asia/Kathmandu", "Pacific/Kiritimati", *ODD})


@pytest.mark.parametrize("part", range(4))
def test_t1_t2_each_edition_is_due_once_and_at_the_wished_wall_time(part: int) -> None:
    zones = changing_zones()
    assert len(zones) > 40
    for name in zones[part::4]:
        sweep(name, ODD.get(name, FIRST))


def skipped(local: datetime, hour: int, zone: ZoneInfo) -> bool:
    """Whether clocks left the hour out, on this date or just before its midnight."""
    for day in (local, local - timedelta(days=1)):
        wished = day.replace(hour=hour, minute=0, fold=0, tzinfo=zone)
        shown = wished.astimezone(UTC).astimezone(zone)
        if (shown.hour, shown.minute) != (hour, 0):
            return True
    return False


def sweep(name: str, first: date) -> None:
    zone = ZoneInfo(name)
    for hour in range(24):
        before, shared = None, 0
        for offset in range(DAYS):
            release = release_at(first + timedelta(days=offset))
            due = due_at(release, timezone=name, hour=hour, days=127)
            local = due.astimezone(zone)
            assert release <= due <= release + timedelta(hours=26), (name, hour, release)
            # Where the hour lies just at the release, clocks set back let two editions
            # come due at one instant: the newer goes (plan.py).
            assert before is None or before <= due, (name, hour, release)
            shared += before == due
            before = due
            if local.hour != hour or local.minute:
                assert skipped(local, hour, zone), (name, due)
            assert local.fold == 0, (name, due)
        assert shared <= 2, (name, hour)


@settings(max_examples=4, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(1, 72),
            st.sampled_from(["Pacific/Apia", "Pacific/Honolulu", "Asia/Tokyo", "UTC"]),
            st.integers(0, 23),
        ),
        max_size=6,
    )
)
@pytest.mark.django_db
def test_t4_changes_between_ticks_bring_no_edition_twice_and_lose_none(changes) -> None:
    Delivery.objects.all().delete()
    Subscriber.objects.all().delete()
    editions = [edition_of(DAY + timedelta(days=day)) for day in range(2)]
    ann = reader("ann@example.org", when=schedule("UTC", 9))
    wanted = {RELEASE + timedelta(hours=tick): wish for tick, *wish in changes}
    now = RELEASE
    while now < RELEASE + timedelta(days=3):
        if wish := wanted.get(now):
            wishes = Wishes(timezone=wish[0], send_hour=wish[1])
            subscriptions.change_preferences(ann.pk, wishes, origin=Origin("/"), now=now)
        plan(now)
        now += timedelta(hours=1)
    got = list(Delivery.objects.order_by("edition__day").values_list("edition", flat=True))
    assert len(got) == len(set(got))
    assert got[-1] == editions[-1].pk
    quiet = max(wanted, default=RELEASE) < RELEASE + timedelta(days=1)
    if quiet:  # once the changes are over, every edition comes
        assert set(got) >= {one.pk for one in editions[1:]}


def edition_of(day: date):
    from digest.models import Edition

    found = Edition.objects.filter(kind="daily", day=day).first()
    if found:
        Edition.objects.filter(pk=found.pk).update(planned_until=None)
        return found
    return edition({paper(day.day, day=day, upvotes=3): {"graphs": 1.0}}, day=day)
