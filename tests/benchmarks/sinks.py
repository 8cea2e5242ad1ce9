"""Where mail goes and who else sends it: Postfix's smtp-sink and smtp-source, a fast sink.

smtp-sink is the common reference, but it reads byte by byte and is the bottleneck of
any fast sender; fast_sink.c shows the sender's own limit.
"""

import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.benchmarks.machine import Cost, cpu_seconds
from tests.ports import free_port, wait_until_it_answers

SOURCE = Path(__file__).with_name("fast_sink.c")
CACHE = Path(tempfile.gettempdir()) / f"daily-papers-benchmarks-{os.getuid()}"


class ToolMissing(Exception):
    """A program that the benchmark needs; the message says how to get it."""


@dataclass(frozen=True, slots=True)
class Sink:
    """A running SMTP server that throws mail away."""

    name: str
    port: int
    process: subprocess.Popen[str]

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    @property
    def cpu(self) -> float:
        return cpu_seconds(self.process.pid)

    def received(self) -> tuple[int, int]:
        """Mails and bytes so far; the fast sink only."""
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        mails, size = self.process.stdout.readline().split()
        return int(mails), int(size)


@cache
def fast_sink_binary() -> Path:
    if not (compiler := shutil.which("cc") or shutil.which("gcc")):
        raise ToolMissing("a C compiler is needed: install gcc")
    CACHE.mkdir(exist_ok=True)
    version = hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:12]
    binary = CACHE / f"fast_sink-{version}"
    if not binary.exists():
        half = binary.with_suffix(f".{os.getpid()}")
        subprocess.run([compiler, "-O2", "-o", str(half), str(SOURCE)], check=True)
        half.rename(binary)
    return binary


@contextmanager
def fast_sink(*, delay_ms: float = 0, pipelining: bool = True) -> Iterator[Sink]:
    command = [str(fast_sink_binary()), str(delay_ms), str(int(pipelining))]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout
            port = int(process.stdout.readline())
            yield Sink("fast sink", port, process)
        finally:
            process.kill()


@cache
def postfix(name: str) -> tuple[str, dict[str, str]]:
    """One of Postfix's test programs and its environment; the daemon is never started."""
    if found := shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin"):
        return found, dict(os.environ)
    folder = CACHE / "postfix"
    binary = folder / "usr" / "sbin" / name
    if not binary.exists():
        unpack_postfix(folder)
    library = folder / "usr" / "lib" / "postfix"
    return str(binary), os.environ | {"LD_LIBRARY_PATH": str(library)}


def unpack_postfix(folder: Path) -> None:
    """Debian's package, unpacked and not installed. Raises ToolMissing."""
    CACHE.mkdir(exist_ok=True)
    try:
        with tempfile.TemporaryDirectory() as download:
            subprocess.run(
                ["apt-get", "download", "-qq", "postfix"],
                cwd=download,
                check=True,
                stderr=subprocess.DEVNULL,
            )
            package = next(Path(download).glob("*.deb"))
            subprocess.run(["dpkg", "-x", str(package), str(folder)], check=True)
    except (OSError, subprocess.CalledProcessError, StopIteration):
        raise ToolMissing("install Postfix for smtp-sink and smtp-source") from None
    for place in (CACHE, folder):
        place.chmod(0o755)


@contextmanager
def smtp_sink() -> Iterator[Sink]:
    binary, environment = postfix("smtp-sink")
    port = free_port()
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    command = [binary, *user, f"inet:127.0.0.1:{port}", "1000"]
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, text=True
    ) as process:
        try:
            wait_until_it_answers(port, seconds=10)
            yield Sink("smtp-sink", port, process)
        finally:
            process.kill()


def smtp_source(sink: Sink, *, mails: int, size: int, sessions: int = 4) -> Cost:
    """One run of Postfix's load generator: constant mail, no ledger, nothing personal."""
    binary, environment = postfix("smtp-source")
    numbers = ["-s", str(sessions), "-m", str(mails), "-l", str(size)]
    addresses = ["-f", "source@bench.example", "-t", "reader@bench.example"]
    command = [binary, *numbers, *addresses, f"inet:127.0.0.1:{sink.port}"]
    begin, before = time.perf_counter(), os.times()
    subprocess.run(command, env=environment, check=True)
    after = os.times()
    cpu = after.children_user + after.children_system
    cpu -= before.children_user + before.children_system
    return Cost(mails, time.perf_counter() - begin, cpu)
