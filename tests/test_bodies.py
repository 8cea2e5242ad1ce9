"""Large and slow request bodies, at gunicorn with the threads of a deployment."""

import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connections

from digest import bodies
from subscribers.models import Request
from tests.environment import DEPLOYMENT, KEYS, ROOT, bare
from tests.ports import free_port, wait_until_it_answers
from tests.subscribers.test_one_click import database_url

FORM = b"email=ann%40example.org"
KINDS = [
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=b",
    "application/octet-stream",
]


@pytest.fixture
def web(transactional_db: None, tmp_path: Path) -> Iterator[int]:
    port = free_port()
    env = bare() | DEPLOYMENT | KEYS
    env |= {"DATABASE_URL": database_url(), "STATE_DIR": str(tmp_path)}
    env |= {
        "SITE_URL": f"http://127.0.0.1:{port}",
        "STATIC_ROOT": str(settings.STATIC_ROOT),
    }
    command = [sys.executable, "-m", "gunicorn", "digest.wsgi", "--no-control-socket"]
    command += ["--bind", f"127.0.0.1:{port}", "--worker-class", "gthread", "--preload"]
    command += ["--workers", "2", "--threads", "4", "--graceful-timeout", "5"]
    with subprocess.Popen(command, cwd=ROOT, env=env) as process:
        try:
            wait_until_it_answers(port)
            yield port
        finally:
            process.terminate()
            process.wait(30)
            connections.close_all()


def opened(
    port: int,
    path: str,
    *,
    length: int | str,
    kind: str = KINDS[0],
    method: str = "POST",
) -> socket.socket:
    """A connection on which the head of a request has been sent."""
    line = socket.create_connection(("127.0.0.1", port), timeout=20)
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n"
    line.sendall(f"{head}Content-Type: {kind}\r\nContent-Length: {length}\r\n\r\n".encode())
    return line


def status(line: socket.socket) -> int:
    with line:
        answer = line.recv(100)
    return int(answer.split(b" ")[1]) if answer else 0


def ask(port: int, path: str = "/healthz") -> float:
    """Seconds until the answer."""
    began = time.monotonic()
    assert status(opened(port, path, length=0, method="GET")) == 200
    return time.monotonic() - began


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "path",
    ["/subscribe/", "/preferences/", "/u/AAAAAAAAAAAAAAAAAAAAAA", "/", "/admin/login/"],
)
def test_a_large_body_is_refused_unread(web: int, path: str, kind: str) -> None:
    for length in (bodies.MOST_BYTES + 1, 200_000_000, 10**18):
        assert status(opened(web, path, length=length, kind=kind)) == 413


@pytest.mark.parametrize("pause", [0, 0.1, 1])
def test_a_form_in_two_pieces_is_taken(web: int, pause: float) -> None:
    line = opened(web, "/preferences/", length=len(FORM))
    line.sendall(FORM[:9])
    time.sleep(pause)
    line.sendall(FORM[9:])
    assert status(line) == 303
    assert Request.objects.get().email == "ann@example.org"


def test_a_form_of_the_largest_size_is_taken(web: int) -> None:
    padding = b"&x=" + b"x" * (bodies.MOST_BYTES - len(FORM) - 3)
    line = opened(web, "/preferences/", length=bodies.MOST_BYTES)
    line.sendall(FORM + padding)
    assert status(line) == 303


def test_health_and_forms_answer_while_forty_bodies_come_slowly(web: int) -> None:
    over = threading.Event()
    with ExitStack() as stack:
        lines = [
            stack.enter_context(opened(web, "/subscribe/", length=1000)) for _ in range(40)
        ]

        def drip() -> None:
            while not over.wait(0.1):
                for line in lines:
                    try:
                        line.sendall(b"x")
                    except OSError:
                        continue  # refused meanwhile

        dripping = threading.Thread(target=drip)
        dripping.start()
        try:
            took = [ask(web) for _ in range(20)]
            line = opened(web, "/preferences/", length=len(FORM))
            line.sendall(FORM)
            assert status(line) == 303
            print(f"/healthz: median {statistics.median(took):.3f} s, {max(took):.3f} s")
        finally:
            over.set()
            dripping.join()
    assert max(took) < bodies.WITHIN
    assert statistics.median(took) < 1


def test_a_slow_body_is_given_up(web: int) -> None:
    began = time.monotonic()
    assert status(opened(web, "/subscribe/", length=1000)) == 408
    assert bodies.WITHIN - 1 < time.monotonic() - began < bodies.WITHIN + 8
