"""Plan: who is due gets a row, once."""

from datetime import date, timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext

from digest.deliveries import planned_rows
from digest.deliveries.plan import OVERLAP, plan, plan_edition
from digest.deliveries.planned_rows import Newer, Part, insert_deliveries, insert_ended
from digest.deliveries.schedule import release_at
from digest.models import Delivery, Edition
from digest.ranking import loaded
from subscribers.models import ConsentEvent, Subscriber
from tests import make
from tests.deliveries.schedule_sweep import days_of_change, one_of_each_clock, two_at_once
from tests.race import at_once

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def rows() -> dict[str, str]:
    going = Delivery.objects.filter(state="pending")
    found = going.values_list("subscriber__email", "edition__day", "due_at")
    return {f"{email}": f"{day} {due:%dT%H:%M}" for email, day, due in found}


@pytest.fixture
def edition() -> Edition:
    return make.edition({make.paper(1): {"graphs": 1.0}})


def test_who_is_due_gets_a_row_at_their_own_hour(edition):
    make.reader("utc@example.org", "graphs", when=make.schedule("UTC", 9))
    make.reader("ny@example.org", when=make.schedule("America/New_York", 7))
    make.reader("tokyo@example.org", when=make.schedule("Asia/Tokyo", 7))
    assert plan(make.NOON) == 2
    assert rows() == {
        "utc@example.org": "2026-04-17 17T09:00",
        "ny@example.org": "2026-04-17 17T11:00",
    }
    assert plan(make.NOON + 10 * HOUR) == 1


def test_planning_again_makes_nothing_new(edition):
    make.reader("utc@example.org")
    assert [plan(make.NOON) for _ in range(3)] == [1, 0, 0]


def test_only_active_readers_are_planned(edition):
    for state in ["pending", "paused", "unsubscribed"]:
        make.reader(f"{state}@example.org", state=state)
    assert plan(make.NOON) == 0


def test_a_reader_who_confirms_after_their_hour_gets_todays_edition(edition):
    assert plan(make.NOON) == 0
    make.reader("new@example.org", at=make.NOON + HOUR)
    assert plan(make.NOON + HOUR + OVERLAP / 2) == 1


def test_a_changed_hour_brings_neither_two_mails_nor_none(edition):
    subscriber = make.reader("utc@example.org", when=make.schedule("UTC", 9))
    assert plan(make.NOON) == 1
    move(subscriber, 14, make.NOON + HOUR)
    assert plan(make.NOON + 3 * HOUR) == 0
    make.edition({make.paper(2, day=make.DAY + DAY): {}}, day=make.DAY + DAY)
    assert plan(make.NOON + DAY) == 0
    assert plan(make.NOON + DAY + 3 * HOUR) == 1


def test_an_hour_moved_just_before_it_came_loses_no_edition(edition):
    subscriber = make.reader("utc@example.org", when=make.schedule("UTC", 8))
    before_eight = make.RELEASE + DAY - HOUR
    assert plan(before_eight) == 0
    move(subscriber, 9, before_eight)
    assert plan(before_eight + HOUR / 4) == 0
    make.edition({make.paper(2, day=make.DAY + DAY): {}}, day=make.DAY + DAY)
    assert plan(make.NOON + DAY) == 1
    assert "2026-04-18" in rows()["utc@example.org"]


def move(subscriber: Subscriber, hour: int, at) -> None:
    Subscriber.objects.filter(pk=subscriber.pk).update(
        schedule=make.schedule("UTC", hour), changed_at=at
    )


def test_a_tick_that_comes_late_across_the_next_release_loses_nobody(edition):
    make.reader("utc@example.org", when=make.schedule("UTC", 8))
    make.edition({make.paper(2, day=make.DAY + DAY): {}}, day=make.DAY + DAY)
    assert plan(make.RELEASE + DAY + HOUR / 4) == 1
    assert "2026-04-17" in rows()["utc@example.org"]


def test_r19_after_three_days_of_outage_only_the_newest_goes(edition):
    make.reader("utc@example.org")
    for later in (1, 2, 3):
        day = make.DAY + later * DAY
        make.edition({make.paper(10 + later, day=day): {}}, day=day)
    assert plan(make.NOON + 3 * DAY) == 1
    assert "2026-04-20" in rows()["utc@example.org"]
    ended = Delivery.objects.filter(state="skipped").order_by("edition__day")
    assert [f"{row.edition.day:%d}: {row.reason} ({row.reply})" for row in ended] == [
        f"{day}: superseded by a newer edition (daily 2026-04-20)" for day in (17, 18, 19)
    ]
    assert not ended.exclude(picks="").exists(), "nothing of them counts as seen"


def test_an_edition_too_late_is_not_planned(edition):
    make.reader("utc@example.org")
    assert plan(make.NOON + 2 * DAY) == 0
    (row,) = Delivery.objects.all()
    assert (row.state, row.reason) == ("expired", "too late")
    assert plan_edition(edition, make.NOON + 2 * DAY) == 1
    row.refresh_from_db()
    assert (row.state, row.reason, row.outcome_at) == ("pending", "", None)
    assert row.expires_at > make.NOON + 2 * DAY


def test_weekly_readers_get_the_week_and_daily_readers_the_day():
    sunday = date(2026, 4, 19)
    make.edition({make.paper(1, day=sunday): {}}, day=sunday, kind="weekly")
    make.edition({make.paper(2, day=sunday): {}}, day=sunday)
    make.reader("daily@example.org")
    make.reader("weekly@example.org", when=make.schedule("UTC", 8, cadence="weekly"))
    plan(make.NOON + 3 * DAY)
    assert rows() == {"weekly@example.org": "2026-04-19 20T08:00"}


def test_a_zone_that_tzdata_forgot_stops_nobody_else(edition):
    make.reader("lost@example.org", when=make.schedule("Mars/Olympus", 9))
    make.reader("utc@example.org")
    assert plan(make.NOON) == 2


def test_the_number_of_queries_does_not_grow_with_the_readers(edition):
    loaded.load(edition.pk)  # the canary's
    counts = []
    for readers in (1, 50):
        make.readers([f"r{number}of{readers}@example.org" for number in range(readers)])
        Edition.objects.update(planned_until=None)
        with CaptureQueriesContext(connection) as queries:
            assert plan(make.NOON) == readers
        counts.append(len(queries))
    assert counts[0] == counts[1]


@pytest.mark.django_db(transaction=True)
def test_r11_planners_at_once_make_one_row_each():
    make.edition({make.paper(1): {"graphs": 1.0}})
    make.readers([f"r{number}@example.org" for number in range(30)])
    made = at_once(*[lambda: plan(make.NOON)] * 3)
    assert sum(made) == Delivery.objects.count() == 30


def spread() -> dict[int, timedelta]:
    found = Delivery.objects.values_list("subscriber", "not_before", "due_at")
    return {pk: not_before - due for pk, not_before, due in found}


def test_r18_a_window_spreads_the_readers_of_one_hour_evenly(edition, settings):
    settings.SEND_WINDOW = 1
    make.readers([f"r{number}@example.org" for number in range(120)])
    assert plan(make.NOON) == 120
    seconds = [gap.total_seconds() for gap in spread().values()]
    assert min(seconds) >= 0, "never before their hour"
    assert sorted(seconds) == sorted([*range(60)] * 2)
    assert len(set(Delivery.objects.values_list("expires_at", flat=True))) == 1


def test_r18_a_reader_has_the_same_minute_each_day(edition, settings):
    settings.SEND_WINDOW = 20
    make.readers([f"r{number}@example.org" for number in range(9)])
    plan(make.NOON)
    first = spread()
    assert len(set(first.values())) == 9
    Delivery.objects.all().delete()
    make.edition({make.paper(2): {}}, day=make.DAY + DAY)
    plan(make.NOON + DAY)
    assert spread() == first


def test_r18_who_has_just_confirmed_does_not_wait_for_the_window(edition, settings):
    settings.SEND_WINDOW = 720
    make.reader("old@example.org")
    make.reader("new@example.org", at=make.NOON - 2 * HOUR)
    plan(make.NOON)
    new, old = Subscriber.objects.get(email="new@example.org").pk, spread()
    assert old.pop(new) == timedelta(0)
    assert all(old.values())


def states() -> dict[str, str]:
    """Each reader's rows: days of April and states."""
    found: dict[str, list[str]] = {}
    for row in Delivery.objects.order_by("edition__day").select_related("subscriber"):
        assert row.subscriber
        found.setdefault(row.subscriber.email, []).append(
            f"{row.edition.day:%d} {row.state}"
        )
    return {email: ", ".join(rows) for email, rows in found.items()}


def test_t30_who_was_no_reader_then_is_owed_nothing_of_then(edition):
    """A row for each edition to each who read when it came due, and to nobody else."""
    for later in (1, 2):
        day = make.DAY + later * DAY
        make.edition({make.paper(10 + later, day=day): {}}, day=day)
    now = make.NOON + 2 * DAY
    make.reader("old@example.org")
    make.reader("new@example.org", at=now - HOUR)
    resumed = make.reader("resumed@example.org")
    ConsentEvent.objects.create(
        subscriber=resumed,
        email_hash=resumed.email_hash,
        kind="resumed",
        at=now - DAY,
        wording="1",
        source="test",
    )
    make.reader("away@example.org", state="paused")
    plan(now)
    assert states() == {
        "old@example.org": "17 skipped, 18 skipped, 19 pending",
        "new@example.org": "19 pending",
        "resumed@example.org": "18 skipped, 19 pending",
    }


@pytest.mark.each_row
@pytest.mark.parametrize(
    ("before", "after", "hours", "wanted"),
    [
        # New York's 02:00 comes 21½ hours after the release, Berlin's 12:00 comes 1½.
        (("America/New_York", 2), ("Europe/Berlin", 12), 1, "17 pending"),
        (("America/New_York", 2), ("Europe/Berlin", 12), 10, "17 pending"),
        (("America/New_York", 2), ("Europe/Berlin", 12), 21, "17 expired"),
        (("Europe/Berlin", 12), ("America/New_York", 2), 10, "17 pending"),
        (("Pacific/Honolulu", 22), ("Pacific/Apia", 22), 23, "17 expired"),
    ],
)
def test_t30_a_change_of_schedule_leaves_no_edition_without_a_row(
    edition, before, after, hours, wanted
):
    day = make.DAY + DAY
    make.edition({make.paper(2, day=day): {}}, day=day)
    reader = make.reader("ann@example.org", when=make.schedule(*before))
    now = make.RELEASE
    while now < make.RELEASE + 3 * DAY:
        if now == make.RELEASE + hours * HOUR:
            Subscriber.objects.filter(pk=reader.pk).update(
                schedule=make.schedule(*after), changed_at=now
            )
        plan(now)
        now += HOUR
    first, second = states()["ann@example.org"].split(", ")
    assert (first, second) == (wanted, "18 pending")


@pytest.mark.parametrize(
    ("first", "hours"),
    [
        (date(2026, 10, 22), range(1, 24, 3)),
        pytest.param(date(2026, 10, 22), range(24), marks=pytest.mark.nightly),
        pytest.param(date(2033, 3, 28), range(24), marks=pytest.mark.nightly),
    ],
)
def test_t30_when_clocks_change_everybody_has_a_row_for_every_edition(first, hours):
    """Each kind of clock that changes in these days, at these hours; ticks six hours apart."""
    days = [first + n * DAY for n in range(13)]
    zones = [name for name in one_of_each_clock() if days_of_change(name, first, len(days))]
    assert len(zones) > 5
    editions = [
        make.edition({make.paper(n, day=day): {}}, day=day) for n, day in enumerate(days)
    ]
    for zone in zones:
        for hour in hours:
            at = release_at(first) - DAY
            make.reader(
                f"{zone.replace('/', '.')}.{hour}@example.org".lower(),
                when=make.schedule(zone, hour),
                at=at,
            )
    now = release_at(first)
    while now <= release_at(days[-1]) + 30 * HOUR:
        plan(now)
        now += 6 * HOUR
    readers = Subscriber.objects.count()
    assert Delivery.objects.count() == len(editions) * readers
    shared = sum(
        two_at_once(zone, hour, first, len(days)) for zone in zones for hour in hours
    )
    assert shared > 0
    assert Delivery.objects.filter(state="skipped").count() == shared
    assert not Delivery.objects.exclude(state__in=["pending", "skipped"]).exists()


@pytest.mark.each_row
@pytest.mark.parametrize("statement", ["pending", "ended", "changed"])
def test_planning_reads_the_readers_of_its_schedules_by_their_index(edition, statement):
    reader = make.reader("ann@example.org", "graphs")
    others = make.schedule("Asia/Tokyo", 5)
    Subscriber.objects.bulk_create(  # so many that an index is worth its while
        Subscriber(
            email=f"r{number}@example.org",
            email_hash=f"{number:064}",
            schedule=others,
            state=Subscriber.State.ACTIVE,
            unsubscribe_token=f"{number:022}",
            created_at=make.NOON,
            changed_at=make.NOON,
            confirmed_at=make.NOON,
        )
        for number in range(400)
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    noon = make.NOON
    part = Part(edition, [reader.schedule_id], noon, noon + DAY)
    if statement == "changed":
        part = part._replace(changed_since=noon - DAY)
    with CaptureQueriesContext(connection) as captured:
        if statement == "ended":
            over = Newer(noon + DAY, "")
            insert_ended(part, Delivery.State.EXPIRED, Delivery.Reason.TOO_LATE, over, noon)
        else:
            insert_deliveries(part)
    (sql,) = [one["sql"] for one in captured.captured_queries if "INSERT" in one["sql"]]
    with transaction.atomic(), connection.cursor() as cursor:
        if connection.vendor == "postgresql":  # so short a table is read as a whole
            cursor.execute("SET LOCAL enable_seqscan = off")
        explain = "EXPLAIN" if connection.vendor == "postgresql" else "EXPLAIN QUERY PLAN"
        cursor.execute(f"{explain} {sql}")
        assert "subscriber_active_by_schedule" in str(cursor.fetchall())


def test_rows_are_made_in_ranges_of_readers_and_a_plan_that_died_goes_on(
    edition, monkeypatch
):
    people = make.readers([f"r{number}@example.org" for number in range(5)], "graphs")
    monkeypatch.setattr(planned_rows, "RANGE", people[2].pk)
    made = 0

    def dying(execute: Any, sql: str, parameters: Any, many: bool, context: Any) -> Any:
        nonlocal made
        if "INSERT INTO digest_delivery" in sql and made:
            raise OperationalError("the server closed the connection")
        found = execute(sql, parameters, many, context)
        made += "INSERT INTO digest_delivery" in sql and context["cursor"].rowcount
        return found

    with connection.execute_wrapper(dying), pytest.raises(OperationalError):
        plan(make.NOON)
    assert Delivery.objects.count() == made == 2
    assert plan(make.NOON) == 3
    assert Delivery.objects.filter(state="pending").count() == 5
