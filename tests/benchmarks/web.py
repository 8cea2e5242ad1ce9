"""The pages while an edition goes out: sign-up POST and front page, half and 99th percentile."""

import http.client
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlencode

from tests.benchmarks import world
from tests.benchmarks.machine import describe, table
from tests.benchmarks.sinks import fast_sink, free_port, wait_for
from tests.benchmarks.whole_path import wake_until_end
from tests.environment import ROOT

EACH = 0.1  # seconds between a visitor's requests
VISITORS = 4
# What `manage.py up` and compose.yaml start.
SERVER = "-m gunicorn digest.wsgi --preload --worker-class gthread --workers 2 --threads 4"


@dataclass
class Visits:
    """Milliseconds of each request, by kind, and answers that were not as wished."""

    took: dict[str, list[float]] = field(default_factory=lambda: {"POST": [], "GET": []})
    bad: int = 0

    def row(self, when: str) -> list[str]:
        cells = [when]
        for kind in ("POST", "GET"):
            took = sorted(self.took[kind])
            middle, late = took[len(took) // 2], took[int(len(took) * 0.99)]
            cells += [f"{len(took):,}", f"{middle:,.1f}", f"{late:,.1f}"]
        return [*cells, str(self.bad)]


def run(*, readers: int = 200_000, quiet_seconds: float = 15) -> None:
    """Print latencies without and with an edition on its way."""
    from django.utils import timezone

    print(describe())
    rows = []
    with world.world(readers) as here, fast_sink() as sink, web_server() as port:
        with visitors(port) as visits:
            time.sleep(quiet_seconds)
        rows.append(visits.row("nothing is sent"))
        from digest.deliveries.plan import plan_edition

        with world.celery_workers(sink.url), visitors(port) as visits:
            begin = time.perf_counter()
            planned = plan_edition(here.edition, timezone.now())
            wake_until_end()
            rate = planned / (time.perf_counter() - begin)
        rows.append(visits.row(f"{planned:,} digests at {rate:,.0f}/s"))
    columns = ["while", "POSTs", "p50 ms", "p99 ms", "GETs", "p50 ms", "p99 ms", "bad"]
    print(table(columns, rows))
    print(describe())


@contextmanager
def web_server() -> Iterator[int]:
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
            wait_for(port)
            yield port
        finally:
            process.terminate()


@contextmanager
def visitors(port: int) -> Iterator[Visits]:
    """A few visitors who come at fixed times, however slow the answers are."""
    visits, end = Visits(), threading.Event()
    threads = [
        threading.Thread(target=visit, args=(port, number, visits, end))
        for number in range(VISITORS)
    ]
    for thread in threads:
        thread.start()
    try:
        yield visits
    finally:
        end.set()
        for thread in threads:
            thread.join()


def visit(port: int, number: int, visits: Visits, end: threading.Event) -> None:
    turn, next_at = 0, time.perf_counter()
    while not end.is_set():
        turn, next_at = turn + 1, next_at + EACH
        kind, wanted = ("POST", 302) if turn % 2 else ("GET", 200)
        begin = time.perf_counter()
        if request(port, kind, f"visitor.{number}.{time.time_ns()}") not in (wanted, 303):
            visits.bad += 1
        visits.took[kind].append((time.perf_counter() - begin) * 1000)
        end.wait(max(next_at - time.perf_counter(), 0))


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
