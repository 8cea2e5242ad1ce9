"""SQLite beside PostgreSQL: the same readers, one sender, taking turns.

Each database has a process of its own, as Django's settings are read once a process.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict

from tests.benchmarks import machine, world
from tests.benchmarks.figures import Figure, ratios
from tests.benchmarks.machine import Cost, describe, peak_megabytes, spread, table
from tests.benchmarks.sinks import fast_sink
from tests.environment import ROOT

Child = subprocess.Popen[str]
VENDORS = ["SQLite", "PostgreSQL"]


def run(*, readers: int = 10_000, rounds: int = 3) -> list[Figure]:
    """Print rate, CPU and memory of one sender on each."""
    print(describe())
    costs: dict[str, list[Cost]] = {vendor: [] for vendor in VENDORS}
    with ExitStack() as stack:
        running = {
            vendor: stack.enter_context(child(vendor, readers)) for vendor in VENDORS
        }
        for _ in machine.rounds(rounds):
            for vendor, process in running.items():
                costs[vendor].append(next_day(process))
    rows = [
        [vendor, spread([cost.rate for cost in found], 0),
         spread([cost.cpu_per_10k for cost in found]),
         spread([cost.memory for cost in found], 0)]
        for vendor, found in costs.items()
    ]  # fmt: skip
    print(f"{readers:,} readers, one sender, fast sink\n")
    print(table(["database", "mails/s", "CPU s/10k, server included", "MB"], rows) + "\n")
    rate = ratios(costs["SQLite"], costs["PostgreSQL"], "rate")
    return [Figure("mails/s of one sender, SQLite to PostgreSQL", rate, at_least=0.6)]


@contextmanager
def child(vendor: str, readers: int) -> Iterator[Child]:
    """A process with its world; it sends an edition for each line that it gets."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.databases", vendor, str(readers)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin
        try:
            yield process
        finally:
            process.stdin.close()  # the child ends by itself and takes its servers along
            process.wait(60)


def next_day(process: Child) -> Cost:
    assert process.stdin and process.stdout
    process.stdin.write("\n")
    process.stdin.flush()
    return Cost(**json.loads(process.stdout.readline()))


def main(vendor: str, readers: int) -> None:
    with world.world(readers, sqlite=vendor == "SQLite") as here, fast_sink() as sink:
        from django.conf import settings

        settings.MAILER_URL = sink.url
        one_day(here)  # the papers are encoded, the caches warm
        for _ in sys.stdin:
            print(json.dumps(asdict(one_day(here))), flush=True)


def one_day(here: world.World) -> Cost:
    """Plan and send everything in this process. Raises AssertionError."""
    from django.utils import timezone

    from digest.deliveries.ledger import DatabaseClock
    from digest.deliveries.plan import plan_edition
    from digest.deliveries.send import send_due

    world.forget_deliveries()
    cpu, database = time.process_time(), here.database_cpu
    begin = time.perf_counter()
    planned = plan_edition(here.edition, timezone.now())
    tally = send_due(DatabaseClock())
    wall = time.perf_counter() - begin
    assert tally["accepted"] + tally["skipped"] == planned, tally
    database = here.database_cpu - database
    used = time.process_time() - cpu + database
    return Cost(planned, wall, used, peak_megabytes(os.getpid()), database)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
