"""The proof's short version: every few system calls of one edition, on this database."""

import shutil

import pytest

from tests.faults import crash_sweep, outside
from tests.faults.crash_sweep import READERS


@pytest.mark.skipif(
    not shutil.which("strace"), reason="needs strace to kill at a system call"
)
@pytest.mark.parametrize(
    "name",
    [
        "smtp",
        pytest.param("postmark", marks=[pytest.mark.embedded, pytest.mark.nightly]),
    ],
)
def test_r1_r2_killed_at_any_system_call_nobody_gets_two_and_nobody_is_forgotten(
    name, tmp_path, play
):
    with outside.server(name, tmp_path / "outside") as there:
        played = play(READERS, **there.env)
        found = crash_sweep.sweep(played, there, step=15)
    assert found.wrong == []
    assert found.points >= 5
