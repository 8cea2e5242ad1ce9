"""Many readers, and all processes of a deployment killed at random while it sends.

Worker, three beats and Redis get SIGKILL, PostgreSQL an immediate shutdown; each is started
again, one in ten only after up to a minute. Once all of them die at the same moment. At the
end nothing is killed any more, time passes until no row is open, and the journal is
compared with the ledger.
"""

import math
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from tests import postgres
from tests.faults import outside, parts
from tests.faults.invariants import broken
from tests.faults.parts import Part
from tests.faults.scene import Scene, scene

GROUP = 20
BEATS = 3
ALL_AFTER = 30.0  # seconds until all die at once
LONGEST_RECOVERY = 60.0  # seconds from then to the first new mail


@dataclass
class Soak:
    """What was seen. Times are Unix times, durations seconds."""

    database: str
    seed: int
    kills: list[tuple[float, str]] = field(default_factory=list)
    readers: int = 0
    mails: int = 0
    twice: int = 0
    lost: int = 0
    seconds: float = 0
    states: dict[str, int] = field(default_factory=dict)
    recovery_of_all: float = math.inf  # no mail came, or they never all died
    bound: int = 0
    wrong: list[str] = field(default_factory=list)

    @property
    def unknown(self) -> int:
        return self.states.get("unknown", 0)


def soak(folder: Path, *, database: str, readers: int, minutes: float, seed: int) -> Soak:
    """On "SQLite" or "PostgreSQL", killed for so many minutes."""
    found, chance = Soak(database, seed, readers=readers), random.Random(seed)
    with ExitStack() as stack:
        # Redis and PostgreSQL need a short path for their sockets.
        home = Path(tempfile.mkdtemp(prefix="soak-", dir="/tmp"))
        stack.callback(shutil.rmtree, home, ignore_errors=True)
        there = stack.enter_context(outside.smtp(folder / "outside"))
        env = there.env | {
            "REDIS_URL": f"unix://{home / 'redis.sock'}",
            "SUBMIT_GROUP": str(GROUP),
            "SEND_CONNECTIONS": "1",
        }
        servers = []
        if database == "PostgreSQL":
            servers = [stack.enter_context(parts.database())]
            played = scene(folder, env, database=postgres.url(servers[0].folder))
        else:
            played = scene(folder, env)
        senders = 2 if servers else 1
        played.seed([f"r{number}@example.org" for number in range(readers)], "--plan")
        running = [*servers, *started(stack, home, played.env, senders=senders)]
        began = time.time()
        torment(running, chance, found, there=there, until=began + 60 * minutes)
        found.seconds = time.time() - began
        settle(running, played)
        judge(found, played, there, senders=senders)
    return found


def started(
    stack: ExitStack, home: Path, env: dict[str, str], *, senders: int
) -> list[Part]:
    made = [
        parts.redis(home, home / "redis.sock", env),
        parts.worker(home, env, senders=senders),
        *(parts.beat(home, env, number=number) for number in range(BEATS)),
    ]
    for part in made:
        stack.callback(part.kill)
        part.start()
    return made


def torment(
    running: Sequence[Part],
    chance: random.Random,
    found: Soak,
    *,
    there: outside.Outside,
    until: float,
) -> None:
    all_at = time.time() + ALL_AFTER
    while time.time() < until:
        time.sleep(chance.uniform(2, 15))
        down = chance.uniform(0, 2) if chance.random() > 0.1 else chance.uniform(20, 60)
        if all_at and time.time() > all_at:
            all_at = 0.0
            strike(running, "all", found, down=0)
            wait_for_mail(there, running)  # how long that takes is a figure of its own
        else:
            victim = chance.choice(running)
            down = min(down, max(until - time.time(), 0))
            strike([victim], victim.name.partition(" ")[0], found, down=down)
        for part in running:
            part.keep()


def strike(victims: Sequence[Part], name: str, found: Soak, *, down: float) -> None:
    for victim in victims:
        victim.kill()
    found.kills.append((time.time(), name))
    time.sleep(down)
    for victim in victims:
        victim.start()


def wait_for_mail(there: outside.Outside, running: Sequence[Part]) -> None:
    """What cannot start at the first try, beside all the others, is tried again."""
    before, until = len(there.arrived()), time.monotonic() + 2 * LONGEST_RECOVERY
    while len(there.arrived()) == before and time.monotonic() < until:
        time.sleep(1)
        for part in running:
            part.keep()


def settle(running: Sequence[Part], played: Scene) -> None:
    until = time.monotonic() + 300
    while time.monotonic() < until:
        for part in running:
            part.keep()
        time.sleep(5)
        try:
            if not played.ledger.open_rows():
                return
            played.ledger.pass_time()
        except Exception as error:  # the database is still starting
            print(f"waiting: {error}", file=sys.stderr)


def judge(found: Soak, played: Scene, there: outside.Outside, *, senders: int) -> None:
    rows, arrived = played.ledger.rows(), there.arrived()
    for row in rows:
        found.states[row.state] = found.states.get(row.state, 0) + 1
    accepted = {row.address for row in rows if row.state == "accepted"}
    found.mails = len(arrived)
    found.twice = len(arrived) - len(set(arrived))
    found.lost = len(accepted - set(arrived)) + found.readers - len(rows)
    found.bound = (len(found.kills) + 1) * senders * GROUP
    found.wrong = broken(rows, arrived, readers=played.readers, most_unknown=found.bound)
    if (said := played.ledger.integrity()) != "ok":
        found.wrong.append(f"the database file is damaged: {said}")
    entries = outside.lines(there.folder / "journal.jsonl")
    times = [datetime.fromisoformat(entry["at"]).timestamp() for entry in entries]
    for at, name in found.kills:
        if name == "all" and (later := [one for one in times if one > at]):
            found.recovery_of_all = min(later) - at
