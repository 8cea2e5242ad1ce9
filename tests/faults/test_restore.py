"""The restore drill: a real backup, put back, with commands alone."""

import shutil
from pathlib import Path

import pytest

from tests.faults import outside


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
