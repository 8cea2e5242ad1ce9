"""What /readyz says of the database and of the workers."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from celery.beat import ScheduleEntry
from django.conf import settings
from django.db import OperationalError, connection

from digest import tasks
from digest.celery import app
from digest.deliveries import heartbeats, ledger
from digest.deliveries.heartbeats import Loop
from digest.deliveries.plan import plan
from digest.models import Delivery, Edition, Heartbeat
from tests import make

pytestmark = pytest.mark.django_db


@pytest.fixture
def readyz(client, settings):
    settings.REDIS_URL = ""  # as embedded; a deployment's is nobody's in tests

    def ask() -> tuple[int, str]:
        answer = client.get("/readyz")
        said, release, rest = answer.content.decode().partition("release: 1.0.0\n")
        assert release and not rest
        return answer.status_code, said

    return ask


def beat(loop: Loop, *, ago: float) -> None:
    heartbeats.beat(loop, ledger.database_now() - timedelta(seconds=ago))


def due(*, ago: timedelta) -> None:
    """A mail that has been due for so long."""
    make.edition({make.paper(1): {"graphs": 1.0}})
    make.reader("ann@example.org", "graphs")
    plan(make.NOON)
    Delivery.objects.update(not_before=ledger.database_now() - ago)


def test_o2_readyz_is_ready_while_ticks_come_through(readyz):
    assert readyz() == (503, "tick: has never run; start a worker and beat\n")
    tasks.tick()
    assert readyz() == (200, "ready\n")
    assert Heartbeat.objects.get().loop == "tick"


def test_what_readyz_answers_is_no_error_in_the_log(readyz, caplog):
    assert readyz()[0] == 503
    assert caplog.text == ""


def test_c4_readyz_is_red_after_three_missed_ticks(readyz):
    beat(Loop.TICK, ago=50)
    assert readyz()[0] == 200
    beat(Loop.TICK, ago=70)
    status, words = readyz()
    assert status == 503 and words.startswith("tick: last ran 7")


@pytest.mark.parametrize(
    ("ago", "said"),
    [
        (1, "ready"),  # it needs no Redis itself, and asks none
        (70, "tick: last ran 70 seconds ago; Redis does not answer (ConnectionError)"),
    ],
)
def test_c4_readyz_says_that_redis_is_away_where_ticks_are(readyz, settings, ago, said):
    settings.REDIS_URL = "redis://u:hush@127.0.0.1:9/0"
    beat(Loop.TICK, ago=ago)
    assert re.sub("7[0-9]", "70", readyz()[1]) == f"{said}\n"


def test_c4_readyz_does_not_blame_a_redis_that_answers(readyz, settings, redis_server):
    settings.REDIS_URL = redis_server
    beat(Loop.TICK, ago=70)
    assert "Redis" not in readyz()[1]


def test_c4_readyz_is_red_when_mails_are_due_and_nobody_sends(readyz):
    beat(Loop.TICK, ago=1)
    beat(Loop.SEND, ago=200)
    assert readyz()[0] == 200, "nothing is due"
    due(ago=timedelta(minutes=4))
    assert readyz()[1].startswith("send: last ran 20")
    Edition.objects.update(hold="paused")
    assert readyz()[0] == 200
    Edition.objects.update(hold="")
    beat(Loop.SEND, ago=100)
    assert readyz()[0] == 200
    beat(Loop.TICK, ago=99)
    Heartbeat.objects.filter(loop="send").delete()
    assert readyz()[1].count("\n") == 2


def test_c4_a_sender_beats_each_time_it_runs():
    before = ledger.database_now()
    tasks.send()
    row = Heartbeat.objects.get()
    assert row.loop == "send" and row.at >= before - timedelta(milliseconds=1)


def test_readyz_names_missing_migrations(readyz):
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'digest'")
    status, words = readyz()
    assert status == 503 and "migrations are not applied" in words


def test_readyz_says_of_a_lost_database_that_and_no_more(readyz):
    class Away:
        def __call__(self, execute, sql, *rest):
            raise OperationalError("password=secret host=db")

    with connection.execute_wrapper(Away()):
        assert readyz() == (503, "the database does not answer\n")


@pytest.mark.parametrize("seconds", [-600, -30, 30, 600])
def test_t31_readyz_says_whose_clock_differs_from_the_databases(readyz, seconds):
    with time_machine.travel(datetime.now(UTC) + timedelta(seconds=seconds), tick=True):
        tasks.tick()
    which = "ahead of" if seconds > 0 else "behind"
    words = f"ready\nclock: worker is {abs(seconds)} seconds {which} the database\n"
    assert readyz() == (200, words)


def test_t31_readyz_says_beats_clock_and_is_red_when_one_is_far_off(readyz):
    now = ledger.database_now()
    assert heartbeats.turn(Loop.TICK, now, beat_at=now.timestamp() - 7200)
    heartbeats.beat(Loop.TICK, now)
    status, words = readyz()
    assert status == 503
    assert words.splitlines() == [
        "the clock of beat is 7200 seconds off: set it",
        "clock: beat is 7200 seconds behind the database",
    ]


def test_t31_what_piled_up_is_not_done_again_and_a_clock_set_back_stops_nothing():
    now = ledger.database_now()
    assert heartbeats.turn(Loop.TICK, now)
    assert not heartbeats.turn(Loop.TICK, now + timedelta(seconds=2))
    assert heartbeats.turn(Loop.TICK, now + timedelta(seconds=10))
    assert heartbeats.turn(Loop.TICK, now - timedelta(hours=2)), (
        "the database's was set back"
    )
    assert not heartbeats.turn(Loop.TICK, now - timedelta(hours=2))


def test_t31_beat_goes_on_when_its_clock_is_set_back():
    """At once when it starts, then by a clock that nobody can set."""
    made: dict[str, Any] = dict(settings.CELERY_BEAT_SCHEDULE["tick"])
    entry = ScheduleEntry(name="tick", app=app, **made)
    assert entry.is_due()[0]
    entry = next(entry)
    with time_machine.travel(datetime.now(UTC) - timedelta(hours=2), tick=True):
        due, wait = entry.is_due()
        assert not due and 0 < wait <= 10
    assert not entry.options
