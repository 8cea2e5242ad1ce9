"""Beat and workers minutes apart from the database: nobody misses a mail, nobody gets two."""

import pytest

from tests.faults import clocks, outside
from tests.faults.clocks import Off
from tests.faults.invariants import broken

READERS = [f"r{number}@example.org" for number in range(4)]


@pytest.mark.parametrize(
    "off",
    [
        pytest.param(Off(beat=-600, worker=600), marks=pytest.mark.embedded),
        pytest.param(Off(later=-7200), marks=pytest.mark.embedded),
    ],
    ids=lambda off: off.name,
)
def test_t31_clocks_that_are_apart_stop_no_tick(off, play, tmp_path, short_folder):
    with outside.smtp(tmp_path / "outside") as there:
        env = {"REDIS_URL": f"unix://{short_folder / 'redis.sock'}"}
        played = play(READERS, "--plan", **there.env, **env)
        with clocks.running(short_folder, played.env, off):
            first = clocks.seconds_to_all(played, len(READERS))
            assert first < clocks.MOST_SECONDS, "no mail"
            # And it goes on: another tick, after the clock was set.
            later = "SELECT at FROM digest_heartbeat WHERE loop = 'tick'"
            before = played.ledger.ask(later)
            assert clocks.until(lambda: played.ledger.ask(later) != before), "no tick"
        rows, arrived = played.ledger.rows(), there.arrived()
    assert broken(rows, arrived, readers=READERS, most_unknown=0) == []
