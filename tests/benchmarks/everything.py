"""Every benchmark after the other, each a process of its own, and one table of them all.

What fails or takes too long is left behind, said so, and the rest goes on.
"""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.figures import Figure, read
from tests.benchmarks.machine import describe
from tests.environment import ROOT, bare

PATIENCE = 30.0  # seconds that an interrupted part has to put its servers away


@dataclass(frozen=True, slots=True)
class Part:
    """A benchmark, its options in a whole and in a quick run, and the most minutes."""

    name: str
    options: str
    quick: str
    minutes: float = 6.0


PARTS = [
    Part("whole_path", "--readers 20000 --rounds 5", "--readers 20000 --rounds 3"),
    Part(
        "peers",
        "--readers 100000 --rounds 3 --peer-mails 500",
        "--readers 100000 --rounds 1 --peer-mails 500",
    ),
    Part("million", "", "--readers 200000", 14.0),
    Part("ledger", "--readers 50000", "--readers 10000"),
    Part("memory", "", ""),
    Part("databases", "--readers 10000 --rounds 5", "--readers 5000 --rounds 3"),
    Part("replies", "--rounds 3", "--rounds 1"),
    Part("provider", "--readers 2000 --rounds 5", "--readers 1000 --rounds 3"),
    Part("imports", "", "--readers 20000"),
    Part("sign_up", "", ""),
    Part("web", "--readers 200000", "--readers 60000"),
    Part("servers", "--rounds 3", "--rounds 1"),
    Part("stages", "--readers 20000", "--readers 10000"),
    Part("building", "--rounds 5", "--rounds 3"),
    Part("ranking", "", ""),
    Part("selecting", "--rounds 9", "--rounds 3"),
]
ON_RECORDED_PAPERS = {"ranking", "selecting"}


def run(*, quick: bool = False, only: Sequence[str] = ()) -> list[Figure]:
    """All figures. A part without figures is one of its own, with no value."""
    found = []
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="dp-b-") as folder:
        for part in PARTS:
            if only and part.name not in only:
                continue
            print(f"\n### {part.name}\n", flush=True)
            if part.name in ON_RECORDED_PAPERS and "PAPERS_DATA" not in os.environ:
                print(
                    "left out: PAPERS_DATA names no folder of recorded papers", flush=True
                )
                continue
            found += figures_of(part, Path(folder) / part.name, quick=quick)
    print(f"\n### All of them, in {(time.monotonic() - begin) / 60:.1f} minutes\n")
    print(describe(), end="\n\n", flush=True)
    return found


def figures_of(part: Part, file: Path, *, quick: bool) -> list[Figure]:
    options = (part.quick if quick else part.options).split()
    command = [sys.executable, "-m", "tests.benchmarks", part.name, *options]
    begin = time.monotonic()
    process = subprocess.Popen([*command, "--figures", str(file)], cwd=ROOT, env=bare())
    try:
        process.wait(part.minutes * 60)
    except subprocess.TimeoutExpired:
        print(f"{part.name}: stopped after {part.minutes:g} minutes", flush=True)
    finally:
        end(process)
    print(f"\n{part.name}: {time.monotonic() - begin:.0f} s", flush=True)
    try:
        return read(file)
    except (OSError, ValueError):
        return [Figure(f"{part.name}: failed, see above", [], at_least=0)]


def end(process: subprocess.Popen[bytes]) -> None:
    """As by Ctrl-C, so that it stops what it has started; whoever does not listen is killed."""
    if process.poll() is None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.send_signal(signal.SIGINT)
            process.wait(PATIENCE)
            return
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
