"""Kill one `deliver` at every system call with which anything leaves the process.

For each kind of call: a run that dies at the first, one that dies at the second, and so
on, until a run ends untouched. After each the command runs again until nothing is open,
and the other side's journal is compared with the ledger. The same with a disk that is full
from the n-th write on, or whose n-th sync fails and every one after it.
"""

import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count

from tests.faults.invariants import broken, repeated
from tests.faults.outside import Outside
from tests.faults.scene import Injection, Scene
from tests.shell import Shell

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
KILLED = dict.fromkeys(SYSCALLS, "signal=KILL")
# SQLite, the outcomes kept on disk and the high-water mark meet these.
DISK = {
    "pwrite64": "error=ENOSPC",
    "write": "error=ENOSPC",
    "fsync": "error=EIO",
    "fdatasync": "error=EIO",
}
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


def sweep(
    scene: Scene, outside: Outside, *, step: int = 1, faults: Mapping[str, str] = KILLED
) -> Found:
    """Every point, or every step-th, of each system call with its fault."""
    found = Found(bound=len(scene.readers))
    began = time.monotonic()
    with scene.sender() as sender:
        for syscall, effect in faults.items():
            for number in count(step // 2 + 1, step):
                fault = Injection(syscall, number, effect)
                if not one(scene, sender, outside, fault=fault, found=found):
                    break
    found.seconds = time.monotonic() - began
    return found


def one(
    scene: Scene,
    sender: Shell,
    outside: Outside,
    *,
    fault: Injection,
    found: Found,
) -> bool:
    """One run with its fault and all that follows. False when it ended untouched."""
    scene.reset()
    before = len(outside.arrived()), len(outside.requests())
    struck = struck_run(scene, sender, fault)
    scene.drain(sender)
    rows, arrived = scene.ledger.rows(), outside.arrived()[before[0] :]
    unknown = sum(row.state == "unknown" for row in rows)
    accepted = {row.address for row in rows if row.state == "accepted"}
    found.points += struck
    found.twice += len(arrived) - len(set(arrived))
    found.lost += len(accepted - set(arrived)) + len(scene.readers) - len(rows)
    found.most_unknown = max(found.most_unknown, unknown)
    wrong = broken(
        rows,
        arrived,
        readers=scene.readers,
        most_unknown=found.bound if struck else 0,
    )
    wrong += repeated(outside.requests()[before[1] :])
    if (said := scene.ledger.integrity()) != "ok":
        wrong.append(f"the database file is damaged: {said}")
    found.wrong += [f"{fault.words}: {line}" for line in wrong]
    return struck


def struck_run(scene: Scene, sender: Shell, fault: Injection) -> bool:
    """A run in which that happens; False if it did not come so far."""
    trace = scene.folder / "trace"
    pid = sender.start("deliver", "--day", scene.day, traced=True)
    with fault.into(pid, trace):
        status = sender.wait(pid)
    if fault.effect == "signal=KILL":
        if status not in (0, -signal.SIGKILL):
            raise AssertionError(f"deliver ended with {status}, see {scene.log}")
        return status == -signal.SIGKILL
    if status not in (0, 1):
        raise AssertionError(f"{fault.words}: deliver ended with {status}")
    return "(INJECTED)" in trace.read_text(errors="replace")
