"""Ten thousand readers, a tenth of all, all: one build, one database that grows.

A million takes six minutes; ten million most of an hour and 30 GB of disk.
"""

import time
from datetime import UTC, datetime

from tests.benchmarks import world
from tests.benchmarks.figures import Figure
from tests.benchmarks.machine import Cost, describe, table
from tests.benchmarks.sinks import fast_sink
from tests.benchmarks.whole_path import mean_size, one_day

FEWEST = 10_000
COLUMNS = ["readers", "seeded in s", "plan to last outcome", "mails/s", "CPU s/10k", "of it PostgreSQL", "greatest worker MB", "ledger, bytes a row", "WAL, bytes a mail"]  # fmt: skip
SQL = """
SELECT pg_current_wal_lsn() - '0/0', pg_total_relation_size('digest_delivery')"""


def run(*, readers: int = 1_000_000) -> list[Figure]:
    """Print time, CPU, memory and bytes for ten thousand, a tenth of `readers` and all."""
    print(describe())
    rows, days = [], []
    with world.world(FEWEST) as here:
        mean_size(here)  # a first day, which warms the caches up
        for count in (FEWEST, readers // 10, readers):
            begin = time.perf_counter()
            grow(count)
            seeded = time.perf_counter() - begin
            before, _ = written()
            with fast_sink() as sink:
                days.append(one_day(here, sink, most=7200))
            after, ledger = written()
            rows.append(row(days[-1], seeded, ledger, after - before))
            print("\n" + table(COLUMNS, rows[-1:]), flush=True)
    print("\n" + table(COLUMNS, rows) + "\n")
    print(describe(), flush=True)
    small, _, large = days
    # Less than a million says nothing about a million's minutes.
    most = 3 * readers / 1_000_000 if readers >= 1_000_000 else None
    what = f"{readers:,} readers"
    return [
        Figure(
            f"{what}, plan to last outcome, minutes, fast sink", [large.wall / 60], most
        ),
        Figure(f"greatest worker, MB, {what}", [large.memory], at_most=120),
        Figure(f"the same to that of {FEWEST:,}", [large.memory / small.memory], 1.1, 0.9),
        Figure(f"mails/s to those of {FEWEST:,}", [large.rate / small.rate], at_least=0.85),
    ]


def written() -> tuple[int, int]:
    """Bytes of WAL since the server's first, and of the ledger with its indexes."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(SQL)
        wal, ledger = cursor.fetchone()
    return int(wal), int(ledger)


def grow(count: int) -> None:
    """Add readers until there are so many."""
    from subscribers.models import Subscriber

    missing = count - Subscriber.objects.count()
    world.add_readers(missing, seed=count, now=datetime.now(UTC))


def row(day: Cost, seeded: float, ledger: int, wal: int) -> list[str]:
    return [
        f"{day.mails:,}", f"{seeded:,.0f}", f"{day.wall:,.1f} s", f"{day.rate:,.0f}",
        f"{day.cpu_per_10k:.2f}", f"{day.database_cpu / day.mails * 10_000:.2f}",
        f"{day.memory:,.0f}", f"{ledger / day.mails:,.0f}", f"{wal / day.mails:,.0f}",
    ]  # fmt: skip
