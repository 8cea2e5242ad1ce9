"""The processes of a deployment, each of which can be killed and comes back."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests import postgres
from tests.environment import ROOT
from tests.ports import free_port

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

    @property
    def log(self) -> Path:
        return self.folder / f"{self.name}.log"

    def start(self, tree: Path = ROOT) -> None:
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                self.command,
                cwd=self.folder if self.user else tree,
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


def redis(folder: Path, socket: Path, env: dict[str, str]) -> Part:
    from digest.ops.stack.broker import server_binary, server_command

    command = server_command(server_binary(), socket=socket, folder=folder)
    return Part("redis", command, env, folder)


def worker(folder: Path, env: dict[str, str], *, senders: int) -> Part:
    how = ["worker", "--pool", "prefork", "--concurrency", str(senders)]
    quiet = ["--without-mingle", "--without-gossip", "--loglevel", "INFO"]
    return Part("worker", [*CELERY, *how, *quiet], env, folder)


def beat(folder: Path, env: dict[str, str], *, number: int = 1) -> Part:
    return Part(f"beat {number}", [*CELERY, "beat", "--pidfile="], env, folder)


def web(folder: Path, env: dict[str, str]) -> tuple[Part, int]:
    """The web server as `up` runs it, and its port."""
    port = free_port()
    command = f"-m gunicorn digest.wsgi --preload --bind 127.0.0.1:{port}"
    how = "--worker-class gthread --workers 2 --threads 4 --no-control-socket"
    words = [sys.executable, *command.split(), *how.split()]
    return Part("web", words, env | {"SITE_URL": f"http://127.0.0.1:{port}"}, folder), port


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
        signal.SIGQUIT,  # an immediate shutdown: recovery from the log at the next start
        process,
    )
    try:
        yield part
    finally:
        part.kill()
        shutil.rmtree(home, ignore_errors=True)
