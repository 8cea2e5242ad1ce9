"""Senders that sleep, multiply or have a wrong clock: each reader gets one mail at most."""

import os
import signal
import time

import pytest

from tests.faults import crowd, outside
from tests.faults.invariants import broken
from tests.faults.outside import Outside
from tests.faults.scene import Scene

ONE_BY_ONE = {"SEND_CONNECTIONS": "1", "SUBMIT_GROUP": "1"}


def wait_for(there: Outside, name: str) -> None:
    until = time.monotonic() + 60
    while not (there.folder / name).exists():
        assert time.monotonic() < until, f"the server never made {name!r}"
        time.sleep(0.01)


def states(played: Scene) -> dict[str, str]:
    return {row.address.partition("@")[0]: row.state for row in played.ledger.rows()}


def test_r7_a_sender_frozen_past_its_lease_sends_nothing_that_another_has_sent(
    play, tmp_path
):
    """Frozen with one hand-over under way (after its intent) and two rows claimed only."""
    with outside.smtp(tmp_path / "outside") as there:
        readers = ["a+dot-waitx1@example.org", "b@example.org", "c@example.org"]
        played = play(readers, **there.env, **ONE_BY_ONE)
        with played.sender() as sender:
            frozen = sender.start("deliver", "--day", played.day)
            wait_for(there, "waiting")
            os.kill(frozen, signal.SIGSTOP)
            played.drain(sender)
            after_drain = states(played)
            (there.folder / "go").touch()
            os.kill(frozen, signal.SIGCONT)
            sender.wait(frozen)
            played.drain(sender)
        assert after_drain == {"a+dot-waitx1": "unknown", "b": "accepted", "c": "accepted"}
        # The reply that came late says what became of the mail, by the same lease token.
        assert set(states(played).values()) == {"accepted"}
        assert sorted(there.arrived()) == readers


@pytest.mark.parametrize(
    ("senders", "connections"),
    [
        pytest.param(1, 32, id="1 x 32", marks=pytest.mark.embedded),
        pytest.param(8, 1, id="8 x 1"),
    ],
)
def test_r3_r16_as_many_senders_or_connections_as_you_like_change_no_promise(
    senders, connections, play, tmp_path
):
    count = 100
    with outside.smtp(tmp_path / "outside") as there:
        env = {"SEND_CONNECTIONS": str(connections), "SUBMIT_GROUP": str(crowd.GROUP)}
        played = play(crowd.readers(count), "--plan", **there.env, **env)
        crowd.send(played, there, senders=senders)
        rows, arrived = played.ledger.rows(), there.arrived()
    most = crowd.bound(count, connections=connections, kills=1)
    assert broken(rows, arrived, readers=played.readers, most_unknown=most) == []
    assert {row.state for row in rows if "rcpt-550" in row.address} <= {
        "refused",
        "unknown",
    }


def test_t6_a_sender_whose_clock_is_wrong_sends_when_the_database_says(play, tmp_path):
    with outside.smtp(tmp_path / "outside") as there:
        played = play(["a@example.org", "b@example.org"], "--plan", **there.env)
        early = "UPDATE digest_delivery SET not_before = ? WHERE subscriber_id ="
        one = " (SELECT id FROM subscribers_subscriber WHERE email = 'b@example.org')"
        played.ledger.ask(early + one, [played.ledger.instant(minutes=5)])
        with played.sender() as sender:
            for minutes in (-10, 10, 0):
                command = ["deliver", "--day", played.day]
                assert sender.run(*command, minutes=minutes) == 0
                assert states(played) == {"a": "accepted", "b": "pending"}
        assert there.arrived() == ["a@example.org"]
