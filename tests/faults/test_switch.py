"""The proof's short version: relays change in mid-edition, at a few system calls."""

import shutil

import pytest

from tests.faults import switch
from tests.faults.crash_sweep import READERS


@pytest.mark.skipif(
    not shutil.which("strace"), reason="needs strace to kill at a system call"
)
@pytest.mark.parametrize(
    "course",
    [
        pytest.param(course, marks=[] if number == 3 else [pytest.mark.nightly])
        for number, course in enumerate(switch.COURSES)
    ],
)
def test_o8_killed_while_relays_change_nothing_goes_by_two(course, tmp_path, play):
    with switch.servers(tmp_path) as there:
        played = play(READERS, **there.env)
        found = switch.sweep(played, there, course, step=60)
    assert found.wrong == []
    assert found.points >= 3 and found.most_unknown <= 1
