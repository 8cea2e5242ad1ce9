"""What a worker's memory holds, stage by stage, in a process that does what a worker does.

The peak of resident memory counts what processes share, too: programs' files, and pages that a
child has of its parent. It is nearly the same in each run, however busy the machine.
"""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from itertools import batched

from tests.benchmarks.figures import Figure
from tests.benchmarks.machine import status, table

SLICE = 1000


def run(*, readers: int = 2000) -> list[Figure]:
    """Print the peak after each stage, in MB, and what is no file's then."""
    from tests.benchmarks import world

    with world.world(readers, sqlite=True):
        child = [world.deployed_python(), "-m", "tests.benchmarks.memory"]
        done = subprocess.run(child, check=True, stdout=subprocess.PIPE)
    stages, has_site = json.loads(done.stdout)
    rows = [[what, *(f"{size / 1024:.0f}" for size in sizes)] for what, *sizes in stages]
    print(table(["after", "peak MB", "no file's"], rows) + "\n")
    return [
        Figure("a worker's peak in MB, SQLite", [stages[-1][1] / 1024], at_most=117),
        Figure("it has loaded the site, too", [float(has_site)], at_most=0),
    ]


def weigh() -> None:
    """Do what a worker does, and print the memory after each stage as JSON, in KB."""
    stages = []

    def note(stage: str) -> None:
        pid = os.getpid()
        stages.append((stage, status(pid, "VmHWM"), status(pid, "RssAnon")))

    note("Python")
    from digest.celery import app

    app.loader.import_default_modules()  # with all that Celery does then
    app.finalize()
    note("the worker's modules")
    from digest.ranking.projections import current

    current()
    note("the projection that ranks")
    from digest.deliveries.preflight import composed
    from digest.models import Edition
    from digest.ranking.loaded import lay_out, load

    edition = Edition.objects.get().pk
    lay_out(edition)
    note("an edition, laid out for the ranking")
    load(edition)
    note("its mails' pieces, encoded")
    loaded = composed(edition)
    from digest.ranking.select import select
    from subscribers.models import Subscriber

    ids = Subscriber.objects.order_by("pk").values_list("pk", flat=True)
    for some in batched(ids, SLICE, strict=False):
        for reader, picks, _ in select(loaded, [(pk, pk) for pk in some]):
            if picks:
                loaded.encoded.compose(reader, picks, sent_at=datetime.now(UTC))
    note("the mails of some slices")
    print(
        json.dumps(
            [stages, bool({"digest.site.urls", "digest.admin"} & sys.modules.keys())]
        )
    )


if __name__ == "__main__":
    weigh()
