"""A database made before the migrations were squashed comes to the tables of a new one."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.environment import ROOT

pytestmark = pytest.mark.embedded

# Made by the code of then: readers (active, pending, left), an edition with deliveries, a
# vote, receipts, an open request, a notice.
BEFORE = Path(__file__).with_name("before_release.sql")
KEPT = [
    "digest_block",
    "digest_delivery",
    "digest_deliveryevent",
    "digest_edition",
    "digest_fence",
    "digest_paper",
    "digest_vote",
    "subscribers_consentevent",
    "subscribers_notice",
    "subscribers_request",
    "subscribers_schedule",
    "subscribers_subscriber",
    "subscribers_subscription",
    "subscribers_suppression",
    "subscribers_topic",
]

RENAMED = {"digest_fence": "digest_highwater"}
RESTS = """
UPDATE digest_highwater SET failures = 3, resting_until = '2026-04-17 12:00:00';
INSERT INTO digest_domainrest VALUES ('gmail.test', 7, 1, NULL, '2026-04-17 11:00:00');
"""


def migrated(folder: Path) -> sqlite3.Connection:
    """Migrate the database in that state folder, in a process of its own."""
    command = [sys.executable, "manage.py", "migrate", "-v0", "--no-input"]
    env = os.environ | {"STATE_DIR": str(folder)}
    env.pop("DATABASE_URL", None)
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return sqlite3.connect(folder / "db.sqlite3")


def counts(database: sqlite3.Connection) -> dict[str, int]:
    """Table → rows, by the table's name of today."""
    found = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    tables = {name for (name,) in found.fetchall()}
    named = {table: table if table in tables else RENAMED[table] for table in KEPT}
    return {
        table: database.execute(f"SELECT count(*) FROM {name}").fetchone()[0]
        for table, name in named.items()
    }


def columns(database: sqlite3.Connection) -> dict[str, set[tuple[str, str, int]]]:
    """Table → (column, type, whether NULL is refused)."""
    tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    return {
        table: {
            (row[1], row[2], row[3])
            for row in database.execute(f"PRAGMA table_xinfo({table})")
        }
        for (table,) in tables.fetchall()
        if table.startswith(("digest_", "subscribers_"))
    }


def indexes(database: sqlite3.Connection) -> set[str]:
    """Indexes with a name of ours; Django's own names hold a hash of the table's history."""
    rows = database.execute("SELECT name FROM sqlite_master WHERE type = 'index'")
    prefixes = ("delivery_", "subscriber_", "request_", "notice_")
    return {name for (name,) in rows.fetchall() if name.startswith(prefixes)}


def test_o7_an_old_database_migrates_without_loss_to_what_a_new_one_has(tmp_path) -> None:
    old_folder, new_folder = tmp_path / "old", tmp_path / "new"
    for folder in (old_folder, new_folder):
        folder.mkdir()
    with closing(sqlite3.connect(old_folder / "db.sqlite3")) as before:
        before.executescript(BEFORE.read_text())
        before.executescript(RESTS)
        held = counts(before)
    assert held["subscribers_subscriber"] == 4 and held["digest_delivery"] > 0
    with closing(migrated(old_folder)) as old, closing(migrated(new_folder)) as new:
        assert counts(old) == held
        assert columns(old) == columns(new)
        assert indexes(old) == indexes(new)
        rests = old.execute(
            "SELECT name, failures, rests FROM digest_backoff ORDER BY name"
        )
        assert rests.fetchall() == [("*", 3, 3), ("gmail.test", 7, 1)]
        asked = old.execute("SELECT preferences FROM subscribers_request").fetchone()[0]
        assert "timezone" in asked, "what was asked for is still known"
        for database in (old, new):
            assert database.execute("PRAGMA foreign_key_check").fetchall() == []
    with closing(migrated(old_folder)) as again:
        assert counts(again) == held
