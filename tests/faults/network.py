"""A network of hosts on one machine: a namespace each, and a switch of our own between them.

Every host has one TAP device, whose frames a thread carries to the others. Between any two it
may drop all frames, lose some of them or hold them back, in each direction on its own. That
needs root and /dev/net/tun only: not every kernel has netem.
"""

import fcntl
import heapq
import os
import random
import select
import struct
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

NET = f"198.18.{os.getpid() % 256}"  # for tests of networks: RFC 2544
TUN = Path("/dev/net/tun")
TUNSETIFF, TAP, NO_HEADER = 0x400454CA, 0x0002, 0x1000
BROADCAST = 0xFF


@dataclass(frozen=True)
class Wire:
    """What happens to the frames from one host to another."""

    loss: float = 0
    delay: float = 0


SOUND = Wire()
CUT = Wire(loss=1)


@dataclass
class Network:
    """The hosts, by their names, and the wires between them that are not sound."""

    hosts: dict[str, int] = field(default_factory=dict)
    wires: dict[tuple[str, str], Wire] = field(default_factory=dict)
    taps: dict[int, tuple[str, int]] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=lambda: count(1))
    over: threading.Event = field(default_factory=threading.Event)

    def address(self, host: str) -> str:
        return f"{NET}.{self.hosts[host]}"

    def space(self, host: str) -> str:
        return f"faults-{os.getpid()}-{host}"

    def command(self, host: str, words: Sequence[str]) -> list[str]:
        """These words, run on that host."""
        return ["ip", "netns", "exec", self.space(host), *words]

    def processes(self, host: str) -> list[int]:
        found = ip("netns", "pids", self.space(host))
        return [int(word) for word in found.split()]

    def spoil(self, one: str, other: str, there: Wire, back: Wire) -> None:
        self.wires |= {(one, other): there, (other, one): back}

    def mend(self) -> None:
        self.wires.clear()

    def plug(self, host: str, *, space: bool = True) -> None:
        """Make a host; without `space` it is this machine itself."""
        number = next(self.numbers)
        name, mac = f"f{os.getpid()}-{number}", f"02:00:00:00:00:{number:02x}"
        tap = os.open(TUN, os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH22x", name.encode(), TAP | NO_HEADER))
        self.hosts[host] = number
        self.taps[tap] = (host, number)
        inside: list[str] = []
        ip("link", "set", name, "address", mac)
        if space:
            ip("netns", "add", self.space(host))
            ip("link", "set", name, "netns", self.space(host))
            inside = ["-n", self.space(host)]
            ip(*inside, "link", "set", "lo", "up")
        ip(*inside, "addr", "add", f"{self.address(host)}/24", "dev", name)
        ip(*inside, "link", "set", name, "up")

    def carry(self) -> None:
        """Carry frames until it is over: those of a host, the others' by their last byte."""
        chance, waiting, order = (
            random.Random(1),
            list[tuple[float, int, int, bytes]](),
            count(),
        )
        poll = select.epoll()
        for tap in self.taps:
            poll.register(tap, select.EPOLLIN)
        while not self.over.is_set():
            first = waiting[0][0] - time.monotonic() if waiting else 0.2
            ready = poll.poll(min(max(first, 0), 0.2))
            while waiting and waiting[0][0] <= time.monotonic():
                *_, tap, frame = heapq.heappop(waiting)
                put(tap, frame)
            for source, _ in ready:
                frame = os.read(source, 65536)
                origin, number = self.taps[source]
                for tap, (host, to) in self.taps.items():
                    if tap == source or frame[5] not in (to, BROADCAST) or to == number:
                        continue
                    wire = self.wires.get((origin, host), SOUND)
                    if wire.loss and chance.random() < wire.loss:
                        continue
                    if wire.delay:
                        at = time.monotonic() + wire.delay
                        heapq.heappush(waiting, (at, next(order), tap, frame))
                    else:
                        put(tap, frame)

    def unplug(self) -> None:
        for tap, (host, _) in self.taps.items():
            os.close(tap)
            if Path("/run/netns", self.space(host)).exists():
                ip("netns", "del", self.space(host))


def put(tap: int, frame: bytes) -> None:
    with suppress(OSError):  # its queue is full: the frame is lost, as on any network
        os.write(tap, frame)


def ip(*words: str) -> str:
    return subprocess.run(["ip", *words], check=True, capture_output=True, text=True).stdout


def lacking() -> str:
    """Why there can be no such network here; empty if there can."""
    if os.geteuid():
        return "network namespaces need root"
    if not TUN.exists():
        return "there is no /dev/net/tun"
    return ""


@contextmanager
def network(*hosts: str, here: str = "here") -> Iterator[Network]:
    """These hosts and, as one more, this machine."""
    made = Network()
    with ExitStack() as stack:
        stack.callback(made.unplug)
        made.plug(here, space=False)
        for host in hosts:
            made.plug(host)
        thread = threading.Thread(target=made.carry, daemon=True)
        thread.start()
        stack.callback(thread.join, 10)
        stack.callback(made.over.set)
        yield made
