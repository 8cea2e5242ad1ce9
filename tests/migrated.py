"""A database with all tables, made once in a run: scenes begin with a copy of it.

Migrating takes seconds of CPU, and every scene would do the same. That it works is said by
what begins with nothing: tests/migrations, test_up, test_story and the deployment guide.
"""

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import LiteralString
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from tests.environment import DEPLOYMENT, FOLDER, KEYS, ROOT, bare

TEMPLATE = f"migrated_{FOLDER.name}"  # of the run, on a server that may outlive it


def copy_to(path: Path) -> None:
    """Lay out the SQLite file of a STATE_DIR."""
    state = FOLDER / "migrated"
    with alone():
        if not state.exists():
            migrate({"STATE_DIR": str(state)})
    shutil.copy(state / "db.sqlite3", path)


def create(address: str, name: str) -> str:
    """Create a migrated database on the server of this DATABASE_URL. The new one's."""
    state = FOLDER / "migrated-postgres"
    with alone():
        if not state.exists():
            template = empty(address, TEMPLATE)
            migrate(DEPLOYMENT | {"STATE_DIR": str(state), "DATABASE_URL": template})
    execute(address, "CREATE DATABASE {} TEMPLATE {}", name, TEMPLATE)
    return urlsplit(address)._replace(path=f"/{name}").geturl()


def empty(address: str, name: str) -> str:
    """Create a database without a table. Its DATABASE_URL."""
    execute(address, "CREATE DATABASE {}", name)
    return urlsplit(address)._replace(path=f"/{name}").geturl()


def drop(address: str, name: str) -> None:
    execute(address, "DROP DATABASE IF EXISTS {} WITH (FORCE)", name)


def execute(address: str, statement: LiteralString, *names: str) -> None:
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


def migrate(env: dict[str, str]) -> None:
    env = bare() | KEYS | env
    os.makedirs(env["STATE_DIR"])
    command = [sys.executable, "manage.py", "migrate", "-v0", "--skip-checks"]
    subprocess.run(command, cwd=ROOT, env=env, check=True)


@contextmanager
def alone(name: str = "migrated") -> Iterator[None]:
    """One worker of the run at a time."""
    with open(FOLDER / f"{name}.lock", "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
