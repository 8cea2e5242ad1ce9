"""Beat and worker by clocks of their own, wrong by minutes: every reader who is due gets mail.

libfaketime is not needed: see tests/shifted.py. The database's clock is the one that counts.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.environment import ROOT
from tests.faults import parts
from tests.faults.parts import Part
from tests.faults.scene import Scene

# A tick each ten seconds, and a few for the processes to come up on a busy machine.
MOST_SECONDS = 60.0


@dataclass(frozen=True)
class Off:
    """Seconds by which each process' clock is wrong; `later`: beat's after four seconds."""

    beat: float = 0
    worker: float = 0
    later: float | None = None

    @property
    def name(self) -> str:
        jump = "" if self.later is None else f", set to {self.later:+g} s"
        return f"beat {self.beat:+g} s{jump}, worker {self.worker:+g} s"


EVERY = [
    Off(),
    Off(beat=-30),
    Off(beat=-600),
    Off(beat=600),
    Off(worker=-600),
    Off(worker=600),
    Off(beat=-600, worker=600),
    Off(beat=600, worker=-600),
    Off(beat=0, later=-7200),
]


def by_its_own_clock(part: Part, offset: str) -> Part:
    at = list(part.command).index("-m")
    shifted = [sys.executable, "-m", "tests.shifted", offset, *list(part.command)[at + 1 :]]
    return Part(part.name, shifted, part.env, part.folder)


@contextmanager
def running(home: Path, env: dict[str, str], off: Off, tree: Path = ROOT) -> Iterator[None]:
    """Redis, a worker and a beat in a folder with a short path."""
    env = env | {"PYTHONPATH": str(tree)}
    beats = f"{off.beat}" if off.later is None else f"{off.beat},{off.later},4"
    made = [
        parts.redis(home, home / "redis.sock", env),
        by_its_own_clock(parts.worker(home, env, senders=1), f"{off.worker}"),
        by_its_own_clock(parts.beat(home, env), beats),
    ]
    try:
        for part in made:
            part.start(tree)
        yield
    finally:
        for part in reversed(made):
            part.kill()


def seconds_to_all(played: Scene, count: int, *, most: float = MOST_SECONDS) -> float:
    """Seconds until so many are accepted; above `most` when they do not come."""
    began = time.monotonic()
    sql = "SELECT count(*) FROM digest_delivery WHERE state = 'accepted'"
    came = until(lambda: played.ledger.ask(sql)[0][0] >= count, most)
    return time.monotonic() - began if came else most + 1


def until(holds: Callable[[], bool], most: float = MOST_SECONDS) -> bool:
    """Whether it came to hold in so many seconds."""
    end = time.monotonic() + most
    while not (come := holds()) and time.monotonic() < end:
        time.sleep(0.1)
    return come
