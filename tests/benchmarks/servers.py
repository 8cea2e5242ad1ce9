"""gunicorn beside granian: what a page and each form cost, in CPU of server and database.

Rates say little where client, server and database share two cores; CPU a request does.
"""

import http.client
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from urllib.parse import urlencode

from tests.benchmarks import machine, world
from tests.benchmarks.figures import Figure
from tests.benchmarks.machine import cpu_seconds, describe, peak_megabytes, spread, table
from tests.benchmarks.sinks import CACHE
from tests.environment import ROOT
from tests.ports import free_port, wait_until_it_answers

GRANIAN = "granian==2.8.7"
# What `manage.py up` and compose.yaml start, and the other's nearest likeness.
SERVERS = {
    "gunicorn gthread": "-m gunicorn digest.wsgi --preload --worker-class gthread "
    "--workers 2 --threads 4 --no-control-socket --bind 127.0.0.1:{port}",
    "granian WSGI": "-m granian --interface wsgi --workers 2 --blocking-threads 4 "
    "--no-access-log --host 127.0.0.1 --port {port} digest.wsgi:application",
}
PAGES = ["front page", "sign-up", "confirm", "unsubscribe"]
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
Visit = Callable[[http.client.HTTPConnection], int]


def run(*, rounds: int = 3, requests: int = 300) -> list[Figure]:
    """Print milliseconds of CPU a request, PostgreSQL's included, and memory."""
    print(describe())
    costs: dict[tuple[str, str], list[float]] = defaultdict(list)
    memory: dict[str, list[float]] = defaultdict(list)
    with world.world(requests * (rounds + 1) * len(SERVERS)) as here:
        visits = visits_of(here, requests * (rounds + 1) * len(SERVERS))
        for _ in machine.rounds(rounds):
            for name in SERVERS:
                with serving(name) as (port, pid):
                    for page in PAGES:
                        go = visits[page]
                        asked(port, go, requests // 10)
                        before = cpu_seconds(pid) + here.database_cpu
                        asked(port, go, requests)
                        used = cpu_seconds(pid) + here.database_cpu - before
                        costs[name, page].append(used / requests * 1000)
                    memory[name].append(peak_megabytes(pid))
    rows = [
        [name, *[spread(costs[name, page]) for page in PAGES], spread(memory[name], 0)]
        for name in SERVERS
    ]
    columns = ["CPU ms a request", *PAGES, "greatest process MB"]
    print(table(columns, rows) + "\n")
    return []


@contextmanager
def serving(name: str) -> Iterator[tuple[int, int]]:
    """The port and the process id of a server that answers."""
    port = free_port()
    environment = os.environ | {
        "SITE_URL": "http://127.0.0.1",
        "PYTHONPATH": str(granian()),
        "STATIC_ROOT": str(CACHE / "static"),
    }
    collect = [sys.executable, "manage.py", "collectstatic", "--no-input", "-v0"]
    subprocess.run(collect, cwd=ROOT, env=environment, check=True)
    command = [sys.executable, *SERVERS[name].format(port=port).split()]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:  # fmt: skip
        try:
            wait_until_it_answers(port)
            yield port, process.pid
        finally:
            process.terminate()
            process.wait(30)


def granian() -> Path:
    """Where it is installed, for this comparison only."""
    folder = CACHE / GRANIAN
    if not folder.exists():
        command = ["uv", "pip", "install", "-q", "--target", str(folder), GRANIAN]
        subprocess.run([*command, "-p", sys.executable], check=True)
    return folder


def asked(port: int, visit: Visit, count: int) -> None:
    """So many visits on one connection, as a proxy keeps it. Raises AssertionError."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    for _ in range(count):
        status = visit(connection)
        assert status in {200, 303}, status
    connection.close()


def visits_of(here: world.World, count: int) -> dict[str, Visit]:
    """page → one visit to it, each time by somebody else."""
    from subscribers.models import Subscriber

    leaving = cycle(Subscriber.objects.values_list("unsubscribe_token", flat=True))
    joining = iter(confirm_tokens(count))
    one_click = urlencode({"List-Unsubscribe": "One-Click"})

    def sign_up(connection: http.client.HTTPConnection) -> int:
        email = f"visitor.{time.time_ns()}@visitors.example.com"
        body = urlencode({"email": email, "timezone": "UTC", "send_hour": "7"})
        return exchange(connection, "/subscribe/", body)

    return {
        "front page": lambda connection: exchange(connection, "/"),
        "sign-up": sign_up,
        "confirm": lambda connection: exchange(connection, f"/confirm/{next(joining)}/", "a=1"),
        "unsubscribe": lambda connection: exchange(
            connection, f"/u/{next(leaving)}", one_click
        ),
    }  # fmt: skip


def confirm_tokens(count: int) -> Sequence[str]:
    """Of readers who have not confirmed yet; they are made here."""
    from django.utils import timezone

    from subscribers import links
    from subscribers.models import Link, Subscriber
    from tests.make import reader

    now = timezone.now()
    pending = [
        reader(f"pending{number}@example.org", state=Subscriber.State.PENDING)
        for number in range(count)
    ]
    return [links.make(one, Link.Purpose.CONFIRM, now=now) for one in pending]


def exchange(
    connection: http.client.HTTPConnection, path: str, form: str | None = None
) -> int:
    connection.request("GET" if form is None else "POST", path, form, FORM if form else {})
    answer = connection.getresponse()
    answer.read()
    return answer.status
