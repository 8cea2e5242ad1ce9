"""The pages while an edition goes out: sign-up POST and front page, half and 99th percentile."""

import http.client
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlencode

from tests.benchmarks import world
from tests.benchmarks.figures import Figure
from tests.benchmarks.machine import cpu_seconds, describe, middle, table
from tests.benchmarks.sinks import fast_sink
from tests.benchmarks.whole_path import wake_until_end
from tests.environment import ROOT
from tests.ports import free_port, wait_until_it_answers

RATES = {"POST": 100, "GET": 5}  # requests a second, however slow the answers are
WANTED = {"POST": 303, "GET": 200}
MOST_SECONDS = 60.0  # of an edition: an overloaded machine would take for ever
PROMISE = 100.0  # milliseconds, of the 99th percentile
# What `manage.py up` and compose.yaml start.
SERVER = "-m gunicorn digest.wsgi --preload --worker-class gthread --workers 2 --threads 4"


@dataclass
class Visits:
    """Milliseconds of each request, by kind, and answers that were not as wished."""

    took: dict[str, list[float]] = field(default_factory=lambda: {"POST": [], "GET": []})
    bad: int = 0

    def late(self, kind: str) -> float:
        """The 99th percentile."""
        took = sorted(self.took[kind])
        return took[int(len(took) * 0.99)]

    def row(self, when: str) -> list[str]:
        cells = [when]
        for kind, took in self.took.items():
            found = (middle(took), self.late(kind))
            cells += [f"{len(took):,}", *(f"{value:,.1f}" for value in found)]
        return [*cells, str(self.bad)]


def run(*, readers: int = 200_000, quiet_seconds: float = 15) -> list[Figure]:
    """Print latencies without and with an edition on its way."""
    from django.utils import timezone

    print(describe())
    with (
        world.world(readers) as here,
        fast_sink() as sink,
        web_server() as (port, web),
        world.celery_workers(sink.url) as worker,
    ):
        with visitors(port):
            time.sleep(3)  # templates are compiled, connections opened: not counted
        roots = {"web": web, "workers": worker, "PostgreSQL": here.database_pid or 0}
        before = {name: cpu_seconds(pid) for name, pid in roots.items()}
        with visitors(port) as quiet:
            time.sleep(quiet_seconds)
        count = len(quiet.took["POST"])
        for name, pid in roots.items():
            each = (cpu_seconds(pid) - before[name]) / count * 1000
            print(f"{name}: {each:.1f} ms of CPU a sign-up, its mail and pages included")
        from digest.deliveries.plan import plan_edition

        with visitors(port) as busy:
            begin = time.perf_counter()
            planned = plan_edition(here.edition, timezone.now())
            left = wake_until_end(most=MOST_SECONDS)
            rate = (planned - left) / (time.perf_counter() - begin)
    rows = [
        quiet.row("nothing is sent"),
        busy.row(f"{planned - left:,} digests go out at {rate:,.0f}/s"),
    ]
    columns = ["while", "POSTs", "p50 ms", "p99 ms", "GETs", "p50 ms", "p99 ms", "bad"]
    print(table(columns, rows) + "\n")
    print(describe(), flush=True)
    name = "sign-up POST, 100 a second, p99 ms"
    return [
        Figure(f"{name}, nothing is sent", [quiet.late("POST")], at_most=PROMISE),
        Figure(
            f"{name}, an edition to {planned:,} goes out",
            [busy.late("POST")],
            at_most=PROMISE,
        ),
        Figure("pages that were not as wished", [quiet.bad + busy.bad], at_most=0),
    ]


@contextmanager
def web_server() -> Iterator[tuple[int, int]]:
    port = free_port()
    environment = os.environ | {"SITE_URL": f"http://127.0.0.1:{port}"}
    collect = [sys.executable, "manage.py", "collectstatic", "--no-input", "-v0"]
    subprocess.run(collect, cwd=ROOT, env=environment, check=True)
    command = [sys.executable, *SERVER.split(), "--bind", f"127.0.0.1:{port}"]
    with subprocess.Popen(
        [*command, "--no-control-socket"],
        cwd=ROOT,
        env=environment,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            wait_until_it_answers(port)
            yield port, process.pid
        finally:
            process.terminate()


@contextmanager
def visitors(port: int) -> Iterator[Visits]:
    """Visitors who come at fixed times, whoever still waits for an answer."""
    visits, end = Visits(), threading.Event()
    pool = ThreadPoolExecutor(len(RATES) + 32)
    for kind in RATES:
        pool.submit(keep_coming, pool, port, kind, visits, end)
    try:
        yield visits
    finally:
        end.set()
        pool.shutdown(cancel_futures=True)  # who still waits at the door goes away


def keep_coming(
    pool: ThreadPoolExecutor, port: int, kind: str, visits: Visits, end: threading.Event
) -> None:
    """One visit after the other falls due; each is timed from there."""
    due = time.perf_counter()
    while not end.wait(max(due - time.perf_counter(), 0)):
        pool.submit(visit, port, kind, due, visits)
        due += 1 / RATES[kind]


def visit(port: int, kind: str, due: float, visits: Visits) -> None:
    status = request(port, kind, f"visitor.{time.time_ns()}")
    visits.took[kind].append((time.perf_counter() - due) * 1000)
    if status != WANTED[kind]:
        visits.bad += 1


def request(port: int, kind: str, name: str) -> int:
    """The status; 0 for no answer within ten seconds."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    form = urlencode({"email": f"{name}@visitors.example.com", "topics": "reasoning"})
    try:
        if kind == "POST":
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            connection.request("POST", "/subscribe/", form, headers)
        else:
            connection.request("GET", "/")
        answer = connection.getresponse()
        answer.read()
        return answer.status
    except OSError:
        return 0
    finally:
        connection.close()
