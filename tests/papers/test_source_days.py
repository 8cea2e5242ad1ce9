"""Days dated in the future, days that were missed, and what is said when no papers come."""

import json
import re
from datetime import UTC, date, datetime, timedelta
from io import StringIO

import pytest
import time_machine
from celery import beat
from django.core import mail
from django.core.management import call_command

from digest import tasks
from digest.celery import app
from digest.deliveries import heartbeats, ledger
from digest.editions.publish import publish
from digest.models import Edition, Paper, SourceDay
from digest.papers import ingest, source_days
from digest.papers.ingest import store_samples
from tests import make
from tests.source_server import entry

DAY = date(2026, 4, 17)
NOW = datetime(2026, 4, 17, 9, tzinfo=UTC)
ODD_DAYS = ["2026-04-18", "2026-04-19", "2027-01-15", "9999-12-31", "9999-12-31T23:59:59Z"]

pytestmark = pytest.mark.django_db


def fetch_and_publish(now: datetime) -> None:
    with time_machine.travel(now, tick=False):
        tasks.publish_due_days(now)


def editions() -> list[str]:
    return [
        str(day) for day in Edition.objects.order_by("day").values_list("day", flat=True)
    ]


@pytest.fixture
def told(settings):
    """The mails to the ADMINS."""
    settings.ADMINS = ["ops@example.org"]
    return mail.outbox


# -- an entry of another day ------------------------------------------------------


@pytest.mark.parametrize("odd", ODD_DAYS)
def test_s31_an_entry_of_the_future_is_refused_and_the_day_asked_for_published(source, odd):
    stamped = odd if "T" in odd else f"{odd}T00:00:00.000Z"
    source.days["2026-04-17"] = [entry(1), entry(2, submittedOnDailyAt=stamped), entry(3)]
    fetch_and_publish(NOW)
    assert editions() == ["2026-04-17"]
    assert Edition.objects.get().blocks.count() == 2
    assert not Paper.objects.filter(day__gt=DAY).exists()
    fetched = ingest.fetch(now=NOW, day=DAY)
    assert [one.why for one in fetched.rejected] == [
        f"it is dated {odd[:10]}, in the future"
    ]


def test_s31_an_entry_of_an_older_day_goes_to_its_own(source):
    source.days["2026-04-17"] = [entry(1), entry(2, day="2026-04-15")]
    fetch_and_publish(NOW)
    assert editions() == ["2026-04-17"]
    assert Paper.objects.get(arxiv_id="2604.00002").day == date(2026, 4, 15)


def test_s31_a_day_of_nothing_but_the_future_publishes_nothing(source):
    source.days["2026-04-17"] = [entry(1, day="2026-04-18")]
    fetch_and_publish(NOW)
    assert editions() == [] and not Paper.objects.exists()


@pytest.mark.parametrize("odd", ODD_DAYS[:4])
def test_s31_a_file_s_entry_of_the_future_is_refused(tmp_path, odd):
    path = tmp_path / "days.jsonl"
    path.write_text(
        "\n".join(json.dumps(entry(n, day=d)) for n, d in enumerate([odd, "2026-04-17"]))
    )
    fetched = ingest.fetch_file(path, now=NOW)
    assert (fetched.day, fetched.days, len(fetched.rejected)) == (DAY, (DAY,), 1)


@time_machine.travel(NOW, tick=False)
@pytest.mark.parametrize("odd", ODD_DAYS[:4])
def test_s31_the_front_page_stays_on_the_real_newest_day(client, odd):
    """Also for a paper that an older version of this program has stored."""
    make.paper(1, title="The real one")
    make.paper(2, day=date.fromisoformat(odd), title="The odd one")
    page = client.get("/").content.decode()
    assert "The real one" in page and "The odd one" not in page


# -- a day that was missed --------------------------------------------------------


def test_s31_a_day_on_which_the_source_was_down_is_asked_for_again(source):
    source.days |= {
        f"2026-04-{n}": [entry(n, day=f"2026-04-{n}")] for n in (16, 17, 18, 19)
    }
    fetch_and_publish(NOW - timedelta(days=1))
    source.fault = "error"
    for hours in (0, 6, 24):  # one request each time: it isn't asked for all days
        before = len(source.asked)
        fetch_and_publish(NOW + timedelta(hours=hours))
        assert len(source.asked) == before + 1
    assert editions() == ["2026-04-16"]
    source.fault = ""
    fetch_and_publish(NOW + timedelta(days=2))
    assert editions() == [f"2026-04-{n}" for n in (16, 17, 18, 19)]
    before = len(source.asked)
    fetch_and_publish(NOW + timedelta(days=2, hours=1))
    assert [query["date"] for query in source.asked[before:]] == ["2026-04-19"]


def test_a_day_on_which_nobody_asked_is_asked_for_too_and_one_from_before_the_start(source):
    fetch_and_publish(NOW - timedelta(days=3))
    assert [query["date"] for query in source.asked] == ["2026-04-14", "2026-04-13"]
    fetch_and_publish(NOW)
    asked = [query["date"] for query in source.asked[2:]]
    assert asked == ["2026-04-17", "2026-04-16", "2026-04-15"]


def test_a_day_that_was_missed_is_given_up_after_a_week(source):
    source.fault = "error"
    fetch_and_publish(NOW)
    assert DAY in source_days.due(NOW + timedelta(days=6))
    assert DAY not in source_days.due(NOW + timedelta(days=7))


# -- no papers --------------------------------------------------------------------


def test_j4_without_papers_the_admins_are_told_once_and_again_at_the_next_time(
    source, told
):
    source.days |= {"2026-04-17": [entry(1)], "2026-04-18": [entry(2, day="2026-04-18")]}
    for times in (1, 2):
        source.fault = "error"
        for half_hours in range(12):
            fetch_and_publish(NOW + timedelta(hours=12 * times, minutes=30 * half_hours))
        assert len(told) == times
        assert "no answer for" in told[-1].body and "answered 500" in told[-1].body
        source.fault = ""
        fetch_and_publish(NOW + timedelta(hours=12 * times + 7))
    assert len(told) == 2


def test_a_short_silence_alarms_nobody(source, told):
    source.fault = "error"
    for half_hours in range(4):
        fetch_and_publish(NOW + timedelta(minutes=30 * half_hours))
    assert told == [] and source_days.troubles(NOW + timedelta(minutes=90)) == []


def test_a_source_that_answers_with_nothing_for_days_is_noticed(source, told):
    source.days["2026-04-17"] = [entry(1)]
    for days in range(5):
        fetch_and_publish(NOW + timedelta(days=days))
    assert told == []
    fetch_and_publish(NOW + timedelta(days=5))
    assert "the newest are of 2026-04-17" in told[0].body


def test_j4_readyz_says_that_no_papers_come_and_stays_ready(client, source):
    source.fault = "error"
    now = ledger.database_now()
    fetch_and_publish(now - timedelta(hours=3))
    heartbeats.beat(heartbeats.Loop.TICK, now)
    answer = client.get("/readyz")
    assert answer.status_code == 200
    assert re.fullmatch(
        "degraded\npapers: no answer for 20[0-9-]{8} since 20[0-9-]{8} [0-9:]{5} UTC: "
        "the paper source answered 500\nrelease: 1.0.0\n",
        answer.content.decode(),
    )
    for row in SourceDay.objects.all():
        source_days.answered(row.day, now, papers=1)
    assert client.get("/readyz").content.startswith(b"ready\n")


@pytest.mark.parametrize(
    ("age", "is_current"), [(0, True), (4, True), (5, False), (180, False)]
)
def test_an_old_list_is_not_called_today_s(client, age, is_current):
    make.paper(1)
    with time_machine.travel(NOW + timedelta(days=age), tick=False):
        page = client.get("/").content.decode()
    assert ("Today’s trending papers" in page) is is_current
    assert ("There are no new papers at the moment" in page) is not is_current


def test_the_first_fetch_is_due_when_beat_starts(tmp_path):
    scheduler = beat.PersistentScheduler(
        app, lazy=True, schedule_filename=str(tmp_path / "beat")
    )
    scheduler.setup_schedule()
    try:
        assert scheduler.schedule["publish"].is_due()[0]
    finally:
        scheduler.close()


# -- the command ------------------------------------------------------------------


@time_machine.travel(NOW, tick=False)
def test_publish_without_a_day_takes_the_newest_that_has_papers():
    make.paper(1, day=date(2026, 4, 15))
    make.paper(2, day=date(2026, 4, 13))
    make.paper(3, day=date(2026, 5, 1))
    out = StringIO()
    call_command("publish", stdout=out)
    assert out.getvalue() == "published daily 2026-04-15: 1 papers\n"


def test_samples_are_no_sign_of_old_papers():
    store_samples(day=DAY, now=NOW)
    publish(DAY, now=NOW)
    SourceDay.objects.create(day=DAY, answered_at=NOW)
    assert source_days.troubles(NOW + timedelta(days=30)) == []
