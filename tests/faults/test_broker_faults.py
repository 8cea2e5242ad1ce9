"""Redis is disposable: whatever happens to it costs time. All faults by the command."""

import pytest

from tests.faults import broker, outside
from tests.faults.invariants import broken


@pytest.mark.embedded
def test_r5_a_broker_emptied_and_then_full_costs_less_than_two_minutes_and_no_mail(
    play, tmp_path, short_folder
):
    readers = [f"r{number}@example.org" for number in range(30)]
    with outside.smtp(tmp_path / "outside") as there:
        env = {"REDIS_URL": f"unix://{short_folder / 'redis.sock'}"}
        played = play(readers, "--plan", **there.env, **env)
        broker.hold(played)
        with broker.running(short_folder, played.env, senders=1) as one:
            names = ["restarted empty", "full"]
            caught = list(broker.suffer(played, one, names, seconds=2))
        assert [one.fault for one in caught] == names
        assert max(one.seconds for one in caught) < broker.MOST_SECONDS
        rows, arrived = played.ledger.rows(), there.arrived()
    assert broken(rows, arrived, readers=readers, most_unknown=0) == []
