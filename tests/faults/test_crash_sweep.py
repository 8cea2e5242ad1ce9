"""The proof's short version: every few system calls of one edition, on this database."""

import shutil

import pytest

from tests.environment import POSTGRES
from tests.faults import crash_sweep, outside
from tests.faults.crash_sweep import READERS
from tests.faults.scene import scene


@pytest.mark.skipif(
    not shutil.which("strace"), reason="needs strace to kill at a system call"
)
@pytest.mark.parametrize("name", ["smtp", "postmark"])
def test_r1_r2_killed_at_any_system_call_nobody_gets_two_and_nobody_is_forgotten(
    name, tmp_path, request
):
    database = request.getfixturevalue("empty_database") if POSTGRES else ""
    with outside.server(name, tmp_path / "outside") as there:
        played = scene(tmp_path, there.env, database=database)
        played.seed(READERS)
        found = crash_sweep.sweep(played, there, step=15)
    assert found.wrong == []
    assert found.points >= 5
