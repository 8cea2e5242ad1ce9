"""The whole path: plan, Celery, claim, rank, compose, intend, hand over, record."""

import time

from tests.benchmarks import world
from tests.benchmarks.machine import (
    Cost,
    cpu_seconds,
    describe,
    peak_megabytes,
    spread,
    table,
)
from tests.benchmarks.sinks import Sink, fast_sink, smtp_sink, smtp_source


def run(*, readers: int = 20_000, rounds: int = 3) -> None:
    """Print our cost beside smtp-source's, on smtp-sink and on the fast sink."""
    print(describe())
    rows = []
    with world.world(readers) as here:
        for kind in ("smtp-sink", "fast sink"):
            ours, theirs = [], []
            for _ in range(rounds):
                with smtp_sink() if kind == "smtp-sink" else fast_sink() as sink:
                    theirs.append(smtp_source(sink, mails=readers, size=here.mail_size))
                    ours.append(one_day(here, sink))
                print(kind, theirs[-1], ours[-1], flush=True)
            rows += compared(kind, ours, theirs)
    print(f"{readers:,} readers, {here.mail_size:,} bytes a mail")
    print(table(["sink", "", "mails/s", "CPU s/10k", "MB"], rows))
    print(describe())


def compared(kind: str, ours: list[Cost], theirs: list[Cost]) -> list[list[str]]:
    pairs = list(zip(ours, theirs, strict=True))
    return [
        [kind, "smtp-source -s 4", spread([c.rate for c in theirs], 0),
         spread([c.cpu_per_10k for c in theirs]), ""],
        [kind, "Daily Papers", spread([c.rate for c in ours], 0),
         spread([c.cpu_per_10k for c in ours]), spread([c.memory for c in ours], 0)],
        [kind, "ratio", spread([a.rate / b.rate for a, b in pairs]),
         spread([a.cpu_per_10k / b.cpu_per_10k for a, b in pairs]), ""],
    ]  # fmt: skip


def one_day(here: world.World, sink: Sink) -> Cost:
    """Plan an edition for everybody and let real workers send it."""
    from django.utils import timezone

    from digest.deliveries.plan import plan_edition

    world.forget_deliveries()
    with world.celery_workers(sink.url) as worker:
        roots = [worker, here.redis_pid] + (
            [here.database_pid] if here.database_pid else []
        )
        before, begin = [cpu_seconds(root) for root in roots], time.perf_counter()
        planned = plan_edition(here.edition, timezone.now())
        plan_wall = time.perf_counter() - begin
        wake_until_end()
        wall = time.perf_counter() - begin
        parts = [cpu_seconds(root) - cpu for root, cpu in zip(roots, before, strict=True)]
        memory = peak_megabytes(worker)
    print(
        f"plan {plan_wall:.2f} s; worker, redis, database CPU:", [f"{p:.2f}" for p in parts]
    )
    check_sums(planned)
    return Cost(planned, wall, sum(parts), memory)


def wake_until_end() -> None:
    """Wake senders every ten seconds, as the tick does, until no row is open.

    Two indexed looks every tenth of a second cost next to nothing.
    """
    from digest.celery import app
    from digest.models import Delivery

    open_rows = Delivery.objects.filter(state__in=["claimed", "submitting"])
    pending, next_at = Delivery.objects.filter(state="pending"), 0.0
    while pending.exists() or open_rows.exists():
        if time.perf_counter() > next_at:
            next_at = time.perf_counter() + 10
            for _ in range(8):
                app.send_task("digest.tasks.send", expires=10)
        time.sleep(0.1)


def check_sums(planned: int) -> None:
    from django.db.models import Count

    from digest.models import Delivery

    states = dict(Delivery.objects.values_list("state").annotate(Count("pk")))
    if sum(states.values()) != planned or set(states) - {"accepted", "skipped"}:
        raise AssertionError(f"planned {planned}, but {states}")
