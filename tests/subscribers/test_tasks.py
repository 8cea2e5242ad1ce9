"""Waking the worker: fast with a broker, harmless without one."""

import socket
import time
from collections.abc import Iterator

import pytest
import redis

from subscribers import tasks


@pytest.fixture
def silent() -> Iterator[str]:
    """A server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"redis://127.0.0.1:{listener.getsockname()[1]}/0"


def took(url: str, patch: pytest.MonkeyPatch) -> float:
    """Seconds that a wake-up takes with this broker."""
    patch.setenv("CELERY_BROKER_WRITE_URL", url)
    started = time.monotonic()
    tasks.wake()
    return time.monotonic() - started


def test_a_wake_up_reaches_the_queue_and_carries_nothing(
    monkeypatch, redis_server: str
) -> None:
    took(redis_server.replace("unix", "redis+socket", 1), monkeypatch)
    with redis.Redis(unix_socket_path=redis_server.removeprefix("unix://")) as store:
        (message,) = store.lrange("celery", 0, -1)
    assert b"subscribers.tasks.send_notices" in message
    assert b"W1tdLCB7fSwg" in message  # base64 of "[[], {}, ": no arguments


@pytest.mark.parametrize(
    "url", ["redis://127.0.0.1:9/0", "redis+socket:///nonexistent.sock"]
)
def test_a_dead_broker_is_one_line_in_the_log(monkeypatch, caplog, url: str) -> None:
    assert took(url, monkeypatch) < 3
    assert [record.name for record in caplog.records] == ["subscribers.tasks"]


def test_a_broker_that_never_answers_is_not_waited_for(
    monkeypatch, caplog, silent: str
) -> None:
    assert 0.5 < took(silent, monkeypatch) < 4
    assert "no broker" in caplog.text
