"""Ten thousand readers, a hundred thousand, a million: one build, one database that grows."""

import time
from datetime import UTC, datetime

from tests.benchmarks import world
from tests.benchmarks.figures import Figure
from tests.benchmarks.machine import Cost, describe, table
from tests.benchmarks.sinks import fast_sink
from tests.benchmarks.whole_path import one_day

COLUMNS = ["readers", "seeded in s", "plan to last outcome", "mails/s", "CPU s/10k", "of it PostgreSQL", "greatest worker MB"]  # fmt: skip


def run(*, readers: int = 1_000_000) -> list[Figure]:
    """Print time, CPU and memory at a hundredth of `readers`, a tenth and all of them."""
    print(describe())
    rows, days = [], []
    with world.world(readers // 100) as here:
        for count in (readers // 100, readers // 10, readers):
            begin = time.perf_counter()
            grow(count)
            seeded = time.perf_counter() - begin
            with fast_sink() as sink:
                days.append(one_day(here, sink))
            rows.append(row(days[-1], seeded))
    print("\n" + table(COLUMNS, rows) + "\n")
    print(describe(), flush=True)
    small, _, large = days
    found = [
        Figure(f"greatest worker, MB, {readers:,} readers", [large.memory], at_most=120),
        Figure("the same to that of a hundredth", [large.memory / small.memory], 1.1, 0.9),
    ]
    # Less than a million says nothing about a million's minutes.
    minutes = Figure(
        f"{readers:,} readers, plan to last outcome, minutes, fast sink",
        [large.wall / 60],
        at_most=3 if readers >= 1_000_000 else None,
    )
    return [minutes, *found]


def grow(count: int) -> None:
    """Add readers until there are so many."""
    from subscribers.models import Subscriber

    missing = count - Subscriber.objects.count()
    world.add_readers(missing, seed=count, now=datetime.now(UTC))


def row(day: Cost, seeded: float) -> list[str]:
    return [
        f"{day.mails:,}", f"{seeded:,.0f}", f"{day.wall:,.1f} s", f"{day.rate:,.0f}",
        f"{day.cpu_per_10k:.2f}", f"{day.database_cpu / day.mails * 10_000:.2f}",
        f"{day.memory:,.0f}",
    ]  # fmt: skip
