"""SQLite under sign-ups and kills, in a few seconds; longer by `python -m tests.faults`."""

import pytest

from tests.faults import outside
from tests.faults.invariants import broken
from tests.faults.storm import storm


@pytest.mark.embedded
def test_r17_sign_ups_while_senders_are_killed_leave_the_file_whole(play, tmp_path):
    with outside.smtp(tmp_path / "outside") as there:
        readers = [f"r{number}@example.org" for number in range(400)]
        played = play(readers, "--plan", SUBMIT_GROUP="10", **there.env)
        found = storm(played, tmp_path, kills=10)
        assert found.wrong == []
        assert found.answers[303] > 5  # 50 a second are asked for, on a quiet machine
        rows = played.ledger.rows()
        assert (
            broken(rows, there.arrived(), readers=readers, most_unknown=10 * 2 * 10) == []
        )
