"""Redis tells senders of every machine that a database went back, and may fail at any time."""

import os
import signal
import time
from contextlib import suppress
from datetime import timedelta

import pytest
import redis

from digest.deliveries import control, fencing
from digest.deliveries.plan import HORIZON
from digest.deliveries.send import send_due
from digest.models import Delivery, Fence
from tests import embedded_redis, make
from tests.deliveries.test_fencing import (
    NOW,
    READERS,
    Killed,
    Snapshots,
    open_again,
    readers,
)
from tests.environment import POSTGRES

pytestmark = pytest.mark.django_db
__all__ = ["readers"]
KEY = fencing.key(fencing.HIGH_WATER)


@pytest.fixture
def machine(settings, tmp_path, redis_server):
    """Go to another machine, which shares database and Redis; the first is "a"."""

    def go_to(name: str) -> None:
        settings.STATE_DIR = tmp_path / name

    settings.REDIS_URL = redis_server
    return go_to


def ask(url: str, *words: str) -> None:
    with redis.Redis.from_url(url) as client:
        client.execute_command(*words)


@pytest.mark.each_row
@pytest.mark.parametrize("at", [3, READERS, READERS + 2])
def test_r36_a_rollback_is_noticed_by_a_machine_that_has_never_sent(readers, machine, at):
    machine("a")
    snapshots = Snapshots(die_at=READERS + 3)
    with suppress(Killed):
        send_due(snapshots)
    assert len(readers.mails()) == READERS
    snapshots.restore(at)
    open_again()
    machine("b")
    assert "older than Redis remembers" in fencing.refusal()
    for _ in range(2):  # what refuses changes nothing, so that nobody gets past it later
        with pytest.raises(fencing.SendingRefused, match="older than Redis remembers"):
            send_due(lambda: NOW)
    assert len(readers.mails()) == READERS
    fencing.accept()
    assert fencing.refusal() == ""
    machine("a")  # whose disk remembers more than b's, but not more than was accepted
    assert fencing.refusal() == ""
    fencing.rise()


def test_r36_another_sender_that_is_ahead_stops_nobody(readers, machine):
    mark = fencing.rise()
    machine("b")
    fencing.rise()
    fencing.rise()
    machine("a")
    fencing.attest(mark)  # committed before b's, told after them, and told twice
    fencing.attest(mark)
    assert send_due(lambda: NOW)["accepted"] == READERS


def test_r36_a_sender_of_a_server_that_was_replaced_ends_before_its_next_group(
    readers, machine
):
    """As if a standby had been promoted and accepted behind a network that is cut."""
    calls = iter(range(100))

    def clock():
        if next(calls) == 5:
            mark = Fence.objects.get()
            fencing.tell_witness(mark.identity, fencing.beyond(mark))
        return NOW

    with pytest.raises(fencing.SendingRefused, match="older than Redis remembers"):
        send_due(clock)
    assert 0 < len(readers.mails()) < READERS
    assert set(make.states().values()) == {"accepted", "pending"}


def lost(url: str, pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def frozen(url: str, pid: int) -> None:
    os.kill(pid, signal.SIGSTOP)


def emptied(url: str, pid: int) -> None:
    ask(url, "FLUSHALL")


def full(url: str, pid: int) -> None:
    ask(url, "CONFIG", "SET", "maxmemory", "1")


@pytest.mark.parametrize("fault", [lost, frozen, emptied, full])
def test_r36_a_redis_that_fails_stops_nobody(readers, settings, short_folder, fault):
    calls = iter(range(100))
    with embedded_redis.server(short_folder) as (url, pid):
        settings.REDIS_URL = url

        def clock():
            if next(calls) == 5:
                fault(url, pid)
            return NOW

        began = time.monotonic()
        assert send_due(clock)["accepted"] == READERS
        assert time.monotonic() - began < 20
        if fault is emptied:
            assert list(fencing.witnessed().values()) == [Fence.objects.get().count]


HOSTILE = {
    "of another kind": ("SET", KEY, "1"),
    "infinite": ("ZADD", KEY, "+inf", "{identity}"),
    "below zero": ("ZADD", KEY, "-5", "{identity}"),
    "beyond what is exact": ("ZADD", KEY, "1e300", "{identity}"),
    "no text": ("ZADD", KEY, "7", b"\xff\xfe"),
    "of another database": ("ZADD", KEY, "9000000", "another"),
}


@pytest.mark.parametrize("words", HOSTILE.values(), ids=HOSTILE)
def test_r36_what_is_not_our_number_is_not_believed(readers, machine, settings, words):
    identity = fencing.rise().identity
    ask(settings.REDIS_URL, "DEL", KEY)
    named = [
        word.format(identity=identity) if isinstance(word, str) else word for word in words
    ]
    ask(settings.REDIS_URL, *named)
    fencing.witness.cache_clear()
    assert fencing.refusal() == ""
    assert send_due(lambda: NOW)["accepted"] == READERS


def test_r36_the_log_says_why_a_redis_remembers_nothing(readers, machine, settings, caplog):
    """An old one, or one with other rights, would else look as if it were away."""
    ask(settings.REDIS_URL, "ACL", "SETUSER", "default", "-zadd")
    fencing.rise()
    assert "permissions to run the 'zadd' command" in caplog.text


def test_r36_no_instant_that_redis_may_name_stops_a_quarantine(readers, machine) -> None:
    fencing.tell_witness(fencing.rise().identity, fencing.MOST - 1, fencing.SENT_UNTIL)
    assert control.sent_ahead(None, now=NOW) == NOW + HORIZON


@pytest.mark.skipif(not POSTGRES, reason="only PostgreSQL says where a database is")
@pytest.mark.each_row
@pytest.mark.parametrize(
    ("was", "replicated", "lost", "sends"),
    [
        ("earlier timeline", True, 0, True),
        ("earlier timeline", False, 0, False),
        ("earlier timeline", True, 1, False),
        ("later timeline", True, 0, False),
        ("another server", True, 0, False),
        ("earlier timeline, and Redis forgot", True, 0, False),
    ],
)
def test_r36_a_standby_that_has_every_commit_takes_over_and_nothing_is_asked(
    readers, machine, settings, was, replicated, lost, sends
):
    machine("a")
    before = fencing.rise().count
    server, _, *rest = fencing.place().name.split("/")
    old = {
        "earlier timeline": [server, "00000000", *rest],
        "later timeline": [server, "0000000A", *rest],
        "another server": ["7", "00000000", *rest],
    }[was.partition(",")[0]]
    if "forgot" in was:
        ask(settings.REDIS_URL, "FLUSHALL")
    Fence.objects.update(place="/".join(old), is_replicated=replicated, count=before - lost)
    machine("b")
    assert (fencing.refusal() == "") is sends
    if not sends:
        with pytest.raises(fencing.SendingRefused):
            fencing.rise()
        return
    # Senders that are still with the old server cannot reach what was accepted here.
    assert fencing.rise().count > before + 2**20
    assert Fence.objects.get().place == fencing.place().name
    assert send_due(lambda: NOW)["accepted"] == READERS
    assert not Delivery.objects.exclude(state="accepted").exists()


def test_r14_another_machine_knows_how_far_ahead_mails_were_sent(readers, machine) -> None:
    machine("a")
    later = NOW + timedelta(days=1)
    send_due(lambda: NOW, due=lambda: later)
    send_due(lambda: NOW)
    machine("b")
    assert fencing.sent_until() == later
