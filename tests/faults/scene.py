"""One scratch deployment: a database with an edition and readers, a server to mail to."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests import migrated
from tests.environment import DEPLOYMENT, KEYS, ROOT, bare
from tests.faults.ledger import Ledger
from tests.shell import Shell, opened


@dataclass
class Scene:
    """Where it plays. `env` is the whole environment of the project's processes."""

    folder: Path
    env: dict[str, str]
    ledger: Ledger
    tree: Path = ROOT
    readers: list[str] = field(default_factory=list)
    day: str = ""
    shell: Shell | None = None  # runs the commands, where there is one

    @property
    def log(self) -> Path:
        return self.folder / "commands.log"

    def manage(self, *command: str) -> str:
        return self.python("manage.py", *command)

    def python(self, *arguments: str, text: str = "") -> str:
        """Run Python in the tree and return what it prints. Raises with its errors."""
        if self.shell:
            done = self.shell.python(*arguments, text=text)
        else:
            done = subprocess.run(
                [sys.executable, *arguments],
                cwd=self.tree,
                env=self.env,
                input=text,
                capture_output=True,
                text=True,
            )
        if done.returncode:
            raise AssertionError(f"{arguments}: {done.stderr.strip()[-2000:]}")
        return done.stdout

    def seed(self, readers: Sequence[str], *options: str) -> None:
        """An edition, and these readers; kept, so that `reset` can go back."""
        self.readers = list(readers)
        printed = self.python(
            "-m", "tests.faults.seed", *options, text=json.dumps(self.readers)
        )
        self.day = printed.split()[-1]
        if isinstance(self.ledger.place, Path):
            self.ledger.ask("PRAGMA wal_checkpoint(TRUNCATE)")
            shutil.copy(self.ledger.place, self.folder / "seeded.sqlite3")

    def reset(self) -> None:
        """As it was before the first delivery."""
        if isinstance(self.ledger.place, Path):
            for suffix in ("-wal", "-shm", "-journal"):
                Path(f"{self.ledger.place}{suffix}").unlink(missing_ok=True)
            shutil.copy(self.folder / "seeded.sqlite3", self.ledger.place)
        else:
            self.ledger.ask("TRUNCATE digest_delivery CASCADE")
            self.ledger.ask("UPDATE digest_edition SET planned_until = NULL, hold = ''")
            self.ledger.ask("UPDATE subscribers_subscriber SET state = 'active'")

    @contextmanager
    def sender(self) -> Iterator[Shell]:
        """A shell for senders: the one that is open, or one of its own."""
        if self.shell:
            yield self.shell
            return
        with opened(self.tree, self.env, self.log) as shell:
            yield shell

    def drain(self, sender: Shell, *, runs: int = 6) -> None:
        """Time passes and the command runs again, until no row is open any more."""
        for _ in range(runs):
            self.ledger.pass_time()
            if not self.ledger.open_rows() and self.ledger.rows():
                return
            sender.run("deliver", "--day", self.day)


def scene(
    folder: Path, env: Mapping[str, str], *, database: str = "", tree: Path = ROOT
) -> Scene:
    """A scene on a migrated SQLite, or on `database`, one of PostgreSQL."""
    folder.mkdir(parents=True, exist_ok=True)
    state = folder / "state"
    state.mkdir(exist_ok=True)
    surroundings = bare() | KEYS | {"STATE_DIR": str(state)}
    surroundings["DJANGO_SETTINGS_MODULE"] = "digest.settings"
    if database:
        surroundings |= DEPLOYMENT | {"DATABASE_URL": database}
        place: Path | str = database
    else:
        place = state / "db.sqlite3"
        if not place.exists():
            migrated.copy_to(place)
    return Scene(folder, {**surroundings, **env}, Ledger(place), tree)


@dataclass(frozen=True)
class Injection:
    """What strace does to a process at its n-th call of one kind, and perhaps from then on."""

    syscall: str
    number: int
    effect: str = "signal=KILL"

    @property
    def words(self) -> str:
        more = "" if self.effect.startswith("signal") else "+"  # a full disk stays full
        return f"inject={self.syscall}:{self.effect}:when={self.number}{more}"

    @contextmanager
    def into(self, pid: int, log: Path) -> Iterator[None]:
        """Threads and children of the process count, too."""
        tracer = subprocess.Popen(
            ["strace", "-f", "-p", str(pid), "-o", str(log)]
            + ["-e", f"trace={self.syscall}", "-e", self.words],
            stderr=subprocess.DEVNULL,
        )
        try:
            yield
        finally:
            tracer.terminate()
            tracer.wait()
