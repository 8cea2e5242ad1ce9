"""Every edition has one due instant for each wish, whatever the clocks do."""

from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from digest.deliveries.plan import plan
from digest.models import Delivery
from subscribers.consent import Origin
from subscribers.models import Subscriber
from subscribers.preferences import Preferences
from tests import make
from tests.deliveries.schedule_sweep import (
    ODD,
    days_of_change,
    one_of_each_clock,
    sweep,
    two_at_once,
)
from tests.make import DAY, RELEASE, edition, paper, reader, schedule

# Seen by readers: an hour before 08:30 UTC in summer and after it in winter.
SEEN = {
    "Europe/Berlin": 10,
    "Europe/London": 9,
    "America/New_York": 4,
    "America/Los_Angeles": 1,
    "America/Havana": 4,
    "Antarctica/Troll": 10,
    "Australia/Lord_Howe": 19,
}


# Here the days around each change of a clock; all 400 days, and all the years:
# python -m tests.deliveries.schedule_sweep
BEFORE, AROUND = timedelta(days=4), 8


@pytest.mark.embedded
def test_t1_each_edition_is_due_once_and_at_the_wished_wall_time() -> None:
    zones = one_of_each_clock()
    assert len(zones) > 40
    changed = [name for name in zones for _ in days_of_change(name, date(2026, 1, 1), 365)]
    assert len(changed) > 40
    for name in zones:
        for day in days_of_change(name, date(2026, 1, 1), 365):
            sweep(name, day - BEFORE, AROUND)


@pytest.mark.embedded
@pytest.mark.parametrize("year", [2020, 2027, 2035])
def test_t30_each_edition_has_a_row_where_clocks_go_back_two_come_due_at_once(year) -> None:
    """Every hour of every kind of clock."""
    found = [
        two_at_once(name, hour, day - BEFORE, AROUND)
        for name in one_of_each_clock()
        for day in days_of_change(name, date(year, 1, 1), 365)
        for hour in range(24)
    ]
    assert max(found) == 1


@pytest.mark.parametrize(("zone", "hour"), SEEN.items())
def test_t30_it_happens_where_readers_have_seen_it(zone, hour) -> None:
    assert two_at_once(zone, hour, date(2027, 1, 1), 366) == 1


@pytest.mark.embedded
@pytest.mark.parametrize("name", ODD)
def test_t2_so_it_is_where_clocks_are_odd(name: str) -> None:
    odd = [day - BEFORE for day in days_of_change(name, ODD[name], 400)] or [ODD[name]]
    for first in odd:
        assert sweep(name, first, AROUND) == 24 * AROUND


@settings(max_examples=3, deadline=None)  # each plans 84 times
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
    while now < RELEASE + timedelta(days=6):
        if wish := wanted.get(now):
            wishes = Preferences(timezone=wish[0], send_hour=wish[1])
            make.change_preferences(ann.pk, wishes, origin=Origin("/"), now=now)
        plan(now)
        # After the last wish fewer ticks will do.
        now += timedelta(hours=1 if now < RELEASE + timedelta(hours=72) else 6)
    got = list(Delivery.objects.order_by("edition__day").values_list("edition", flat=True))
    assert got == [one.pk for one in editions], "T30 a row for every edition, once"
    last = Delivery.objects.get(edition=editions[-1])
    assert last.state in ("pending", "expired")


def edition_of(day: date):
    from digest.models import Edition

    found = Edition.objects.filter(kind="daily", day=day).first()
    if found:
        Edition.objects.filter(pk=found.pk).update(planned_until=None)
        return found
    return edition({paper(day.day, day=day, upvotes=3): {"graphs": 1.0}}, day=day)
