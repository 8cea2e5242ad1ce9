"""What it costs to make one mail: ours joined from pieces, Django's rendered and encoded.

Counted in instructions by valgrind, which no other process disturbs; in CPU seconds
where there is no valgrind.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks.figures import Figure
from tests.benchmarks.machine import describe, middle, table

if TYPE_CHECKING:
    from digest.models import Edition

DAY = date(2026, 4, 17)
NOW = datetime(2026, 4, 17, 12, tzinfo=UTC)
Maker = Callable[[int], bytes]
# How many mails of each way callgrind counts.
COUNTED = {"ours": 400, "djangos": 3}
DIFFERENT = 100


def ours(edition: "Edition") -> Maker:
    """number → that reader's mail, ten papers, all different."""
    from digest.editions.compose import Pick, Reader
    from digest.ranking.loaded import load

    encoded, count = load(edition.pk).encoded, edition.blocks.count()
    # The ranking's part, not the mail's: a pick is made once and shared by its readers.
    picks = [
        [Pick(place, place % 7) for place in places(number, count)]
        for number in range(DIFFERENT)
    ]

    def make(number: int) -> bytes:
        reader = Reader(number, f"reader.{number}@list7.example.com", f"{number:022}")
        return encoded.compose(reader, picks[number % DIFFERENT], sent_at=NOW)

    return make


def djangos(edition: "Edition") -> Maker:
    """The same by templates and EmailMultiAlternatives, papers in memory already."""
    from subscribers.models import Subscriber
    from tests.benchmarks.tutorial import Wishes, chosen, message, stored

    blocks = stored(edition.pk)

    def make(number: int) -> bytes:
        papers = chosen((blocks[place] for place in places(number, len(blocks))), set())
        email, token = f"reader.{number}@list7.example.com", f"{number:022}"
        reader = Subscriber(pk=number, email=email, unsubscribe_token=token)
        return message(Wishes(reader, set()), papers, DAY).message().as_bytes()

    return make


def places(number: int, count: int) -> Sequence[int]:
    return [(number * 7 + step * 13) % count for step in range(10)]


def cpu_ratio(edition: "Edition", *, mails: int = 20, rounds: int = 5) -> float:
    """How many times the CPU time of ours Django's way takes; medians, interleaved."""
    fast, slow = ours(edition), djangos(edition)
    fast(0), slow(0)  # templates and pieces are loaded once
    took: dict[Maker, list[float]] = {fast: [], slow: []}
    for _ in range(rounds):
        for make, count in ((slow, mails), (fast, mails * 50)):
            begin = time.thread_time()
            for number in range(count):
                make(number)
            took[make].append((time.thread_time() - begin) / count)
    return middle(took[slow]) / middle(took[fast])


def run(*, rounds: int = 5) -> list[Figure]:
    """Print the costs of a mail by both ways."""
    print(describe())
    with tempfile.TemporaryDirectory(prefix="dp-b-") as folder:
        edition = scratch_edition(Path(folder))
        sizes = [len(make(edition)(1)) for make in (ours, djangos)]
        print(f"bytes a mail: ours {sizes[0]:,}, Django's {sizes[1]:,}")
        ratio = cpu_ratio(edition, rounds=rounds)
        found = [Figure("CPU time to make a mail, Django's way to ours", [ratio])]
        if not shutil.which("valgrind"):
            print("instructions: install valgrind to have them counted")
            return found
        counts = instructions(Path(folder))
    rows = [[way, f"{count:,.0f}"] for way, count in counts.items()]
    print(table(["way", "instructions a mail"], rows) + "\n")
    name = "instructions to make a mail, Django's way to ours"
    return [Figure(name, [counts["djangos"] / counts["ours"]], at_least=330), *found]


def scratch_edition(folder: Path) -> "Edition":
    """An edition in an SQLite of its own; sets this process' environment for Django."""
    surround(folder)
    from django.core.management import call_command

    from digest.ops.load_test import fake_data

    call_command("migrate", verbosity=0)
    return fake_data.add_edition(DAY, papers=100)


def surround(folder: Path) -> None:
    import django

    from tests.environment import KEYS, bare

    surroundings = bare() | KEYS | {"STATE_DIR": str(folder)}
    os.environ.clear()
    os.environ.update(surroundings, DJANGO_SETTINGS_MODULE="digest.settings")
    django.setup()


def instructions(folder: Path) -> dict[str, float]:
    """Per mail, by callgrind, for the scratch edition in the folder.

    One process, watched only while it makes mails: the start of Django is not counted
    and takes no time. Its first dump says what being watched itself costs.
    """
    out = folder / "callgrind.out"
    subprocess.run(
        ["valgrind", "--tool=callgrind", "--instr-atstart=no",
         f"--callgrind-out-file={out}", sys.executable, "-m", "tests.benchmarks.building",
         "count", str(folder)],
        check=True, capture_output=True, env=os.environ | {"PYTHONHASHSEED": "0"},
    )  # fmt: skip
    _, nothing, *totals = (total(Path(f"{out}.{number}")) for number in range(1, 5))
    return {
        way: (found - nothing) / mails
        for (way, mails), found in zip(COUNTED.items(), totals, strict=True)
    }


def total(dump: Path) -> int:
    found = re.search(r"(?m)^(?:totals|summary): (\d+)", dump.read_text())
    assert found, dump
    return int(found[1])


def watched(folder: Path) -> None:
    """What callgrind counts: a dump for nothing, and one for each way."""
    surround(folder)
    from digest.models import Edition

    edition = Edition.objects.get()
    ways = {"ours": ours(edition), "djangos": djangos(edition)}
    for number in range(DIFFERENT):  # each subject once, as in a large edition
        ways["ours"](number)
    ways["djangos"](0)
    callgrind("--instr=on")
    callgrind("--dump")
    callgrind("--dump")
    for way, mails in COUNTED.items():
        for number in range(mails):
            ways[way](number)
        callgrind("--dump")


def callgrind(order: str) -> None:
    subprocess.run(
        ["callgrind_control", order, str(os.getpid())], check=True, capture_output=True
    )


if __name__ == "__main__":
    {"make": scratch_edition, "count": watched}[sys.argv[1]](Path(sys.argv[2]))
