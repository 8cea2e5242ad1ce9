"""gunicorn as a deployment runs it, on the test's database or on one of its own."""

import http.client
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from django.conf import settings
from django.db import connections

from tests.environment import DEPLOYMENT, KEYS, POSTGRES, ROOT, bare

STARTS_WITHIN = 120.0  # seconds, on a busy machine


def database_url() -> str:
    """Return the DATABASE_URL of the test's own database."""
    name = connections["default"].settings_dict["NAME"]
    if POSTGRES:
        return urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{name}").geturl()
    return f"sqlite:///{name}"


@contextmanager
def web_server(
    state: Path,
    *,
    workers: int = 1,
    threads: int = 2,
    database: str = "",
    env: Mapping[str, str] | None = None,
) -> Iterator[int]:
    """Serve the site until the end of the block. Yield the port.

    Without `database`, a DATABASE_URL, it is the test's.

    The server inherits a socket that listens already: between looking for a free port and
    taking it, another process could take it.
    """
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listening:
        port, inherited = listening.getsockname()[1], listening.fileno()
        given = {
            "DATABASE_URL": database or database_url(),
            "STATE_DIR": str(state),
            "SITE_URL": f"http://127.0.0.1:{port}",
            "STATIC_ROOT": str(settings.STATIC_ROOT),
        }
        command = ["-m", "gunicorn", "digest.wsgi", "--preload", "--no-control-socket"]
        command += ["--worker-class", "gthread", "--workers", str(workers)]
        command += ["--threads", str(threads), "--graceful-timeout", "5"]
        process = subprocess.Popen(
            [sys.executable, *command, "--bind", f"fd://{inherited}"],
            cwd=ROOT,
            env=bare() | DEPLOYMENT | KEYS | given | dict(env or {}),
            pass_fds=[inherited],
        )
    try:
        wait_until_it_serves(port)
        yield port
    finally:
        process.terminate()
        process.wait(60)
        connections.close_all()


def wait_until_it_serves(port: int) -> None:
    """Return when the first request was answered; fails at once if the server has died."""
    first = http.client.HTTPConnection("127.0.0.1", port, timeout=STARTS_WITHIN)
    with closing(first):
        first.request("GET", "/healthz")
        assert first.getresponse().status == 200
