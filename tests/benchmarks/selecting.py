"""What ranking costs beside its matrix product, in CPU of one process (PAPERS_DATA).

`select` for a thousand readers of three kinds, over real papers: topics only, a sentence
only, and everything that a form takes, with twenty likes. On SQLite, so that the database's
part is in the figures. And the product alone, a changed profile, and a day's publishing.
"""

import gc
import json
import os
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks.figures import Figure
from tests.environment import KEYS, bare

if TYPE_CHECKING:
    from digest.models import Edition, Paper
    from digest.ranking.loaded import LaidOut

DAY = date(2026, 4, 17)
NOW = datetime(2026, 4, 17, 12, tzinfo=UTC)
READERS = 1000
KINDS = 40  # different readers; the others are like them
KEYWORDS = [
    "agents",
    "KV cache",
    "Gaussian splatting",
    "benchmark",
    "proofs",
    "LoRA",
    "tool use",
    "distillation",
    "video generation",
    "speech",
    "robots",
    "GUI agent",
]
A_DAY = 21  # the median of 2026
MOST = {50: 20, 500: 30}  # papers → the most milliseconds of `select`


def run(*, rounds: int = 5) -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="dp-b-") as folder:
        data = Path(os.environ["PAPERS_DATA"])
        clean = bare() | KEYS | {"STATE_DIR": folder}
        os.environ.clear()
        os.environ.update(clean, DJANGO_SETTINGS_MODULE="digest.settings")
        import django

        django.setup()
        from django.core.management import call_command
        from django.db import connections

        from tests.benchmarks.ranking import (
            FILE,  # numpy after the settings, as in operation
        )

        call_command("migrate", verbosity=0)
        try:
            return figures(data / FILE, rounds)
        finally:
            connections.close_all()


def figures(file: Path, rounds: int) -> list[Figure]:
    from digest.ranking.loaded import lay_out
    from digest.ranking.select import select
    from subscribers.models import Subscriber

    lines = [json.loads(line) for line in file.read_text().splitlines()]
    found = [publishing(lines, rounds)]
    laid = {
        count: lay_out(published(lines[-count:], DAY - timedelta(days=ago)).pk)
        for ago, count in enumerate(MOST)
    }
    for kind in ("topics", "a sentence", "everything"):
        Subscriber.objects.all().delete()
        changes = add_readers(kind, lines)
        readers = Subscriber.objects.order_by("pk").values_list("pk", flat=True)
        owed = list(enumerate(readers, start=1))
        for count, most in MOST.items():
            chosen = partial(select, laid[count], owed)
            assert all(digest.picks for digest in chosen())
            gc.collect()
            gc.freeze()  # the recorded papers, which no sender has in memory
            took = [milliseconds(chosen) for _ in range(rounds)]
            name = f"select, ms: {READERS:,} readers of {kind} × {count} papers"
            found.append(Figure(name, took, at_most=most))
        if kind == "a sentence":
            found += [product(laid[count], count, owed, rounds) for count in MOST]
        if changes:
            name = f"a changed profile, ms: {kind}"
            found.append(Figure(name, changes, at_most=60))
    return found


def milliseconds(work: Callable[[], object]) -> float:
    """CPU of this process."""
    begin = time.process_time()
    work()
    return (time.process_time() - begin) * 1000


def product(
    laid: "LaidOut", count: int, owed: Sequence[tuple[int, int]], rounds: int
) -> Figure:
    """The product of readers and papers alone, from the stored bytes of a direction each."""
    import numpy as np

    from digest.ranking.directions import unpack
    from digest.ranking.matching import scored
    from digest.ranking.projections import newest_version
    from digest.ranking.select import readers

    stored = [person.directions for person in readers([pk for _, pk in owed])]
    version = newest_version()
    points, unpacked = laid.points[version], unpack(stored, version)
    assert points is not None and unpacked is not None
    rows = np.arange(len(unpacked.kind))
    took = [milliseconds(lambda: scored(unpacked, rows, points)) for _ in range(rounds)]
    name = f"product alone, ms: {len(rows):,} directions × {count} papers"
    return Figure(name, took, at_most=5 if count == min(MOST) else None)


def publishing(lines: Sequence[dict], rounds: int) -> Figure:
    """A day of the median size, its blocks rendered; the first render is warm-up."""
    from digest.editions.publish import publish
    from digest.models import Edition, Paper

    for line in lines[:A_DAY]:
        stored(line)
    took = []
    for _ in range(rounds + 1):
        took.append(milliseconds(lambda: publish(DAY, now=NOW)))
        Edition.objects.all().delete()
    Paper.objects.all().delete()
    return Figure(f"publishing a day of {A_DAY} papers, ms", took[1:], at_most=200)


def published(lines: Sequence[dict], day: date) -> "Edition":
    """An edition of these recorded papers; its blocks are not looked at."""
    from digest.deliveries.schedule import release_at
    from digest.models import Block, Edition
    from digest.papers.topics import assign

    edition = Edition.objects.create(day=day, published_at=release_at(day))
    for place, line in enumerate(lines):
        Block.objects.create(
            edition=edition,
            paper=stored(line),
            position=place,
            title=line["title"],
            upvotes=line["upvotes"],
            topics=assign(line["title"], line["abstract"], categories=[], keywords=[]),
            html="",
            text="",
        )
    return edition


def stored(line: dict) -> "Paper":
    from digest.models import Paper

    fields = {
        "title": line["title"],
        "abstract": line["abstract"],
        "authors": line["authors"],
        "author_count": len(line["authors"]),
        "day": DAY,
        "fetched_at": NOW,
    }
    return Paper.objects.get_or_create(arxiv_id=line["id"], defaults=fields)[0]


def add_readers(kind: str, lines: Sequence[dict]) -> list[float]:
    """READERS rows with directions as the tick computes them, of KINDS different readers.

    Returns the milliseconds that each of those took; none for topics, which are stored as such.
    """
    from digest.models import Vote
    from digest.ranking import directions
    from subscribers.models import Subscriber, new_capability
    from subscribers.preferences import profile
    from tests import make
    from tests.benchmarks.ranking import CONCEPTS

    chance = random.Random(1)
    sentences = [sentence for sentence, _ in CONCEPTS]
    for number in range(KINDS):
        reader = make.reader(f"kind{number}@example.org")
        if kind == "topics":
            reader.profile = profile(chance.sample(range(38), 3), {})
        else:
            reader.directions, reader.interests = None, chance.choice(sentences)
        if kind == "everything":
            reader.interests = "\n".join(chance.sample(sentences, 5))
            reader.watched_institutions = ["Tsinghua University", "NVIDIA"]
            reader.profile = profile(chance.sample(range(38), 3), {})
            for line in chance.sample(lines[:500], 20):
                Vote.objects.create(subscriber=reader, paper=stored(line), value=1, at=NOW)
        reader.save()
    stale = Subscriber.objects.filter(directions=None)
    directions.refresh(1)  # what a process computes once
    took = [milliseconds(lambda: directions.refresh(1)) for _ in range(stale.count())]
    some = list(Subscriber.objects.order_by("pk"))
    for number in range(READERS - KINDS):
        reader = some[number % KINDS]
        reader.pk, reader.email = None, f"reader{number}@example.org"
        reader.unsubscribe_token = new_capability()
        reader.save(force_insert=True)
    if kind == "everything":
        for reader in Subscriber.objects.all():  # no two readers have the same names
            names = [name for line in chance.sample(lines, 10) for name in line["authors"]]
            reader.watched_authors, reader.muted_authors = names[:8], names[8:10]
            reader.keywords = chance.sample(KEYWORDS, 5)
            reader.save()
    return took
