"""Back up the database into one file, and put it back.

The file is a tar archive: `about.json` (the instant, in UTC, the kind of database and the
release) and `database` (a copy of SQLite's file, or pg_dump's custom format). A backup may be
made while everything runs. It holds addresses: encrypt it before it leaves the machine. Keys
are not in it.
"""

import json
import os
import shutil
import sqlite3
import subprocess
import tarfile
import tempfile
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

from django.db import DatabaseError, connection
from django.db.backends.postgresql.client import DatabaseClient

from digest.deliveries import fencing, ledger
from digest.models import Heartbeat
from digest.settings import state_folder
from digest.sql import postgres
from digest.variables import for_child

ABOUT, DATABASE = "about.json", "database"
REMEDY = (
    "install PostgreSQL's client of at least the server's version (on Debian and Ubuntu: "
    "`apt install postgresql-client`, or postgresql-client-N of apt.postgresql.org)"
)
# What pg_dump says of a newer server, and pg_restore of a newer pg_dump.
TOO_OLD = ("server version mismatch", "unsupported version")
AWAKE = timedelta(seconds=60)  # a loop that has turned since then is alive


class BackupError(Exception):
    """No backup, or no restore; the message says why and what to do."""


@dataclass(frozen=True)
class About:
    at: str  # ISO 8601, UTC; everything committed before is in the backup
    kind: str  # sqlite or postgresql


def back_up(path: Path) -> About:
    """Write a backup to `path`, which must not exist. Raises BackupError."""
    if path.exists():
        raise BackupError(f"{path} exists: name a new file")
    if not path.parent.is_dir():
        raise BackupError(f"there is no folder {path.parent}")
    with suppress(DatabaseError):  # of a release before this one, not migrated yet
        fencing.begin()
    about = About(ledger.database_now().astimezone(UTC).isoformat(), kind())
    draft = path.with_name(f".{path.name}.part")
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".backup-") as folder:
        copy = Path(folder) / DATABASE
        if postgres():
            run("pg_dump", "--format=custom", "--no-owner", "--no-acl", f"--file={copy}")
        else:
            with closing(sqlite3.connect(copy)) as target:
                connection.ensure_connection()
                connection.connection.backup(target)
        with (
            open(draft, "wb", opener=for_us_alone) as file,
            tarfile.open(fileobj=file, mode="w") as archive,
        ):
            text = json.dumps(asdict(about)).encode()
            entry = tarfile.TarInfo(ABOUT)
            entry.size = len(text)
            archive.addfile(entry, BytesIO(text))
            archive.add(copy, DATABASE)
            archive.close()
            file.flush()
            os.fsync(file.fileno())
    draft.replace(path)
    return about


def for_us_alone(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def read_about(path: Path) -> About:
    """Return what the backup says of itself. Raises BackupError unless it fits here."""
    try:
        with tarfile.open(path) as archive:
            archive.getmember(DATABASE)
            text = archive.extractfile(ABOUT)
            about = About(**json.load(text)) if text else None
    except FileNotFoundError:
        raise BackupError(f"there is no file {path}") from None
    except (OSError, tarfile.TarError, KeyError, ValueError, TypeError) as error:
        why = f"{error}".partition(":\n")[
            0
        ]  # tarfile says on lines of their own what it tried
        raise BackupError(f"{path} is not a whole backup: {why}") from None
    if about is None or about.kind != kind():
        found = about.kind if about else "nothing"
        raise BackupError(f"{path} is a backup of {found}, and DATABASE_URL names {kind()}")
    return about


def instant(about: About) -> datetime:
    return datetime.fromisoformat(about.at)


def awake() -> list[str]:
    """Return the loops that run on the database now: a restore wants none."""
    try:
        since = ledger.database_now() - AWAKE
        return sorted(Heartbeat.objects.filter(at__gt=since).values_list("loop", flat=True))
    except DatabaseError:  # empty or broken: that is what restores are for
        return []


def put_back(path: Path) -> None:
    """Replace everything in the database by the backup's contents. Raises BackupError."""
    # Not in /tmp, which lies in memory on many systems.
    with tempfile.TemporaryDirectory(dir=state_folder(), prefix=".restore-") as folder:
        with tarfile.open(path) as archive:
            archive.extract(DATABASE, folder, filter="data")
        copy = Path(folder) / DATABASE
        if postgres():
            restore_postgres(copy)
        else:
            restore_sqlite(copy)
    connection.close()


def restore_sqlite(copy: Path) -> None:
    """Copy all pages in one transaction: killed half-way, the former database is whole."""
    with closing(sqlite3.connect(copy)) as source:
        fault = source.execute("PRAGMA quick_check").fetchone()[0]
        if fault != "ok":
            raise BackupError(f"the database in the backup is damaged: {fault}")
        connection.ensure_connection()
        source.backup(connection.connection)


def restore_postgres(copy: Path) -> None:
    """Drop our tables, also those that are newer than the backup, and load it."""
    run("pg_restore", "--list", f"{copy}", connected=False)  # before anything is dropped
    with connection.cursor() as cursor:
        names = connection.introspection.table_names(cursor)
        if names:
            listed = ", ".join(map(connection.ops.quote_name, names))
            cursor.execute(f"DROP TABLE {listed} CASCADE")
    options = ("--no-owner", "--no-acl", "--clean", "--if-exists", "--exit-on-error")
    run("pg_restore", *options, "--single-transaction", f"{copy}")


def run(program: str, *options: str, connected: bool = True) -> None:
    """Run one of PostgreSQL's programs, `connected` to our database. Raises BackupError."""
    if not shutil.which(program):
        raise BackupError(f"{program} is not on the PATH: {REMEDY}")
    # Django's own reading of DATABASE_URL; the password goes by the environment.
    words, env = DatabaseClient.settings_to_cmd_args_env(connection.settings_dict, [])
    where = [*words[1:-1], f"--dbname={words[-1]}"] if connected else []
    done = subprocess.run(
        [program, *where, *options],
        env=for_child(**(env or {})),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["no reason given"]
        too_old = any(words in line for line in said[:2] for words in TOO_OLD)
        reason = " ".join([*said[:2], f"({REMEDY})"]) if too_old else said[0]
        raise BackupError(f"{program} failed: {reason}")


def kind() -> str:
    return "postgresql" if postgres() else "sqlite"
