"""Start, watch, restart and stop the processes of the one-command stack.

Each service leads its own session, so Ctrl-C reaches only us and a service can be ended
with its children. No service outlives us: on Linux the kernel kills the services when this
process dies for any reason; elsewhere the next start ends the recorded ones.
"""

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from django.conf import settings

from digest.ops.stack.broker import server_binary, server_command

QUICK = 10.0  # seconds; a service that lived less died quickly
GIVE_UP = 5  # quick deaths in a row
REAPING = 3.0  # seconds for killed processes to end
PR_SET_PDEATHSIG = 1


class ServiceError(Exception):
    """A service cannot be kept running; the message is one sentence for the operator."""


@dataclass(frozen=True)
class Service:
    """A service to run, logged to LOGS/NAME.log; `patience` is seconds after SIGTERM."""

    name: str
    command: Sequence[str]
    patience: float = 10.0
    once: bool = False  # ends by itself; its output is for the operator


@dataclass
class Running:
    service: Service
    process: subprocess.Popen[bytes]
    started: float = field(default_factory=time.monotonic)
    quick_deaths: int = 0
    has_worked: bool = False  # once for longer than QUICK
    again_at: float | None = None


def die_with_parent(parent: int) -> Callable[[], None] | None:
    """Return the preexec function that binds a child to its parent; None but on Linux."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def prepare() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)  # the parent died before the call above

    return prepare


def kill_group(leader: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, number)


class Stack:
    """The running services, in the order of their start. For one thread only."""

    def __init__(
        self, *, logs: Path, record: Path, cwd: Path, env: Mapping[str, str]
    ) -> None:
        self.logs = logs
        self.record = record
        self.cwd = cwd
        self.env = dict(env)
        self.running: list[Running] = []
        self.prepare = die_with_parent(os.getpid())
        logs.mkdir(mode=0o700, exist_ok=True)

    def start(self, service: Service) -> None:
        log = self.log_of(service.name)
        if log.exists():
            log.replace(log.with_suffix(".log.1"))
        self.running.append(Running(service, self.spawn(service)))
        self.write_record()

    def spawn(self, service: Service) -> subprocess.Popen[bytes]:
        with open(self.log_of(service.name), "ab") as log:
            try:
                return subprocess.Popen(
                    service.command,
                    cwd=self.cwd,
                    env=self.env,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE if service.once else log,
                    stderr=log,
                    start_new_session=True,
                    preexec_fn=self.prepare,
                )
            except OSError as error:
                raise ServiceError(
                    f"cannot start {service.name}: {error.strerror} ({service.command[0]})."
                ) from None

    def watch(self, say: Callable[[str], None]) -> None:
        """Restart services that died. Raises ServiceError for one that keeps dying."""
        for one in self.running:
            if one.service.once:
                continue
            if one.again_at is None and one.process.poll() is not None:
                self.bury(one, say)
            if one.again_at is not None and time.monotonic() >= one.again_at:
                one.process = self.spawn(one.service)
                one.started, one.again_at = time.monotonic(), None
                self.write_record()

    def bury(self, one: Running, say: Callable[[str], None]) -> None:
        """Record a death, end the service's orphans, and schedule its restart."""
        name, now = one.service.name, time.monotonic()
        kill_group(one.process.pid, signal.SIGKILL)
        quick = now - one.started < QUICK
        one.has_worked |= not quick
        one.quick_deaths = one.quick_deaths + 1 if quick else 1
        # What has worked may work again: a worker ends at each message while Redis is full.
        if one.quick_deaths >= GIVE_UP and not one.has_worked:
            raise ServiceError(
                f"{name} stopped {GIVE_UP} times in a row. "
                f"The reason is in {self.log_of(name)}."
            )
        one.again_at = now + min(0.1 * 2**one.quick_deaths, QUICK)
        say(f"{name} stopped unexpectedly and is started again.")

    def finished(self) -> tuple[bool, list[str]] | None:
        """Return the success and output of the run-once service; None before it ends."""
        for one in self.running:
            if one.service.once and one.process.poll() is not None:
                printed, _ = one.process.communicate()
                self.running.remove(one)
                return one.process.returncode == 0, printed.decode().splitlines()
        return None

    def stop(self) -> None:
        """Stop all services, last started first; a KeyboardInterrupt shortens the wait."""
        try:
            for one in reversed(self.running):
                # Signal the leader only: a worker's pool must finish its tasks.
                one.process.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    one.process.wait(one.service.patience)
        except KeyboardInterrupt:
            pass
        finally:
            for one in self.running:
                kill_group(one.process.pid, signal.SIGKILL)
                one.process.wait()
                if one.process.stdout:
                    one.process.stdout.close()
            self.running.clear()
            self.record.unlink(missing_ok=True)

    def log_of(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def write_record(self) -> None:
        pids = {one.service.name: one.process.pid for one in self.running}
        self.record.write_text(json.dumps(pids))


def reap(record: Path, *, marks: Sequence[str]) -> int:
    """End the services that a killed predecessor left behind; return their number.

    A recorded group is ended, with the children of its leader, only if one of its command
    lines contains one of `marks`, as its number may have been reused.
    """
    try:
        leaders = {int(pid) for pid in json.loads(record.read_text()).values()}
    except (OSError, ValueError, AttributeError):
        return 0
    left = {
        group
        for group, line in processes()
        if group in leaders and any(mark in line for mark in marks)
    }
    for group in left:
        kill_group(group, signal.SIGKILL)
    until = time.monotonic() + REAPING
    while time.monotonic() < until and left & {group for group, _ in processes()}:
        time.sleep(0.05)
    record.unlink(missing_ok=True)
    return len(left)


def processes() -> list[tuple[int, str]]:
    """Return (process group, command line) of all processes, as far as `ps` shows them."""
    try:
        listed = subprocess.run(
            ["ps", "-A", "-ww", "-o", "pgid=,state=,command="],  # noqa: S607
            capture_output=True,
            text=True,
            errors="replace",
            timeout=5,
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return []
    rows = [line.split(maxsplit=2) for line in listed.splitlines()]
    return [(int(row[0]), row[2]) for row in rows if len(row) == 3 and row[1][0] != "Z"]


@dataclass(frozen=True)
class Plan:
    """The options of `up`. Ports are on 127.0.0.1; `papers` is a file instead of the source."""

    port: int
    mail_port: int
    papers: Path | None
    state: Path
    demo: bool = False

    @property
    def site_url(self) -> str:
        return str(settings.SITE_URL_GIVEN) or f"http://127.0.0.1:{self.port}"

    @property
    def catches(self) -> bool:
        return bool(settings.CATCHER)

    @property
    def may_invent(self) -> bool:
        """Whether no mail to invented readers leaves this machine."""
        return self.catches and bool(settings.EMBEDDED)


def redis(plan: Plan) -> Service:
    settings.REDIS_SOCKET.unlink(missing_ok=True)  # left by a server that was killed
    command = server_command(
        server_binary(), socket=settings.REDIS_SOCKET, folder=plan.state
    )
    return Service("redis", command)


def catcher(plan: Plan) -> Service:
    options = ["--port", str(plan.mail_port), "--dir", str(settings.MAILBOX_DIR)]
    return Service(
        "catcher", [sys.executable, "-m", "digest.ops.mailbox.catcher", *options]
    )


def web(plan: Plan) -> Service:
    # No access log: paths hold tokens.
    command = f"-m gunicorn digest.wsgi --preload --bind 127.0.0.1:{plan.port}"
    how = "--worker-class gthread --workers 2 --threads 4 --graceful-timeout 5"
    return Service(
        "web", [sys.executable, *command.split(), *how.split(), "--no-control-socket"]
    )


def worker() -> Service:
    # SQLite has one writer, so a second sender would only wait for the first.
    engine = settings.DATABASES["default"]["ENGINE"]
    senders = 1 if engine.endswith("sqlite3") else 2
    command = f"-m celery -A digest worker --pool prefork --concurrency {senders}"
    quiet = "--without-mingle --without-gossip --loglevel INFO"
    return Service(
        "worker", [sys.executable, *command.split(), *quiet.split()], patience=30.0
    )


def beat() -> Service:
    command = "-m celery -A digest beat --loglevel INFO --pidfile="
    return Service("beat", [sys.executable, *command.split()])


def papers(plan: Plan, *, first: bool = False) -> Service:
    """Return the fetch; the `first` one also sends a digest to read, into the mail catcher."""
    source = ["--from", str(plan.papers)] if plan.papers else []
    command = [sys.executable, "manage.py", "first_papers", *source]
    if plan.demo:
        command.append("--demo")
    elif first and plan.may_invent:
        command.append("--first-digest")
    return Service("papers", command, once=True)
