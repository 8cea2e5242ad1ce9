"""A provider's reports: `python -m tests.benchmarks.webhooks [--events 10000] [--rate 200]`.

A real web server (as `up` starts it) on PostgreSQL takes Postmark's reports, one a
request: most of delivered mail, some of bounces and complaints, one of ten a second time.
Promised: all are kept once, and 99 of 100 answers come within a second.
"""

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from tests.benchmarks.machine import describe
from tests.benchmarks.sign_up import manage, wait_for_web
from tests.environment import DEPLOYMENT, KEYS, ROOT, bare
from tests.ports import free_port
from tests.postgres import server

LOGIN = b64encode(b"provider:secret").decode()
SERVER = "-m gunicorn digest.wsgi --preload --worker-class gthread --workers 2 --threads 4"
PREPARE = """
from datetime import timedelta
from digest.deliveries.plan import plan
from tests import make
make.edition({make.paper(1): {"graphs": 1.0}})
for number in range(1000):
    make.reader(f"r{number}@example.org", "graphs")
plan(make.NOON)
"""
COUNT = """
from digest.models import DeliveryEvent
from subscribers.models import Suppression
print(DeliveryEvent.objects.count(), Suppression.objects.count())
"""


def report(number: int) -> dict[str, object]:
    """Postmark's report of the mail of that number, the same each time."""
    kind = random.Random(number).random()
    reader = number % 1000
    fields: dict[str, object] = {
        "MessageID": f"m{number}",
        "Recipient": f"r{reader}@example.org",
        "Metadata": {"delivery_id": str(reader + 1)},
    }
    if kind < 0.94:
        return fields | {"RecordType": "Delivery", "DeliveredAt": stamp()}
    found = {"ID": number, "BouncedAt": stamp(), "Email": fields["Recipient"]}
    if kind < 0.99:
        bounce = {"RecordType": "Bounce", "Type": "SoftBounce", "Details": "452 4.2.2 full"}
        return fields | found | bounce
    return fields | found | {"RecordType": "SpamComplaint", "Type": "SpamComplaint"}


def stamp() -> str:
    return datetime(2026, 4, 17, 12, 5, tzinfo=UTC).isoformat()


def post(port: int, number: int) -> None:
    head = {"Content-Type": "application/json", "Authorization": f"Basic {LOGIN}"}
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    body = json.dumps(report(number))
    connection.request("POST", "/webhooks/postmark/tracking/", body, head)
    status = connection.getresponse().status
    connection.close()
    assert status == 200, status


def steady(port: int, numbers: list[int], *, rate: int) -> list[float]:
    """Seconds to each answer from when it should have been asked, however slow others are."""
    begin = time.perf_counter() + 0.2

    def one(place: int) -> float:
        due = begin + place / rate
        time.sleep(max(0.0, due - time.perf_counter()))
        post(port, numbers[place])
        return time.perf_counter() - due

    with ThreadPoolExecutor(32) as pool:
        return sorted(pool.map(one, range(len(numbers))))


def cpu(web: psutil.Process) -> float:
    """Seconds of the web server's processes so far; the database's are not in it."""
    times = [process.cpu_times() for process in [web, *web.children(recursive=True)]]
    return float(sum(taken.user + taken.system for taken in times))


def measure(
    port: int, env: dict[str, str], web: psutil.Process, *, events: int, rate: int
) -> bool:
    before = cpu(web)
    distinct = list(range(events * 10 // 11))
    again = random.Random(1).sample(distinct, events - len(distinct))
    numbers = random.Random(2).sample([*distinct, *again], events)
    took = steady(port, numbers, rate=rate)
    spent = (cpu(web) - before) / events * 1000
    p99 = took[int(len(took) * 0.99)]
    kept, suppressed = map(int, manage(COUNT, env).split())
    print(describe())
    print(
        f"{events:,} reports at {rate}/s: median {statistics.median(took) * 1000:.1f} ms,"
        f" p99 {p99 * 1000:.1f} ms, longest {took[-1] * 1000:.0f} ms;"
        f" {spent:.2f} ms of CPU each;"
        f" {kept:,} of {len(distinct):,} different ones kept,"
        f" {suppressed} addresses suppressed"
    )
    return p99 < 1 and kept == len(distinct)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--rate", type=int, default=200)
    options = vars(parser.parse_args())
    with tempfile.TemporaryDirectory(prefix="dp-") as name, server() as database:
        folder, port = Path(name), free_port()
        env = bare() | DEPLOYMENT | KEYS | {"DATABASE_URL": database, "STATE_DIR": name}
        env |= {"STATIC_ROOT": str(folder / "static")}
        env |= {"ANYMAIL_WEBHOOK_SECRET": "provider:secret"}
        for step in (["migrate"], ["collectstatic", "--no-input"]):
            command = [sys.executable, "manage.py", *step, "-v0"]
            subprocess.run(command, cwd=ROOT, env=env, check=True)
        manage(PREPARE, env)
        env["SITE_URL"] = f"http://127.0.0.1:{port}"
        command = [sys.executable, *SERVER.split(), "--bind", f"127.0.0.1:{port}"]
        with subprocess.Popen(command, cwd=ROOT, env=env, stderr=subprocess.DEVNULL) as web:
            try:
                wait_for_web(port)
                met = measure(port, env, psutil.Process(web.pid), **options)
            finally:
                web.terminate()
                web.wait(30)
    sys.exit(not met)


if __name__ == "__main__":
    main()
