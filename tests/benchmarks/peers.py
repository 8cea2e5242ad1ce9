"""What others need for the same mail into the same sink, CPU seconds per 10,000 mails."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.benchmarks import machine, newsletter, whole_path, world
from tests.benchmarks.figures import Figure, ratios
from tests.benchmarks.machine import Cost, cpu_seconds, describe, spread, table
from tests.benchmarks.sinks import Sink, fast_sink
from tests.environment import ROOT

if TYPE_CHECKING:
    from digest.models import Edition

Peer = Callable[[Sink], Cost]
WARM = 40
OURS, TUTORIAL = "Daily Papers", "tutorial: a Celery task a reader"
DECENT, NEWSLETTER = "decent Django loop", "django-newsletter"
COLUMNS = ["way", "mails/s", "CPU s/10k", "CPU to ours"]


def run(*, readers: int = 100_000, rounds: int = 3, peer_mails: int = 500) -> list[Figure]:
    """Print ours beside the tutorial's loop, a decent one and django-newsletter."""
    print(describe())
    with world.world(readers) as here, newsletter.installed() as project:
        filler = matching_filler(here.edition, here.mail_size)
        ways: dict[str, Peer] = {
            OURS: lambda sink: whole_path.one_day(here, sink),
            TUTORIAL: lambda sink: tutorial(here, sink, peer_mails, filler),
            DECENT: lambda sink: decent(here, sink, peer_mails, filler),
            NEWSLETTER: lambda sink: newsletter.submit(
                project, sink, mails=peer_mails, size=here.mail_size
            ),
        }
        costs: dict[str, list[Cost]] = {name: [] for name in ways}
        for _ in machine.rounds(rounds):
            for name, way in ways.items():
                with fast_sink() as sink:
                    costs[name].append(way(sink))
    print(f"{readers:,} mails of ours, {peer_mails} of each other, into the fast sink\n")
    print(table(COLUMNS, [row(name, costs) for name in costs]) + "\n")
    print(describe(), flush=True)
    return [
        Figure("CPU to ours, tutorial: a Celery task a reader", against(TUTORIAL, costs), at_least=100),
        Figure("CPU to ours, django-newsletter", against(NEWSLETTER, costs), at_least=60),
        Figure("CPU to ours, decent Django loop", against(DECENT, costs)),
    ]  # fmt: skip


def against(name: str, costs: dict[str, list[Cost]]) -> list[float]:
    return ratios(costs[name], costs[OURS], "cpu_per_10k")


def row(name: str, costs: dict[str, list[Cost]]) -> list[str]:
    return [
        name,
        spread([cost.rate for cost in costs[name]], 0),
        spread([cost.cpu_per_10k for cost in costs[name]]),
        spread(against(name, costs), 1) + " ×",
    ]


def matching_filler(edition: "Edition", mail_size: int) -> int:
    """How much longer each paper must be for the tutorial's mail to be as long as ours."""
    from subscribers.models import Subscriber
    from tests.benchmarks.tutorial import Wishes, chosen, message, stored

    wishes = Wishes(Subscriber.objects.earliest("pk"), set())
    papers = chosen(stored(edition.pk)[10:], set())
    plain = len(message(wishes, papers, edition.day).message().as_bytes())
    return max((mail_size - plain) // 20, 0)


def tutorial(here: world.World, sink: Sink, mails: int, filler: int) -> Cost:
    """Real workers, one task a reader; publishing and the database are counted too.

    The first mails, for which each worker compiles the templates, are not.
    """
    from digest.celery import app as digest
    from subscribers.models import Subscriber
    from tests.benchmarks.tutorial import send

    world.forget_deliveries()
    digest.control.purge()  # wake-ups of ours, which the tutorial's workers don't know
    everybody = Subscriber.objects.order_by("pk").values_list("pk", flat=True)
    ids = list(everybody[: mails + WARM])
    with world.celery_workers(sink.url, app="tests.benchmarks.tutorial") as worker:
        for number in ids[:WARM]:
            send.delay(number, here.edition.pk, filler)
        wait_for_rows(WARM)
        roots = [worker, here.redis_pid, here.database_pid or 0]
        cpu, begin = cpu_seconds(*roots) + time.process_time(), time.perf_counter()
        for number in ids[WARM:]:
            send.delay(number, here.edition.pk, filler)
        wait_for_rows(len(ids))
        wall = time.perf_counter() - begin
        used = cpu_seconds(*roots) + time.process_time() - cpu
    return Cost(mails, wall, used)


def wait_for_rows(count: int) -> None:
    from digest.models import Delivery

    until = time.monotonic() + 300
    while Delivery.objects.count() < count:
        assert time.monotonic() < until, "the tutorial's workers do not get on"
        time.sleep(0.2)


def decent(here: world.World, sink: Sink, mails: int, filler: int) -> Cost:
    """One process of its own, so that start-up and imports can be left out."""
    world.forget_deliveries()
    command = [sys.executable, "-m", "tests.benchmarks.tutorial", str(here.edition.pk)]
    before = here.database_cpu
    done = subprocess.run(
        [*command, str(filler), str(mails)],
        cwd=ROOT,
        env=os.environ | {"MAILER_URL": sink.url},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    wall, cpu = map(float, done.stdout.split()[-2:])
    return Cost(mails, wall, cpu + here.database_cpu - before)
