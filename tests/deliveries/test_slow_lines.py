"""Stop means stop on any line: what has not begun is looked at again when its turn comes."""

import os
import signal
import threading
import time
from collections.abc import Callable
from datetime import timedelta

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from django.db import connections
from django.test import Client

from digest import process
from digest.deliveries import control, ledger, send
from digest.deliveries.outlets import BatchSizer
from digest.deliveries.plan import plan_edition
from digest.deliveries.send import send_due
from digest.models import Delivery, Edition
from subscribers.models import Subscriber
from tests import make

pytestmark = pytest.mark.django_db(transaction=True)
READERS, CONNECTIONS, FAST = 60, 3, 12
SLOW = 0.3  # seconds a reply, from then on


@pytest.fixture
def line(sink, settings, monkeypatch):
    """A line on which all of an edition is one submit group, and that turns slow in it."""
    settings.MAILER_URL = sink.url
    settings.SEND_CONNECTIONS, settings.SUBMIT_GROUP = CONNECTIONS, READERS
    monkeypatch.setattr(BatchSizer, "GROWTH", READERS)
    edition = make.edition({make.paper(1): {"graphs": 1.0}})
    make.readers([f"r{number:02}@example.org" for number in range(READERS)], "graphs")
    plan_edition(edition, ledger.database_now())
    sink.turn_slow(SLOW, after=FAST)
    return sink


def meanwhile(sink, act: Callable[[], None]) -> threading.Thread:
    """Do this in another process' stead, as soon as the line has turned slow."""

    def run() -> None:
        try:
            until = time.monotonic() + 30
            while len(sink.mails()) < FAST and time.monotonic() < until:
                time.sleep(0.02)
            act()
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def begun_after(sink, answered: dict[str, float]) -> list[str]:
    return [who for who, at in sink.begun() if at > answered.get(who, float("inf"))]


def test_p3a_who_leaves_while_the_line_turns_slow_gets_one_mail_a_connection_at_most(line):
    answered: dict[str, float] = {}
    tokens = dict(Subscriber.objects.values_list("email", "unsubscribe_token"))

    def all_leave() -> None:
        client = Client(headers={"host": "127.0.0.1"})
        for email in sorted(tokens, reverse=True):
            assert client.post(f"/u/{tokens[email]}").status_code == 200
            answered[email] = time.time()

    thread = meanwhile(line, all_leave)
    send_due(ledger.database_now)
    thread.join()
    assert len(answered) == READERS
    assert len(begun_after(line, answered)) <= CONNECTIONS
    assert len(line.mails()) < READERS
    line.turn_slow(0)
    send_due(ledger.database_now)
    states = dict.fromkeys(make.states().values())
    assert set(states) <= {"accepted", "skipped"}
    skipped = Delivery.objects.filter(state="skipped").values_list("reason", flat=True)
    assert set(skipped) == {"no longer subscribed"}


def test_o5_a_pause_reaches_a_line_that_turned_slow(line):
    paused: list[float] = []

    def pause() -> None:
        control.pause(Edition.objects.get(), "wait")
        paused.append(time.time())

    thread = meanwhile(line, pause)
    send_due(ledger.database_now)
    thread.join()
    late = [who for who, at in line.begun() if at > paused[0] + 0.2]
    assert len(late) <= CONNECTIONS
    assert set(make.states().values()) == {"accepted", "pending"}
    assert not Delivery.objects.filter(state="pending", attempts__gt=0).exists()
    line.turn_slow(0)
    control.resume(Edition.objects.get(), now=ledger.database_now())
    send_due(ledger.database_now)
    assert set(make.states().values()) == {"accepted"}
    assert len(line.mails()) == READERS


def test_r12_a_stop_reaches_a_line_that_turned_slow(line):
    try:
        thread = meanwhile(line, process.ask_to_stop)
        began = time.monotonic()
        send_due(ledger.database_now)
        assert time.monotonic() - began < 10
        thread.join()
    finally:
        process.MARK[0] = 0
    assert set(make.states().values()) == {"accepted", "pending"}
    assert len(line.mails()) < READERS / 2


def test_r3_a_group_on_a_line_that_turned_slow_ends_in_time_and_the_rest_is_anybodys(
    line, monkeypatch
):
    monkeypatch.setattr(send, "GROUP_SECONDS", 0.5)
    began = ledger.database_now()

    def clock():
        return ledger.database_now() + timedelta(minutes=1 if line.begun() else 0)

    send_due(clock, until=began + timedelta(minutes=1))
    assert len(line.mails()) < READERS
    assert set(make.states().values()) == {"accepted", "pending"}
    assert not Delivery.objects.filter(state="pending", attempts__gt=0).exists()


def test_r3_a_task_whose_time_is_over_leaves_what_it_has_not_begun_to_others(line):
    def out_of_time(*_: object) -> None:
        raise SoftTimeLimitExceeded

    before = signal.signal(signal.SIGUSR1, out_of_time)  # as Celery's pool does
    try:
        thread = meanwhile(line, lambda: os.kill(os.getpid(), signal.SIGUSR1))
        with pytest.raises(SoftTimeLimitExceeded):
            send_due(ledger.database_now)
        thread.join()
    finally:
        signal.signal(signal.SIGUSR1, before)
    line.turn_slow(0)
    ledger.rescue_expired(ledger.database_now() + timedelta(hours=1))
    unknown = [who for who, state in make.states().items() if state == "unknown"]
    assert len(unknown) <= 2 * CONNECTIONS  # a mail and the envelope ahead, each
    send_due(ledger.database_now)
    assert set(make.states().values()) <= {"accepted", "unknown"}
    taken = [who for mail in line.mails() for who in mail.rcpt]
    assert len(taken) == len(set(taken)) >= READERS - len(unknown)
