"""Redis killed, emptied, flushed, full, frozen and cut off while readers come due.

For each fault a batch of readers comes due while it lasts. When it is over, they must
have their mail within two minutes, from beat and worker alone.
"""

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.faults import parts
from tests.faults.parts import Part
from tests.faults.scene import Scene

MOST_SECONDS = 120.0


@dataclass(frozen=True)
class Caught:
    """How long after the end of the fault all who came due had their mail."""

    fault: str
    seconds: float


@dataclass
class Broker:
    """A Redis of our own, with what consumes it."""

    redis: Part
    socket: Path
    consumers: Sequence[Part]

    def ask(self, *words: str | int) -> object:
        import redis

        with redis.Redis(unix_socket_path=str(self.socket), socket_timeout=30) as client:
            return client.execute_command(*words)

    def start_empty(self) -> None:
        for path in (self.redis.folder / "appendonlydir", self.redis.folder / "dump.rdb"):
            shutil.rmtree(path, ignore_errors=True)
        self.redis.start()

    # Each fault begins with the first function and ends with the second.
    def faults(self) -> dict[str, tuple[Callable[[], object], Callable[[], object]]]:
        nothing = int
        return {
            "killed": (self.redis.kill, self.redis.start),
            "restarted empty": (self.redis.kill, self.start_empty),
            "flushed": (lambda: self.ask("FLUSHALL"), nothing),
            "full": (
                lambda: self.ask("CONFIG", "SET", "maxmemory", "1"),
                lambda: self.ask("CONFIG", "SET", "maxmemory", "0"),
            ),
            "frozen": (lambda: self.ask("CLIENT", "PAUSE", 20_000), nothing),
            "cut off": (lambda: self.ask("CLIENT", "KILL", "TYPE", "normal"), nothing),
        }


@contextmanager
def running(home: Path, env: dict[str, str], *, senders: int) -> Iterator[Broker]:
    """Redis, a worker and a beat in a folder with a short path."""
    socket = home / "redis.sock"
    made = [
        parts.redis(home, socket, env),
        parts.worker(home, env, senders=senders),
        parts.beat(home, env),
    ]
    try:
        for part in made:
            part.start()
        yield Broker(made[0], socket, made[1:])
    finally:
        for part in made:
            part.kill()


def suffer(
    played: Scene, broker: Broker, names: list[str], *, seconds: float
) -> Iterator[Caught]:
    """Each fault in turn for so long, with an equal share of the readers coming due."""
    rows = [id for (id,) in played.ledger.ask("SELECT id FROM digest_delivery ORDER BY id")]
    share = len(rows) // (len(names) + 1)
    release(played, rows[:share])
    wait_for_all(
        played, broker, rows[:share]
    )  # worker and beat are up, and the queue is in use
    for place, name in enumerate(names, start=1):
        begin, end = broker.faults()[name]
        begin()
        release(played, rows[place * share : (place + 1) * share])
        time.sleep(seconds)
        end()
        taken = wait_for_all(played, broker, rows[: (place + 1) * share])
        yield Caught(name, taken)


def hold(played: Scene) -> None:
    """Nobody is due before a batch is released. Call it before anything sends."""
    later = [played.ledger.instant(minutes=600)]
    played.ledger.ask("UPDATE digest_delivery SET not_before = ?", later)


def release(played: Scene, rows: list[int]) -> None:
    now = played.ledger.instant(minutes=0)
    marks = ", ".join("?" * len(rows))
    sql = f"UPDATE digest_delivery SET not_before = ? WHERE id IN ({marks})"
    played.ledger.ask(sql, [now, *rows])


def wait_for_all(played: Scene, broker: Broker, rows: list[int]) -> float:
    """Seconds until all of them are accepted; those of a failed wait are above the limit.

    A worker may exit when its acknowledgement is refused, as by a Redis that is full.
    """
    began = time.monotonic()
    sql = "SELECT count(*) FROM digest_delivery WHERE state = 'accepted'"
    while played.ledger.ask(sql)[0][0] < len(rows):
        if time.monotonic() - began > 2 * MOST_SECONDS:
            break
        for part in broker.consumers:
            part.keep()
        time.sleep(0.2)
    return time.monotonic() - began
