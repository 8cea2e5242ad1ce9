"""A database that says nothing, as behind a network that is cut: nobody waits long for it."""

import http.client
import logging
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest
from django.db import OperationalError
from django.db.utils import ConnectionHandler
from pytest_django import DjangoDbBlocker

from digest import endpoints
from digest.logs import RouteInsteadOfPath
from tests import postgres
from tests.environment import DEPLOYMENT, KEYS, ROOT, bare
from tests.web_server import web_server

pytestmark = pytest.mark.embedded
LONG = 30.0  # seconds; far longer than anybody waits, and far less than without PATIENCE


@dataclass
class Line:
    """A way to the server that can be cut: no packet passes any more, and no end is told."""

    server: str  # the path of its socket
    taken: int = 0  # connections
    whole: threading.Event = field(default_factory=threading.Event)
    listening: socket.socket = field(
        default_factory=lambda: socket.create_server(("127.0.0.1", 0))
    )

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.listening.getsockname()[1]}/postgres"

    def run(self) -> None:
        self.whole.set()
        with suppress(OSError):  # it is over
            while True:
                near, _ = self.listening.accept()
                self.taken += 1
                threading.Thread(target=self.carry, args=[near], daemon=True).start()

    def carry(self, near: socket.socket) -> None:
        with near, socket.socket(socket.AF_UNIX) as far, suppress(OSError):
            far.connect(self.server)
            while True:
                ready, _, _ = select.select([near, far], [], [])
                self.whole.wait()
                for one in ready:
                    if not (said := one.recv(65536)):
                        return
                    (far if one is near else near).sendall(said)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    if not postgres.is_readable():
        pytest.skip("the server's user cannot read its programs")
    with postgres.server() as url:
        yield url


@pytest.fixture
def line(server: str, django_db_blocker: DjangoDbBlocker) -> Iterator[Line]:
    folder = urlsplit(server).netloc.partition("@")[2].replace("%2F", "/")
    made = Line(f"{folder}/.s.PGSQL.5432")
    threading.Thread(target=made.run, daemon=True).start()
    with django_db_blocker.unblock():  # this server is the test's own
        yield made
    made.listening.close()
    made.whole.set()


@contextmanager
def database(line: Line, patience: float | None) -> Iterator[ConnectionHandler]:
    entry = endpoints.database("DATABASE_URL", line.url, folder=Path())
    options = {"connect_timeout": 2}
    handler = ConnectionHandler(
        {
            "default": entry
            | {"PATIENCE": patience, "OPTIONS": options, "CONN_HEALTH_CHECKS": True}
        }
    )
    try:
        yield handler
    finally:
        handler.close_all()


def ask(handler: ConnectionHandler, sql: str = "SELECT 1") -> object:
    """As a request does: a kept connection is checked first."""
    ours = handler["default"]
    ours.close_if_unusable_or_obsolete()
    with ours.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchone()


@pytest.fixture(autouse=True)
def rests() -> Iterator[None]:
    from digest.postgresql import base

    yield
    base.rests.clear()


def test_a_slow_statement_is_waited_for(line: Line) -> None:
    with database(line, patience=0.05) as handler:
        assert ask(handler, "SELECT pg_sleep(0.5), 7") == ("", 7)
    assert line.taken > 2  # it was asked by others whether it is there


@pytest.mark.parametrize("asked", ["SELECT 1", "SELECT pg_sleep(0.3)"])
def test_one_finds_that_it_is_silent_and_the_next_do_not_wait(
    line: Line, asked: str
) -> None:
    """A connection that was kept, and one that is cut while it waits."""
    from digest.postgresql import base

    with database(line, patience=0.2) as handler:
        assert ask(handler) == (1,)
        if asked == "SELECT 1":
            line.whole.clear()
        else:
            threading.Timer(0.1, line.whole.clear).start()
        with pytest.raises(OperationalError):
            ask(handler, asked)
        assert base.rests["default"].is_out
        base.rests["default"].until += LONG
        taken = line.taken
        for _ in range(3):
            handler["default"].close()
            with pytest.raises(OperationalError, match="a moment ago"):
                ask(handler)
        assert line.taken == taken
        line.whole.set()
        base.rests["default"].until = 0.0
        assert ask(handler) == (1,)
        assert not base.rests["default"].is_out


def test_a_request_that_the_silence_fails_is_one_line_of_the_log(line: Line) -> None:
    """Each fails at once, and there may be hundreds of them a second."""
    from digest.postgresql import base

    base.rests["default"].begin()
    with database(line, patience=1) as handler:
        try:
            ask(handler)
        except OperationalError:
            told = logging.LogRecord("", logging.ERROR, "", 0, "", (), sys.exc_info())
    assert RouteInsteadOfPath().filter(told)
    assert (told.getMessage(), told.exc_info) == ("server error at /?", None)


def test_r39_a_visitor_is_told_to_try_again_and_nothing_that_was_taken_is_lost(
    line: Line, tmp_path: Path
) -> None:
    env = (
        bare() | DEPLOYMENT | KEYS | {"STATE_DIR": str(tmp_path), "DATABASE_URL": line.url}
    )
    command = [sys.executable, "manage.py", "migrate", "-v0"]
    subprocess.run(command, cwd=ROOT, env=env, check=True)
    with web_server(tmp_path, threads=4, database=line.url) as port:
        for number in range(4):
            assert visit(port, f"/topics/?n={number}")[0] == 200
        line.whole.clear()
        with ThreadPoolExecutor(12) as crowd:
            found = [*crowd.map(lambda number: visit(port, f"/?n={number}"), range(24))]
        assert {status for status, *_ in found} == {503}
        assert all(wait == "10" and "in a moment" in page for _, wait, page in found)
        assert line.taken < 24  # each waits for one that answers, or for nothing
        assert visit(port, "/api/v1/papers")[::2] == (503, PROBLEM)
        assert visit(port, "/subscribe/", email="ann@example.org")[0] == 503
        assert visit(port, "/healthz")[0] == 200
        assert visit(port, "/readyz")[0] == 503
        line.whole.set()
        until = time.monotonic() + LONG
        bob = f"bob{port}@example.org"
        while visit(port, "/subscribe/", email=bob)[0] != 303:
            assert time.monotonic() < until, "nobody is let in again"
            time.sleep(0.1)
    with database(line, patience=None) as handler:
        sql = f"SELECT count(*) FROM subscribers_request WHERE email = '{bob}'"
        assert ask(handler, sql) == (1,)


PROBLEM = (
    '{"title": "Service Unavailable", "status": 503, "detail": "Try again in a moment."}'
)


def visit(port: int, path: str, **form: str) -> tuple[int, str | None, str]:
    """Return status, Retry-After and text. Fails when nobody has answered for long."""
    one = http.client.HTTPConnection("127.0.0.1", port, timeout=LONG)
    with closing(one):
        headers = {"Content-Type": "application/x-www-form-urlencoded"} if form else {}
        one.request("POST" if form else "GET", path, urlencode(form) or None, headers)
        answer = one.getresponse()
        return answer.status, answer.getheader("Retry-After"), answer.read().decode()
