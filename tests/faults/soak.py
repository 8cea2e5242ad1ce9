"""Many readers, and all processes of a deployment killed at random while it sends.

Worker, beat and Redis get SIGKILL, PostgreSQL an immediate shutdown; each is started
again. Once all four die at the same moment. At the end nothing is killed any more, time
passes until no row is open, and the journal is compared with the ledger.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from tests import postgres
from tests.environment import ROOT
from tests.faults import outside
from tests.faults.invariants import broken
from tests.faults.scene import Scene, scene

SENDERS, GROUP = 2, 20
CELERY = [sys.executable, "-m", "celery", "-A", "digest"]


@dataclass
class Part:
    """A process that dies and comes back."""

    name: str
    command: Sequence[str]
    env: dict[str, str]
    folder: Path
    user: str | None = None
    death: signal.Signals = signal.SIGKILL
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with open(self.folder / f"{self.name}.log", "ab") as log:
            self.process = subprocess.Popen(
                self.command,
                cwd=self.folder if self.user else ROOT,
                env=self.env,
                user=self.user,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill(self) -> None:
        if self.process:
            with suppress(ProcessLookupError):  # it has died by itself meanwhile
                os.killpg(self.process.pid, self.death)
            self.process.wait(30)

    def keep(self) -> None:
        """Start it again if it has died by itself, as a supervisor does."""
        if self.process and self.process.poll() is not None:
            self.start()


@dataclass
class Soak:
    """What was seen. Times are Unix times, durations seconds."""

    seed: int
    kills: list[tuple[float, str]] = field(default_factory=list)
    mails: int = 0
    seconds: float = 0
    states: dict[str, int] = field(default_factory=dict)
    recovery_of_all: float = 0
    bound: int = 0
    wrong: list[str] = field(default_factory=list)


def soak(folder: Path, *, readers: int, minutes: float, seed: int) -> Soak:
    found, chance = Soak(seed), random.Random(seed)
    with ExitStack() as stack:
        server = stack.enter_context(database())
        there = stack.enter_context(outside.smtp(folder / "outside"))
        socket = folder / "redis.sock"
        env = there.env | {
            "REDIS_URL": f"unix://{socket}",
            "SUBMIT_GROUP": str(GROUP),
            "SEND_CONNECTIONS": "1",
        }
        played = scene(folder, env, database=postgres.url(server.folder))
        played.seed([f"r{number}@example.org" for number in range(readers)], "--plan")
        parts = [server, *services(folder, socket, played.env)]
        for part in parts[1:]:
            stack.callback(part.kill)
            part.start()
        began = time.time()
        torment(parts, chance, found, until=began + 60 * minutes, played=played)
        found.seconds = time.time() - began
        settle(parts, played)
        judge(found, played, there)
    return found


def services(folder: Path, socket: Path, env: dict[str, str]) -> list[Part]:
    from digest.ops.broker import server_binary, server_command

    redis = server_command(server_binary(), socket=socket, folder=folder)
    worker = ["worker", "--pool", "prefork", "--concurrency", str(SENDERS)]
    quiet = ["--without-mingle", "--without-gossip", "--loglevel", "INFO"]
    beat = ["beat", "--pidfile=", "--schedule", str(folder / "beat")]
    return [
        Part("redis", redis, env, folder),
        Part("worker", [*CELERY, *worker, *quiet], env, folder),
        Part("beat", [*CELERY, *beat], env, folder),
    ]


@contextmanager
def database() -> Iterator[Part]:
    """A PostgreSQL of its own, in a folder whose socket's path is short."""
    home = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
    process = postgres.start(home, durable=True)
    user = "nobody" if os.geteuid() == 0 else None
    part = Part(
        "postgres",
        [str(word) for word in process.args],  # type: ignore[union-attr]
        postgres.surroundings(home),
        home,
        user,
        signal.SIGQUIT,
        process,
    )
    try:
        yield part
    finally:
        part.kill()
        shutil.rmtree(home, ignore_errors=True)


def torment(
    parts: list[Part], chance: random.Random, found: Soak, *, until: float, played: Scene
) -> None:
    all_at = time.time() + 30
    while time.time() < until:
        time.sleep(chance.uniform(2, 15))
        victims = [chance.choice(parts)]
        if all_at and time.time() > all_at:
            victims, all_at = parts, 0.0
        for victim in victims:
            victim.kill()
        name = "all" if len(victims) > 1 else victims[0].name
        found.kills.append((time.time(), name))
        time.sleep(chance.uniform(0, 2))
        for victim in victims:
            victim.start()
        for part in parts:
            part.keep()


def settle(parts: list[Part], played: Scene) -> None:
    until = time.monotonic() + 300
    while time.monotonic() < until:
        for part in parts:
            part.keep()
        time.sleep(5)
        try:
            if not played.ledger.open_rows():
                return
            played.ledger.pass_time()
        except Exception as error:  # the database is still starting
            print(f"waiting: {error}", file=sys.stderr)


def judge(found: Soak, played: Scene, there: outside.Outside) -> None:
    rows, arrived = played.ledger.rows(), there.arrived()
    for row in rows:
        found.states[row.state] = found.states.get(row.state, 0) + 1
    found.mails = len(arrived)
    found.bound = (len(found.kills) + 1) * SENDERS * GROUP
    found.wrong = broken(rows, arrived, readers=played.readers, most_unknown=found.bound)
    entries = outside.lines(there.folder / "journal.jsonl")
    times = [datetime.fromisoformat(entry["at"]).timestamp() for entry in entries]
    for at, name in found.kills:
        if name == "all" and (later := [one for one in times if one > at]):
            found.recovery_of_all = min(later) - at
