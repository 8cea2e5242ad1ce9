"""What a run cost: CPU seconds and memory of whole process trees, from /proc (Linux)."""

import os
import statistics
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def tree(pid: int) -> list[int]:
    """A process and all its living descendants."""
    found = [pid]
    for parent in found:
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            try:
                found += map(int, task.read_text().split())
            except OSError:
                continue
    return found


def cpu_seconds(*roots: int) -> float:
    """User and system seconds of these trees, of children that have ended too. 0: none."""
    total = 0
    for root in filter(None, roots):
        for pid in tree(root):
            try:
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            total += sum(map(int, fields[11:15]))
    return total / TICKS


def peak_megabytes(root: int) -> float:
    """The greatest peak of resident memory of one process of the tree."""
    return max((status(pid, "VmHWM") for pid in tree(root)), default=0) / 1024


def status(pid: int, field: str) -> int:
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next(
        (int(line.split()[1]) for line in text.splitlines() if line.startswith(field)), 0
    )


@dataclass(frozen=True, slots=True)
class Cost:
    """What one run of `mails` mails cost. Seconds; megabytes at the peak.

    `cpu` is the whole, `database_cpu` PostgreSQL's part of it.
    """

    mails: int
    wall: float
    cpu: float
    memory: float = 0.0
    database_cpu: float = 0.0

    @property
    def rate(self) -> float:
        return self.mails / self.wall

    @property
    def cpu_per_10k(self) -> float:
        return self.cpu / self.mails * 10_000


def rounds(most: int, *, minutes: float = 3.0) -> Iterator[int]:
    """Count rounds; after so many minutes no other begins, on a machine that is too busy."""
    begin = time.monotonic()
    for number in range(most):
        if number and time.monotonic() - begin > minutes * 60:
            print(f"{number} of {most} rounds: the time is up", flush=True)
            return
        yield number


def middle(values: Iterable[float]) -> float:
    return statistics.median(list(values))


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Median and range, as they stand in the tables."""
    low, high = min(values), max(values)
    return f"{middle(values):,.{digits}f} ({low:,.{digits}f}–{high:,.{digits}f})"


def describe() -> str:
    """The machine and its noise, in one line for the head of a table."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        "unknown",
    )
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    return (
        f"{os.cpu_count()} × {model}, load {load}, "
        f"fdatasync {sync_milliseconds():.1f} ms (median)"
    )


def sync_milliseconds() -> float:
    """What one small durable write takes where the benchmark's database lies."""
    took = []
    with tempfile.NamedTemporaryFile(dir="/tmp") as file:
        for _ in range(40):
            os.write(file.fileno(), b"x" * 8192)
            begin = time.perf_counter()
            os.fdatasync(file.fileno())
            took.append(time.perf_counter() - begin)
    return statistics.median(took) * 1000


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table, as it goes into docs/performance.md."""
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)
