"""Waking the worker: never waited for, and harmless without a broker."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import redis

from subscribers import tasks
from tests.environment import ROOT

ASK_OFTEN = """
import sys, time
from subscribers import tasks
started = time.monotonic()
for _ in range(500):
    tasks.wake()
took = time.monotonic() - started
print(took, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def silent() -> Iterator[str]:
    """A server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"redis://127.0.0.1:{listener.getsockname()[1]}/0"


def took(url: str, patch: pytest.MonkeyPatch) -> float:
    """Seconds that a message to this broker takes."""
    patch.setenv("CELERY_BROKER_WRITE_URL", url)
    started = time.monotonic()
    tasks.publish()
    return time.monotonic() - started


def test_a_wake_up_reaches_the_queue_and_carries_nothing(
    monkeypatch, redis_server: str
) -> None:
    took(redis_server.replace("unix", "redis+socket", 1), monkeypatch)
    (message,) = queued(redis_server)
    assert b"subscribers.tasks.send_notices" in message
    assert b"W1tdLCB7fSwg" in message  # base64 of "[[], {}, ": no arguments


@pytest.mark.parametrize(
    "url", ["redis://127.0.0.1:9/0", "redis+socket:///nonexistent.sock"]
)
def test_a_dead_broker_is_one_line_in_the_log(monkeypatch, caplog, url: str) -> None:
    assert took(url, monkeypatch) < 3
    assert "no broker" in caplog.text
    assert "Traceback" not in caplog.text


def test_a_broker_that_never_answers_is_not_waited_for(
    monkeypatch, caplog, silent: str
) -> None:
    assert 0.5 < took(silent, monkeypatch) < 4
    assert "no broker" in caplog.text


def test_the_next_wake_ups_go_over_the_same_connection_and_over_another_if_it_broke(
    monkeypatch, caplog, redis_server: str
) -> None:
    monkeypatch.setenv(
        "CELERY_BROKER_WRITE_URL", redis_server.replace("unix", "redis+socket", 1)
    )
    connected, left = [], [False, True, True]
    with redis.Redis(unix_socket_path=redis_server.removeprefix("unix://")) as store:

        def again() -> bool:
            assert store.lpop("notices")
            connected.append(store.info("stats")["total_connections_received"])
            if len(left) == 2:
                store.client_kill_filter(_type="normal", skipme=True)
            return left.pop()

        assert tasks.publish(again=again)
    assert connected[0] == connected[1] < connected[2]
    assert not caplog.text


def queued(redis_url: str) -> list[bytes]:
    with redis.Redis(unix_socket_path=redis_url.removeprefix("unix://")) as store:
        found: list[bytes] = store.lrange("notices", 0, -1)
        return found


@contextmanager
def asked_often(url: str) -> Iterator[float]:
    """A web process that has asked five hundred times; yields the seconds that it took."""
    command = [sys.executable, "manage.py", "shell", "-v0", "-c", ASK_OFTEN]
    env = os.environ | {"CELERY_BROKER_WRITE_URL": url}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, env=env, stdin=pipe, stdout=pipe) as process:
        assert process.stdout
        yield float(process.stdout.readline())


def test_whoever_asks_waits_for_no_broker(silent: str) -> None:
    with asked_often(silent) as seconds:
        assert seconds < 0.5


def test_many_who_ask_at_once_need_one_message(redis_server: str) -> None:
    with asked_often(redis_server.replace("unix", "redis+socket", 1)):
        until = time.monotonic() + 20
        while not (waiting := queued(redis_server)) and time.monotonic() < until:
            time.sleep(0.05)
    assert len(waiting) == 1
    assert len(queued(redis_server)) == 1
