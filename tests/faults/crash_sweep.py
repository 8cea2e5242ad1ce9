"""Kill one `deliver` at every system call with which anything leaves the process.

For each kind of call: a run that dies at the first, one that dies at the second, and so
on, until a run ends untouched. After each the command runs again until nothing is open,
and the other side's journal is compared with the ledger.
"""

import signal
import time
from dataclasses import dataclass, field
from itertools import count

from tests.faults.invariants import broken, repeated
from tests.faults.outside import Outside
from tests.faults.scene import Scene, Sender, killed_at

# What goes out (to server, provider, database, disk), and what is waited for.
SYSCALLS = (
    "sendmsg",
    "sendto",
    "recvfrom",
    "write",
    "pwrite64",
    "fsync",
    "fdatasync",
)
READERS = ["ann@example.org", "bob@example.org", "cem@example.org"]


@dataclass
class Found:
    """What a sweep saw."""

    points: int = 0
    twice: int = 0
    lost: int = 0
    most_unknown: int = 0
    bound: int = 0
    seconds: float = 0
    wrong: list[str] = field(default_factory=list)


def sweep(scene: Scene, outside: Outside, *, step: int = 1) -> Found:
    """Every kill point, or every step-th."""
    found = Found(bound=len(scene.readers))
    began = time.monotonic()
    with scene.sender() as sender:
        for syscall in SYSCALLS:
            for number in count(step // 2 + 1, step):
                if not one(scene, sender, outside, at=(syscall, number), found=found):
                    break
    found.seconds = time.monotonic() - began
    return found


def one(
    scene: Scene,
    sender: Sender,
    outside: Outside,
    *,
    at: tuple[str, int],
    found: Found,
) -> bool:
    """One killed run and all that follows. False when the run ended untouched."""
    scene.reset()
    before = len(outside.arrived()), len(outside.requests())
    died = killed_run(scene, sender, *at)
    scene.drain(sender)
    rows, arrived = scene.ledger.rows(), outside.arrived()[before[0] :]
    unknown = sum(row.state == "unknown" for row in rows)
    accepted = {row.address for row in rows if row.state == "accepted"}
    found.points += died
    found.twice += len(arrived) - len(set(arrived))
    found.lost += len(accepted - set(arrived)) + len(scene.readers) - len(rows)
    found.most_unknown = max(found.most_unknown, unknown)
    wrong = broken(
        rows,
        arrived,
        readers=scene.readers,
        most_unknown=found.bound if died else 0,
    )
    wrong += repeated(outside.requests()[before[1] :])
    if (said := scene.ledger.integrity()) != "ok":
        wrong.append(f"the database file is damaged: {said}")
    found.wrong += [f"killed at {at[0]} {at[1]}: {line}" for line in wrong]
    return died


def killed_run(scene: Scene, sender: Sender, syscall: str, number: int) -> bool:
    pid = sender.start("deliver", "--day", scene.day, traced=True)
    with killed_at(pid, syscall, number):
        status = sender.wait()
    if status not in (0, -signal.SIGKILL):
        raise AssertionError(f"deliver ended with {status}, see {scene.log}")
    return status == -signal.SIGKILL
