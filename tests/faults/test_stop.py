"""A stop in the middle of an edition: what is in flight is finished, nothing new is begun."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest

from tests.environment import ROOT
from tests.faults import outside

DELIVER = [sys.executable, "manage.py", "deliver"]
WORKER = [
    "-m",
    "celery",
    "-A",
    "digest",
    "worker",
    "--pool",
    "prefork",
    "--concurrency",
    "1",
    "--without-mingle",
]
WAKE = "from digest.tasks import send; send.delay()"


@pytest.mark.embedded
@pytest.mark.parametrize("kind", ["worker", "command"])
def test_r12_sigterm_finishes_what_is_in_flight_and_claims_nothing_new(
    kind, tmp_path, play, redis_server
):
    with outside.smtp(tmp_path / "outside") as there:
        env = there.env | {"SEND_CONNECTIONS": "1", "SUBMIT_GROUP": "1"}
        env["REDIS_URL"] = redis_server
        readers = [f"r{number}+dot-slow@example.org" for number in range(12)]
        played = play(readers, "--plan", **env)
        command = DELIVER if kind == "command" else [sys.executable, *WORKER]
        with subprocess.Popen(command, cwd=ROOT, env=played.env) as process:
            if kind == "worker":
                played.manage("shell", "-v0", "-c", WAKE)
            until = time.monotonic() + 60
            while not there.arrived():
                assert time.monotonic() < until, "no mail came"
                time.sleep(0.05)
            process.send_signal(signal.SIGTERM)
            began = time.monotonic()
            assert process.wait(30) == 0
            assert time.monotonic() - began < 15
    states = Counter(row.state for row in played.ledger.rows())
    assert states["accepted"] == len(there.arrived()) < 12
    assert states == {"accepted": states["accepted"], "pending": 12 - states["accepted"]}


def test_r2_r12_a_second_signal_in_a_hand_over_leaves_no_row_open_for_ever(play, tmp_path):
    """Ctrl-C, a time limit, an error of ours: the mail under way becomes unknown."""
    readers = ["a+dot-waitx1@example.org", "b@example.org"]
    with outside.smtp(tmp_path / "outside") as there:
        env = {"SEND_CONNECTIONS": "1", "SUBMIT_GROUP": "1"}
        played = play(readers, "--plan", **there.env, **env)
        with played.sender() as sender:
            pid = sender.start("deliver", "--day", played.day)
            until = time.monotonic() + 60
            while not (there.folder / "waiting").exists():
                assert time.monotonic() < until, "no mail came"
                time.sleep(0.01)
            os.kill(pid, signal.SIGINT)
            assert sender.wait(pid) != 0
            (there.folder / "go").touch()
            played.drain(sender)
        states = {row.address[0]: row.state for row in played.ledger.rows()}
    assert states == {"a": "unknown", "b": "accepted"}
