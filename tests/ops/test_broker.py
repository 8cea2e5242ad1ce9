"""The embedded Redis: a real one, on a socket, that keeps what it was told."""

import os
import signal
import subprocess
from pathlib import Path

import pytest
import redis

from digest.ops.stack.broker import (
    BrokerError,
    check_url,
    server_binary,
    server_command,
    wait_for_socket,
)


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
