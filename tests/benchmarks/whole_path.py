"""The whole path: plan, Celery, claim, rank, compose, intend, hand over, record."""

import time
from collections import defaultdict

from tests.benchmarks import machine, world
from tests.benchmarks.figures import Figure, ratios
from tests.benchmarks.machine import (
    Cost,
    cpu_seconds,
    describe,
    peak_megabytes,
    spread,
    table,
)
from tests.benchmarks.sinks import Sink, fast_sink, smtp_sink, smtp_source

SINKS = {"smtp-sink": smtp_sink, "fast sink": fast_sink}
COLUMNS = ["sink", "", "mails/s", "CPU s/10k", "of it PostgreSQL", "greatest worker MB"]


def run(*, readers: int = 20_000, rounds: int = 3) -> list[Figure]:
    """Print our cost beside smtp-source's, on smtp-sink and on the fast sink."""
    print(describe())
    ours: dict[str, list[Cost]] = defaultdict(list)
    theirs: dict[str, list[Cost]] = defaultdict(list)
    with world.world(readers) as here:
        size = mean_size(here)
        for _ in machine.rounds(rounds):
            for kind, sink_of in SINKS.items():
                with sink_of() as sink:
                    theirs[kind].append(smtp_source(sink, mails=readers, size=size))
                    ours[kind].append(one_day(here, sink))
    print(f"{readers:,} readers, {size:,} bytes a mail on the average\n")
    rows = [row for kind in SINKS for row in compared(kind, ours[kind], theirs[kind])]
    print(table(COLUMNS, rows) + "\n")
    print(describe(), flush=True)
    return [figure for kind in SINKS for figure in promised(kind, ours[kind], theirs[kind])]


def promised(kind: str, ours: list[Cost], theirs: list[Cost]) -> list[Figure]:
    rate = ratios(ours, theirs, "rate")
    cpu = ratios(ours, theirs, "cpu_per_10k")
    memory = [cost.memory for cost in ours]
    # The fast sink is an aim: a promise stands for Postfix's own.
    least = 0.8 if kind == "smtp-sink" else 0.9
    return [
        Figure(f"mails/s to smtp-source -s 4, {kind}", rate, at_least=least),
        Figure(f"CPU to smtp-source -s 4, {kind}", cpu, at_most=2),
        Figure(f"greatest worker, MB, {kind}", memory, at_most=120),
    ]


def compared(kind: str, ours: list[Cost], theirs: list[Cost]) -> list[list[str]]:
    return [
        [kind, "smtp-source -s 4", spread([c.rate for c in theirs], 0),
         spread([c.cpu_per_10k for c in theirs]), "", ""],
        [kind, "Daily Papers", spread([c.rate for c in ours], 0),
         spread([c.cpu_per_10k for c in ours]),
         spread([c.database_cpu / c.mails * 10_000 for c in ours]),
         spread([c.memory for c in ours], 0)],
        [kind, "ratio", spread(ratios(ours, theirs, "rate")),
         spread(ratios(ours, theirs, "cpu_per_10k")), "", ""],
    ]  # fmt: skip


def mean_size(here: world.World) -> int:
    """Bytes a mail on the average of a first day, which also warms the page caches up."""
    with fast_sink() as sink:
        one_day(here, sink)
        mails, size = sink.received()
    return size // mails


def one_day(here: world.World, sink: Sink, *, most: float = 1800) -> Cost:
    """Plan an edition for everybody and let real workers send it. Raises AssertionError.

    Gives up after `most` seconds.
    """
    from django.utils import timezone

    from digest.deliveries.plan import plan_edition

    world.forget_deliveries()
    with world.celery_workers(sink.url) as worker:
        roots = [worker, here.redis_pid, here.database_pid or 0]
        before, begin = [cpu_seconds(root) for root in roots], time.perf_counter()
        planning = time.process_time()
        planned = plan_edition(here.edition, timezone.now())
        planning = time.process_time() - planning
        plan_wall = time.perf_counter() - begin
        wake_until_end(most=most)
        wall = time.perf_counter() - begin
        parts = [cpu_seconds(root) - cpu for root, cpu in zip(roots, before, strict=True)]
        memory = peak_megabytes(worker)
    check_sums(planned)
    cost = Cost(planned, wall, sum(parts) + planning, memory, parts[2])
    print(
        f"{sink.name}: {cost.rate:,.0f} mails/s, planned in {plan_wall:.2f} s; CPU s of "
        "worker, Redis, database, plan:", *[f"{part:.2f}" for part in [*parts, planning]], flush=True,
    )  # fmt: skip
    return cost


def wake_until_end(*, most: float = 1800) -> int:
    """Wake senders every ten seconds, as the tick does, until no row is open.

    Gives up after `most` seconds; how many rows were open then.
    """
    from digest.celery import app
    from digest.models import Delivery

    rows = Delivery.objects.filter(is_open=True)
    # In the order of the index of open rows: in any other, each look reads the whole table.
    next_due = rows.order_by("lane", "not_before").values_list("not_before")
    end, next_at = time.perf_counter() + most, 0.0
    while next_due.first():
        if time.perf_counter() > end:
            return rows.count()
        if time.perf_counter() > next_at:
            next_at = time.perf_counter() + 10
            for _ in range(8):
                app.send_task("digest.tasks.send", expires=10)
        time.sleep(0.1)
    return 0


def check_sums(planned: int) -> None:
    from django.db.models import Count

    from digest.models import Delivery

    states = dict(Delivery.objects.values_list("state").annotate(Count("pk")))
    if sum(states.values()) != planned or set(states) - {"accepted", "skipped"}:
        raise AssertionError(f"planned {planned}, but {states}")
