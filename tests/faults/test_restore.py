"""The restore drill: a real backup, put back, with commands alone."""

import os
import shutil
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests import postgres
from tests.faults import outside
from tests.faults.ledger import Ledger
from tests.faults.outside import Outside
from tests.faults.scene import Scene


@dataclass(frozen=True)
class Drill:
    scene: Scene
    there: Outside
    backup: Path


@pytest.mark.embedded
def test_g12_r14_a_backup_that_is_put_back_sends_nothing_twice(play, tmp_path):
    with outside.smtp(tmp_path / "outside") as there:
        played = play(["ann@example.org", "bob@example.org"], "--plan", **there.env)
        ledger, backup = played.ledger, tmp_path / "backup.sqlite3"
        later = ledger.instant(minutes=600)
        one = "UPDATE digest_delivery SET not_before = ? WHERE id = (SELECT max(id) FROM digest_delivery)"
        ledger.ask(one, [later])
        played.manage("deliver", "--day", played.day)
        ledger.ask("VACUUM INTO ?", [str(backup)])
        ledger.pass_time()
        played.manage("deliver", "--day", played.day)
        assert len(there.arrived()) == 2

        assert isinstance(ledger.place, Path)
        for suffix in ("-wal", "-shm"):
            Path(f"{ledger.place}{suffix}").unlink(missing_ok=True)
        shutil.copy(backup, ledger.place)
        ledger.pass_time()
        assert ledger.open_rows() == 1
        with pytest.raises(AssertionError, match="quarantine --since"):
            played.manage("deliver", "--day", played.day)
        played.manage("quarantine", "--since", f"{played.day}T00:00Z", "--unsent")
        played.manage("deliver", "--day", played.day)
        assert len(there.arrived()) == 2
        assert sorted(row.state for row in ledger.rows()) == ["accepted", "unknown"]
        assert ledger.integrity() == "ok"


# As a sender says that it is alive.
BEAT = """
from digest.deliveries import heartbeats, ledger
heartbeats.beat(heartbeats.Loop.SEND, ledger.database_now())
"""


def programs() -> str:
    """The PATH with PostgreSQL's programs of the tests' own server first."""
    return f"{postgres.binaries()}:{os.environ['PATH']}"


@pytest.fixture
def drill(play, tmp_path) -> Iterator[Drill]:
    """Two readers: one was sent her mail before the backup, the other after it."""
    with outside.smtp(tmp_path / "outside") as there:
        env = {**there.env, "PATH": programs()}
        played = play(["ann@example.org", "bob@example.org"], "--plan", **env)
        one = "UPDATE digest_delivery SET not_before = ? WHERE id = (SELECT max(id) FROM digest_delivery)"
        played.ledger.ask(one, [played.ledger.instant(minutes=600)])
        played.manage("deliver", "--day", played.day)
        backup = tmp_path / "backup.tar"
        printed = played.manage("backup", str(backup))
        assert str(backup) in printed
        played.ledger.pass_time()
        played.manage("deliver", "--day", played.day)
        assert len(there.arrived()) == 2
        yield Drill(played, there, backup)


def rest(ledger: Ledger) -> None:
    """As if workers and beat had been stopped a minute ago."""
    ledger.ask("UPDATE digest_heartbeat SET at = ?", [ledger.instant(minutes=-2)])


def test_g12_r14_a_backup_is_restored_and_nothing_goes_out_twice(drill: Drill) -> None:
    played, ledger = drill.scene, drill.scene.ledger
    ledger.ask("CREATE TABLE newer_than_the_backup (id integer)")
    rest(ledger)
    printed = played.manage("restore", str(drill.backup), "--yes", "--unsent")
    assert "senders may start" in printed
    if not isinstance(ledger.place, Path):  # on SQLite the whole file is the backup's
        assert not ledger.ask("SELECT to_regclass('newer_than_the_backup')")[0][0]
    ledger.pass_time()
    played.manage("deliver", "--day", played.day)
    assert len(drill.there.arrived()) == 2
    assert sorted(row.state for row in ledger.rows()) == ["accepted", "unknown"]
    assert ledger.integrity() == "ok"
    rest(ledger)
    played.manage("restore", str(drill.backup), "--yes", "--unsent")  # a second time
    assert sorted(row.state for row in ledger.rows()) == ["accepted", "unknown"]


def test_g12_a_restore_changes_nothing_unless_it_may_and_can(
    drill: Drill, tmp_path: Path
) -> None:
    played, whole = drill.scene, drill.backup.read_bytes()
    assert stat.S_IMODE(drill.backup.stat().st_mode) == 0o600
    played.manage("shell", "-c", BEAT)
    with pytest.raises(AssertionError, match="the loops send ran within the last minute"):
        played.manage("restore", str(drill.backup), "--yes")
    rest(played.ledger)
    with pytest.raises(AssertionError, match="nothing was changed"):
        played.python("manage.py", "restore", str(drill.backup), text="yes\n")
    with pytest.raises(AssertionError, match="exists: name a new file"):
        played.manage("backup", str(drill.backup))
    damaged = tmp_path / "damaged.tar"
    for content in (b"", whole[:700], whole[: len(whole) // 2], b"x" * 20_000):
        damaged.write_bytes(content)
        with pytest.raises(AssertionError, match="Error: "):
            played.manage("restore", str(damaged), "--yes")
    with pytest.raises(AssertionError, match="there is no file"):
        played.manage("restore", str(tmp_path / "none.tar"), "--yes")
    assert [row.state for row in played.ledger.rows()] == ["accepted", "accepted"]


def test_g12_a_database_is_backed_up_before_it_is_migrated(drill: Drill, tmp_path: Path):
    """The release is newer already, as between an update and its migrations."""
    drill.scene.ledger.ask("ALTER TABLE digest_fence DROP COLUMN is_replicated")
    drill.scene.manage("backup", str(tmp_path / "older.tar"))


# Who knows how far ahead mails were sent: the replaced database, this machine, the operator.
def lose_file(played: Scene) -> None:
    (played.folder / "state" / "sent-until").unlink()


def lose_database(played: Scene) -> None:
    played.ledger.ask("ALTER TABLE digest_delivery RENAME TO lost")


def lose_both(played: Scene) -> None:
    lose_file(played)
    lose_database(played)


@pytest.mark.parametrize("lost", [lose_file, lose_database, lose_both])
def test_r14_what_was_sent_ahead_of_its_hour_is_not_sent_again(
    play, tmp_path: Path, lost: Callable[[Scene], None]
) -> None:
    """A backup has no rows of what comes due after it and went out by `--now` alone."""
    with outside.smtp(tmp_path / "outside") as there:
        env = {**there.env, "PATH": programs()}
        played = play(["ann@example.org", "bob@example.org"], **env)
        ledger, tomorrow = played.ledger, datetime.now(UTC) + timedelta(days=1)
        when = "days = ?, send_hour = ?, timezone = 'UTC'"
        values = [1 << tomorrow.weekday(), tomorrow.hour]
        ledger.ask(f"UPDATE subscribers_schedule SET {when}", values)
        backup = tmp_path / "backup.tar"
        played.manage("backup", str(backup))
        instant = f"{tomorrow:%Y-%m-%dT%H:%MZ}"
        assert "2 accepted" in played.manage("deliver", "--now", instant)
        rest(ledger)
        lost(played)
        told = ["--until", instant] if lost is lose_both else []
        printed = played.manage("restore", str(backup), "--yes", "--unsent", *told)
        assert "2 deliveries are unknown" in printed
        ahead = "SELECT id FROM digest_edition WHERE planned_until > ?"
        assert not ledger.ask(ahead, [ledger.instant(minutes=1)])  # who joins is planned
        assert "0 accepted" in played.manage("deliver", "--now", instant)  # its hour comes
        assert len(there.arrived()) == 2
        assert [row.state for row in ledger.rows()] == ["unknown", "unknown"]
