"""Planners that multiply, zones that wait, connections that are cut: order and number hold."""

import re
import shutil
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import groupby

import pytest

from tests.environment import POSTGRES
from tests.faults import outside
from tests.faults.invariants import broken
from tests.faults.test_senders import ONE_BY_ONE, wait_for

CUT = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


def test_r11_three_schedulers_at_once_and_a_clock_set_back_make_one_row_each(
    play, tmp_path
):
    readers = [f"r{number}@example.org" for number in range(40)]
    with outside.smtp(tmp_path / "outside") as there:
        played = play(readers, **there.env)
        with played.sender() as sender:
            command = ["deliver", "--day", played.day]
            running = [sender.start(*command) for _ in range(3)]
            assert [sender.wait(pid) for pid in running] == [0, 0, 0]
            an_hour_ago = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
            assert sender.run(*command, "--now", an_hour_ago) == 0
            assert sender.run(*command, minutes=-60) == 0
        rows, arrived = played.ledger.rows(), there.arrived()
    assert broken(rows, arrived, readers=readers, most_unknown=0) == []
    assert len(arrived) == len(readers)


def test_r18_the_oldest_due_go_first_and_a_domain_that_refuses_starves_nobody(
    play, tmp_path
):
    zones = {"tokyo": 180, "berlin": 120, "york": 60}
    readers = [
        f"{zone}{number}{'+rcpt-450' if number % 3 == 0 else ''}@example.org"
        for number in range(9)
        for zone in reversed(zones)
    ]
    with outside.smtp(tmp_path / "outside") as there:
        played = play(readers, "--plan", **there.env, **ONE_BY_ONE)
        for zone, minutes in zones.items():
            people = "(SELECT id FROM subscribers_subscriber WHERE email LIKE ?)"
            played.ledger.ask(
                f"UPDATE digest_delivery SET not_before = ? WHERE subscriber_id IN {people}",
                [played.ledger.instant(minutes=-minutes), f"{zone}%"],
            )
        with played.sender() as sender:
            assert sender.run("deliver", "--day", played.day) == 0
        zone_of = [re.split(r"\d", address)[0] for address in there.arrived()]
    assert [zone for zone, _ in groupby(zone_of)] == list(zones)
    assert len(zone_of) == 18


@pytest.mark.skipif(not POSTGRES, reason="a connection to cut: PostgreSQL only")
def test_r6_a_database_connection_cut_in_a_hand_over_costs_no_mail(play, tmp_path):
    readers = ["a+dot-waitx1@example.org", "b@example.org", "c@example.org"]
    with outside.smtp(tmp_path / "outside") as there:
        played = play(readers, "--plan", **there.env, **ONE_BY_ONE)
        with played.sender() as sender:
            pid = sender.start("deliver", "--day", played.day)
            wait_for(there, "waiting")
            played.ledger.ask(CUT)
            (there.folder / "go").touch()
            sender.wait(pid)
            played.drain(sender)
        states = Counter(row.state for row in played.ledger.rows())
        # The reply that the database could not take waited on disk.
        assert states == {"accepted": 3}
        assert sorted(there.arrived()) == readers


@pytest.mark.embedded
@pytest.mark.skipif(not shutil.which("strace"), reason="needs strace")
def test_a15_without_any_variable_no_connection_leaves_the_machine(play, tmp_path):
    played = play(["a@example.org"], "--plan")
    calls = tmp_path / "calls"
    tracer = ["strace", "-f", "-o", str(calls), "-e", "trace=connect,sendto"]
    env = {name: value for name, value in played.env.items() if name != "SOURCE_URL"}
    subprocess.run(
        [*tracer, sys.executable, "manage.py", "deliver", "--day", played.day],
        cwd=played.tree,
        env=env,
        check=False,  # nobody answers at the catcher's port, so it ends with 1
        capture_output=True,
    )
    tried = [line for line in calls.read_text().splitlines() if "sin" in line]
    assert [line for line in tried if "127.0.0.1" in line]
    assert [line for line in tried if "127.0.0.1" not in line and "::1" not in line] == []
