"""Pages for everybody are read from a replica; nothing else is, and nobody sees it fail."""

import math
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import pytest
from django.conf import settings
from django.db import Error, OperationalError, connection, connections
from django.http import HttpRequest, HttpResponse
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from digest import replica
from digest.models import Paper
from digest.ops import health
from digest.ops.doctor import configuration
from subscribers import links
from subscribers.models import Link, Request, Topic
from tests import make, postgres
from tests.environment import DEPLOYMENT, KEYS, ROOT, bare
from tests.site.test_caching import (
    FEEDS,
    FOR_ONE,
    ID,
    OPERATORS,
    OWN_FEED,
    PICTURES,
    PUBLIC,
)

PAPER = f"/papers/{ID}/"
NEVER = 1e9  # seconds


@pytest.mark.embedded
def test_s34_a_replica_serves_what_everybody_may_see_and_nobody_sees_it_fail(
    tmp_path: Path,
) -> None:
    if not postgres.is_readable():
        pytest.skip("the server's user cannot read its programs")
    with postgres.server() as primary, postgres.standby(primary) as standby:
        env = bare() | DEPLOYMENT | KEYS | {"STATE_DIR": str(tmp_path)}
        env |= {"DATABASE_URL": primary, "REPLICA_DATABASE_URL": standby.url}
        env |= {"SITE_URL": "http://testserver"}
        command = [sys.executable, "manage.py", "migrate", "-v0"]
        subprocess.run(command, cwd=ROOT, env=env, check=True)
        story = "from tests.site.test_replica import story; story()"
        command = [sys.executable, "manage.py", "shell", "-v0", "-c", story]
        pipe = subprocess.PIPE
        with subprocess.Popen(
            command, cwd=ROOT, env=env, stdin=pipe, stdout=pipe, text=True
        ) as child:
            assert child.stdin and child.stdout
            for line in child.stdout:
                getattr(standby, line.strip())()
                print("done", file=child.stdin, flush=True)
        assert child.returncode == 0


def told(word: str) -> None:
    """Have the test stop, start, freeze or thaw the standby."""
    print(word, flush=True)
    assert sys.stdin.readline()


# -- what the child sees -------------------------------------------------------------------


@override_settings(
    STORAGES=settings.STORAGES
    | {"staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}}
)
def story() -> None:
    replica.MOST_BEHIND = replica.rest.seconds = NEVER  # however slow this machine is
    knots, paper = make.topic("knots"), make.paper(1, authors=["Ada Lovelace"])
    make.edition({paper: {knots.slug: 1.0}})
    Paper.objects.filter(arxiv_id=ID).update(title="The old title", organization="Nobody")
    client = Client()
    follow()
    freeze()
    everybody_reads_there(client)
    old = client.get(PAPER)["ETag"]
    nothing_of_one_reader_is_read_there(client)
    Paper.objects.filter(arxiv_id=ID).update(title="The new title")
    who_is_behind_keeps_its_own_etag(client, old)
    what_it_lacks_is_looked_for_in_the_database(client)
    it_takes_no_write()
    thaw()
    follow()
    answer = client.get(PAPER, headers={"If-None-Match": old})
    assert (answer.status_code, "The new title" in answer.text) == (200, True)
    an_error_of_a_page_is_not_the_replicas(client)
    told("freeze")
    one_that_is_silent_is_given_up(client)
    told("thaw")
    it_is_asked_again(client)
    told("stop")
    while_it_is_away_nobody_waits_for_it(client)
    told("start")
    it_is_asked_again(client)
    one_that_is_no_replica_or_far_behind_is_not_read(client)


@contextmanager
def statements() -> Iterator[Counter[str]]:
    """Count what is asked of each server meanwhile."""
    found = Counter[str]()
    with (
        CaptureQueriesContext(connections["default"]) as ours,
        CaptureQueriesContext(connections["replica"]) as copied,
    ):
        yield found
    found.update(default=len(ours), replica=len(copied))


def everybody_reads_there(client: Client) -> None:
    there, missing = 0, []
    for route, path in (PUBLIC | FEEDS | PICTURES).items():
        with statements() as asked:
            found = client.get(path or f"/{route}").status_code == 200
        assert not (found and asked["default"]), route
        there += asked["replica"]
        missing += [] if found else [route]
    assert len(missing) < 3, missing  # whatever the tables gain, their paths are there
    assert there > 50


def nothing_of_one_reader_is_read_there(client: Client) -> None:
    reader = make.reader("ann@example.org", "knots")
    token = links.make(reader, Link.Purpose.PREFERENCES, now=timezone.now())
    with statements() as asked:
        for route, path in (FOR_ONE | OWN_FEED | OPERATORS).items():
            client.get((path or f"/{route}").replace("PREFERENCES", token))
        assert client.get(f"/preferences/{token}/").status_code == 200
        form = {"email": "bob@example.org", "topics": "knots"}
        assert client.post("/subscribe/", form).status_code == 303
    lag = 1  # that /metrics asks for
    assert asked["replica"] == lag
    assert asked["default"] > 50
    assert Request.objects.get().email == "bob@example.org"


def who_is_behind_keeps_its_own_etag(client: Client, old: str) -> None:
    """A visitor comes to a web server that is ahead, and to one whose replica is behind."""
    with patch.object(replica.rest, "until", NEVER + time.monotonic()):
        ahead = client.get(PAPER)
    assert "The new title" in ahead.text and ahead["ETag"] != old
    for etag, status in {old: 304, ahead["ETag"]: 200}.items():
        behind = client.get(PAPER, headers={"If-None-Match": etag})
        assert (behind.status_code, behind["ETag"]) == (status, old)
    assert "The old title" in behind.text


def what_it_lacks_is_looked_for_in_the_database(client: Client) -> None:
    new = make.paper(9).arxiv_id
    for path in (f"/papers/{new}/", f"/api/v1/papers/{new}"):
        assert client.get(path).status_code == 200
    assert client.get("/papers/2604.77777/").status_code == 404
    assert "The old title" in client.get(PAPER).text  # it has not failed


def it_takes_no_write() -> None:
    with pytest.raises(Error), replica.standing_in():
        Topic.objects.update(label="changed")
    assert not Topic.objects.filter(label="changed").exists()


def an_error_of_a_page_is_not_the_replicas(client: Client) -> None:
    def page(request: HttpRequest) -> HttpResponse:
        with connection.cursor() as cursor:
            cursor.execute("SET statement_timeout = 20")
            try:
                cursor.execute("SELECT pg_sleep(20)")
            finally:
                cursor.execute("RESET statement_timeout")
        return HttpResponse()

    with statements() as asked, pytest.raises(OperationalError, match="statement timeout"):
        replica.first(page)(HttpRequest())
    assert asked["replica"] and asked["default"]
    assert not replica.rest.is_out
    with statements() as asked:
        assert client.get(PAPER).status_code == 200
    assert asked["replica"] and not asked["default"]


def one_that_is_silent_is_given_up(client: Client) -> None:
    """Else this thread would wait until the server itself ends the statement, which it never does."""
    with statements() as asked:
        assert "The new title" in client.get(PAPER).text
    assert asked["default"] and replica.rest.is_out


def while_it_is_away_nobody_waits_for_it(client: Client) -> None:
    with statements() as asked:
        answer = client.get(PAPER)
    assert "The new title" in answer.text
    assert asked["default"] and not asked["replica"]
    with patch.object(connections["replica"], "connect", side_effect=AssertionError):
        assert client.get(PAPER).status_code == 200
    replica.rest.until = 0.0  # its rest has ended: one tries, who comes next does not
    assert [replica.rest.may_be_asked() for _ in range(2)] == [True, False]
    (line,) = health.replica_troubles()
    assert line == "the replica fails (OperationalError): pages are read without it"
    assert [found.code for found in configuration.replicated()] == ["replica"]
    assert "dailypapers_replica_lag_seconds +Inf" in client.get("/metrics").text


def it_is_asked_again(client: Client) -> None:
    from digest.postgresql import base  # needs psycopg

    connections["replica"].close()
    base.rests.clear()
    Topic.objects.update(label="Knots")  # until then it has replayed nothing
    follow()
    replica.rest.until = 0.0
    with statements() as asked:
        assert client.get(PAPER).status_code == 200 == client.get("/").status_code
    assert asked["replica"] and not asked["default"]
    assert health.replica_troubles() == [] == list(configuration.replicated())
    assert math.isfinite(replica.lag())


def one_that_is_no_replica_or_far_behind_is_not_read(client: Client) -> None:
    standby = connections["replica"]
    connections["replica"] = connections["default"]
    assert replica.trouble() == "is no standby"
    connections["replica"] = standby
    replica.MOST_BEHIND, replica.looked_until = -1.0, 0.0
    assert replica.trouble().endswith("seconds behind")
    with statements() as asked:
        assert client.get(PAPER).status_code == 200
    assert asked["default"] > 1 and asked["replica"] == 1


# -- the standby ---------------------------------------------------------------------------


def ask(server: str, sql: str, *values: str) -> object:
    with connections[server].cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchone()[0]


def until(sql: str, *values: str) -> None:
    """Return when the standby says yes."""
    end = time.monotonic() + 60
    while not ask("replica", sql, *values):
        assert time.monotonic() < end, sql
        time.sleep(0.01)


def follow() -> None:
    at = str(ask("default", "SELECT pg_current_wal_lsn()::text"))
    until("SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", at)


def freeze() -> None:
    """Let the standby replay nothing more."""
    ask("replica", "SELECT pg_wal_replay_pause()")
    until("SELECT pg_get_wal_replay_pause_state() = 'paused'")


def thaw() -> None:
    ask("replica", "SELECT pg_wal_replay_resume()")
