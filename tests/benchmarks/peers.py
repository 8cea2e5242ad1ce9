"""What others need for the same mail into the same sink, CPU seconds per 10,000 mails."""

import os
import subprocess
import sys
import time
from collections.abc import Callable

from tests.benchmarks import newsletter, whole_path, world
from tests.benchmarks.machine import Cost, cpu_seconds, describe, middle, spread, table
from tests.benchmarks.sinks import Sink, smtp_sink
from tests.environment import ROOT

Peer = Callable[[Sink], Cost]


def run(*, readers: int = 10_000, rounds: int = 3, peer_mails: int = 400) -> None:
    """Print ours beside the tutorial's loop, a decent one and django-newsletter."""
    print(describe())
    with world.world(readers) as here, newsletter.installed() as project:
        filler = matching_filler(here)
        ways: dict[str, Peer] = {
            "Daily Papers": lambda sink: whole_path.one_day(here, sink),
            "tutorial: a Celery task per reader": lambda sink: tutorial(
                here, sink, peer_mails, filler
            ),
            "decent Django loop": lambda sink: decent(here, sink, peer_mails, filler),
            "django-newsletter": lambda sink: newsletter.submit(
                project, sink, mails=peer_mails, size=here.mail_size
            ),
        }
        costs: dict[str, list[Cost]] = {name: [] for name in ways}
        for _ in range(rounds):
            for name, way in ways.items():
                with smtp_sink() as sink:
                    costs[name].append(way(sink))
                print(name, costs[name][-1], flush=True)
    ours = costs["Daily Papers"]
    rows = []
    for name, theirs in costs.items():
        pairs = zip(theirs, ours, strict=True)
        ratio = middle(one.cpu_per_10k / other.cpu_per_10k for one, other in pairs)
        rows.append(
            [name, spread([cost.rate for cost in theirs], 0),
             spread([cost.cpu_per_10k for cost in theirs]), f"{ratio:,.1f} ×"]
        )  # fmt: skip
    print(table(["way", "mails/s", "CPU s/10k", "CPU of ours"], rows))
    print(describe())


def matching_filler(here: world.World) -> int:
    """How much longer each paper must be for the tutorial's mail to be as long as ours."""
    from subscribers.models import Subscriber
    from tests.benchmarks.tutorial import Wishes, chosen, message, stored

    wishes = Wishes(Subscriber.objects.earliest("pk"), set())
    papers = chosen(stored(here.edition.pk)[10:], set())
    plain = len(message(wishes, papers, world.DAY).message().as_bytes())
    return max((here.mail_size - plain) // 20, 0)


def tutorial(here: world.World, sink: Sink, mails: int, filler: int) -> Cost:
    """Real workers, one task a reader; publishing and the database are counted too."""
    from digest.models import Delivery
    from subscribers.models import Subscriber
    from tests.benchmarks.tutorial import send

    world.forget_deliveries()
    ids = list(Subscriber.objects.order_by("pk").values_list("pk", flat=True)[:mails])
    with world.celery_workers(sink.url, app="tests.benchmarks.tutorial") as worker:
        roots = [worker, here.redis_pid, here.database_pid or 0]
        cpu, begin = cpu_seconds(*roots) + time.process_time(), time.perf_counter()
        for number in ids:
            send.delay(number, here.edition.pk, filler)
        while Delivery.objects.count() < mails:
            time.sleep(0.1)
        wall = time.perf_counter() - begin
        used = cpu_seconds(*roots) + time.process_time() - cpu
    return Cost(mails, wall, used)


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
