"""Zones that change their law, ticks that stay away, clocks that are wrong."""

import zoneinfo
from collections.abc import Iterator
from datetime import date, timedelta
from importlib import import_module
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import time_machine
from django.utils import timezone

from digest.deliveries import ledger
from digest.deliveries.plan import plan
from digest.deliveries.schedule import due_at
from digest.deliveries.send import send_due
from digest.models import Delivery, Lease
from digest.ranking import loaded
from digest.tasks import catch_up
from subscribers import subscriptions
from subscribers.models import Schedule, Subscriber
from tests import make
from tests.sink import Sink

pytestmark = pytest.mark.django_db

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def edition():
    yield make.edition({make.paper(1): {"graphs": 1.0}})
    loaded.load.cache_clear()


@pytest.fixture
def new_law(tmp_path: Path) -> Iterator[None]:
    """A tzdata in which Berlin has taken the clock of Lisbon."""
    zoneinfo.reset_tzpath()
    for folder in zoneinfo.TZPATH:
        source = Path(folder) / "Europe" / "Lisbon"
        if source.exists():
            break
    else:
        package = import_module("tzdata")
        source = Path(str(package.__file__)).parent / "zoneinfo" / "Europe" / "Lisbon"
    (tmp_path / "Europe").mkdir()
    (tmp_path / "Europe" / "Berlin").write_bytes(source.read_bytes())
    restart([str(tmp_path), *zoneinfo.TZPATH])
    yield
    restart(None)


def restart(folders: list[str] | None) -> None:
    """What a new process does: read the zones from these folders, remember nothing."""
    zoneinfo.reset_tzpath(folders)
    ZoneInfo.clear_cache()
    due_at.cache_clear()


def due() -> set[str]:
    return {f"{at:%dT%H:%M}" for at in Delivery.objects.values_list("due_at", flat=True)}


def test_t3_a_new_law_moves_what_is_not_planned_yet(edition, request) -> None:
    make.reader("ann@example.org", when=make.schedule("Europe/Berlin", 12))
    assert plan(make.RELEASE + HOUR) == 0  # 09:30 UTC: half an hour to go under the old law
    request.getfixturevalue("new_law")
    assert plan(make.RELEASE + 2 * HOUR) == 0  # 10:30 UTC: 11:30 under the new one
    assert plan(make.RELEASE + 3 * HOUR) == 1
    assert due() == {"17T11:00"}


def test_t5_the_first_tick_after_an_outage_does_all_that_was_due(edition) -> None:
    for hour in range(9, 14):
        make.reader(f"r{hour}@example.org", when=make.schedule("UTC", hour))
    assert plan(make.RELEASE) == 0
    assert plan(make.RELEASE + 5 * HOUR) == 5  # five hours without a tick
    assert due() == {f"17T{hour:02}:00" for hour in range(9, 14)}


def test_t5_after_three_days_the_newest_edition_goes_and_no_other(edition) -> None:
    make.reader("ann@example.org")
    days = [make.DAY + number * DAY for number in (1, 2, 3)]
    for number, day in enumerate(days):
        make.edition({make.paper(10 + number, day=day): {}}, day=day)
    assert plan(make.NOON + 3 * DAY) == 1
    assert Delivery.objects.get(state="pending").edition.day == days[-1]


@pytest.mark.parametrize("skew", [timedelta(minutes=10), timedelta(minutes=-10)])
def test_t6_a_worker_whose_clock_is_wrong_takes_nothing_from_another(
    edition, sink: Sink, settings, skew: timedelta
) -> None:
    settings.MAILER_URL = sink.url
    make.reader("ann@example.org", "graphs")
    plan(make.NOON)
    now = ledger.database_now()
    Delivery.objects.update(due_at=now, not_before=now, expires_at=now + DAY)
    assert len(ledger.claim(now, limit=10)) == 1
    with time_machine.travel(timezone.now() + skew):
        catch_up(ledger.database_now())
        assert send_due(ledger.database_now, until=timezone.now() + DAY) == {}
    assert make.states() == {"ann@example.org": "pending"}
    assert Lease.objects.filter(claimed_until__gt=now).exists()
    assert sink.mails() == []


def test_t7_weekdays_are_the_days_where_the_reader_is() -> None:
    friday = date(2026, 4, 17)
    for number in range(4):  # Friday to Monday
        day = friday + number * DAY
        make.edition({make.paper(1 + number, day=day): {"graphs": 1.0}}, day=day)
    tokyo = make.schedule("Asia/Tokyo", 7, cadence="weekdays")
    honolulu = make.schedule("Pacific/Honolulu", 7, cadence="weekdays")
    for name, when in (("tokyo", tokyo), ("honolulu", honolulu)):
        make.reader(f"{name}@example.org", when=when)
    now = make.RELEASE
    while now < make.RELEASE + 4 * DAY:
        plan(now)
        now += HOUR
    for email, zone in (("tokyo", "Asia/Tokyo"), ("honolulu", "Pacific/Honolulu")):
        going = Delivery.objects.filter(state="pending")
        rows = going.filter(subscriber__email=f"{email}@example.org")
        local = [
            at.astimezone(ZoneInfo(zone)) for at in rows.values_list("due_at", flat=True)
        ]
        assert {at.hour for at in local} == {7}
        assert all(at.weekday() < 5 for at in local)
        assert len({at.date() for at in local}) == len(local) >= 2


def test_t7_a_day_without_papers_for_a_reader_is_skipped_not_mailed(
    edition, sink: Sink, settings
) -> None:
    settings.MAILER_URL = sink.url
    make.topic("audio")
    make.reader("ann@example.org", "audio")
    plan(make.NOON)
    send_due(lambda: make.NOON)
    assert make.states() == {"ann@example.org": "skipped"}
    assert sink.mails() == []


def test_t7_what_was_due_in_a_pause_does_not_come_after_it(edition) -> None:
    ann = make.reader(
        "ann@example.org", when=make.schedule("Asia/Tokyo", 7), state="paused"
    )
    Subscriber.objects.update(paused_until=make.DAY + DAY)  # the 18th, 07:00 in Tokyo
    assert plan(make.RELEASE + 13 * HOUR) == 0
    assert subscriptions.resume_due(make.RELEASE + 13 * HOUR) == 0
    assert subscriptions.resume_due(make.RELEASE + 13.5 * HOUR) == 1
    assert plan(make.RELEASE + 14 * HOUR) == 1
    (row,) = Delivery.objects.filter(subscriber=ann)
    assert f"{row.due_at:%dT%H:%M}" == "17T22:00"


@pytest.mark.parametrize(
    "timezone", ["Nowhere/Else", "", ".", "../../etc/passwd", "Europe"]
)
def test_r33_a_pause_in_an_odd_zone_ends_and_keeps_no_other(edition, timezone) -> None:
    odd = make.schedule("Asia/Tokyo", 9)
    make.reader("odd@example.org", when=odd, state="paused")
    make.reader("ann@example.org", state="paused")
    Schedule.objects.filter(pk=odd.pk).update(timezone=timezone)
    Subscriber.objects.update(paused_until=make.DAY)
    assert subscriptions.resume_due(make.NOON) == 2
