"""Several senders at once on one edition with faults in it, one of them killed half-way."""

import os
import signal
import time

from tests.faults.outside import Outside
from tests.faults.scene import Scene

# Of ten readers one is refused, one put off once, one dropped early, one loses its reply.
FAULTS = {3: "+rcpt-550", 5: "+rcpt-450x1", 7: "+data-dropx1", 9: "+dot-keep-dropx1"}
GROUP = 10


def readers(count: int) -> list[str]:
    return [
        f"r{number}{FAULTS.get(number % 10, '')}@example.org" for number in range(count)
    ]


def send(played: Scene, there: Outside, *, senders: int, kills: int = 1) -> None:
    """`kills` of the senders die at once as soon as mail arrives; then all is drained."""
    with played.sender() as sender:
        running = [sender.start("deliver", "--day", played.day) for _ in range(senders)]
        wait_for_mails(there, 20)
        for pid in running[:kills]:
            os.kill(pid, signal.SIGKILL)
        for pid in running:
            assert sender.wait(pid) in (0, -signal.SIGKILL), played.log.read_text()[-2000:]
        played.drain(sender, runs=10)


def wait_for_mails(there: Outside, count: int) -> None:
    until = time.monotonic() + 60
    while len(there.arrived()) < count:
        assert time.monotonic() < until, f"{len(there.arrived())} of {count} mails came"
        time.sleep(0.02)


def bound(count: int, *, connections: int, kills: int) -> int:
    """I3: every lost reply, and per kill what was in flight of one sender's groups."""
    return count // 10 + kills * connections * GROUP
