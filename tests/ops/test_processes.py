"""The supervisor: what dies comes back, what keeps dying is named, nothing is left."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from digest.ops.stack.supervisor import Service, ServiceError, Stack, reap

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)  # a mark of our own"]


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    made = Stack(
        logs=tmp_path / "logs", record=tmp_path / "pids", cwd=tmp_path, env=os.environ
    )
    yield made
    made.stop()


@pytest.fixture
def sleeper() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    made: list[subprocess.Popen[bytes]] = []
    *python, code = SLEEP
    command = [*python, f"print('up', flush=True); {code}"]

    def start(*, leads: bool) -> subprocess.Popen[bytes]:
        made.append(
            subprocess.Popen(command, start_new_session=leads, stdout=subprocess.PIPE)
        )
        # Popen returns from the exec a little before `ps` can see the command line.
        assert made[-1].stdout
        assert made[-1].stdout.readline() == b"up\n"
        return made[-1]

    yield start
    for process in made:
        process.kill()
        process.communicate()


def test_a_service_that_keeps_dying_is_given_up_with_the_place_of_its_log(
    stack: Stack,
) -> None:
    said: list[str] = []
    stack.start(Service("broken", [sys.executable, "-c", "raise SystemExit('why')"]))
    with pytest.raises(ServiceError, match=r"broken stopped 5 times.*broken\.log"):
        while True:
            stack.watch(said.append)
            time.sleep(0.02)
    assert said == ["broken stopped unexpectedly and is started again."] * 4
    assert stack.log_of("broken").read_text().splitlines() == ["why"] * 5


def test_a_command_that_is_not_there_is_one_sentence(stack: Stack) -> None:
    with pytest.raises(ServiceError, match="cannot start ghost: No such file"):
        stack.start(Service("ghost", ["/nowhere/ghost"]))


def test_stop_ends_a_service_that_ignores_sigterm_and_what_it_started(
    stack: Stack, tmp_path: Path
) -> None:
    code = (
        "import os, signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"child = subprocess.Popen({SLEEP!r})\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    stack.start(Service("stubborn", [sys.executable, "-c", code], patience=0.2))
    while not (text := stack.log_of("stubborn").read_text()).endswith("\n"):
        time.sleep(0.02)
    stack.stop()
    until = time.monotonic() + 10
    while alive(int(text)):
        assert time.monotonic() < until
        time.sleep(0.02)
    assert not (tmp_path / "pids").exists()


def alive(pid: int) -> bool:
    """Whether it runs: an orphan may stay a zombie where nobody collects it."""
    line = ["ps", "-o", "state=", "-p", str(pid)]
    state = subprocess.run(line, capture_output=True, text=True).stdout.strip()
    return state not in {"", "Z"}


def test_what_a_service_printed_that_runs_once_is_handed_over_once(stack: Stack) -> None:
    stack.start(
        Service("once", [sys.executable, "-c", "print('a'); print('b')"], once=True)
    )
    while (end := stack.finished()) is None:
        time.sleep(0.02)
    assert end == (True, ["a", "b"])
    assert stack.finished() is None


def test_the_log_of_the_last_run_is_kept_beside_the_new_one(stack: Stack) -> None:
    stack.log_of("quiet").write_text("before")
    stack.start(Service("quiet", SLEEP))
    assert stack.log_of("quiet").read_text() == ""
    assert stack.logs.joinpath("quiet.log.1").read_text() == "before"


def test_left_over_services_of_a_killed_run_are_ended(
    sleeper: Callable[..., subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    left = sleeper(leads=True)
    record = tmp_path / "pids"
    record.write_text(json.dumps({"worker": left.pid}))
    assert reap(record, marks=["a mark of our own"]) == 1
    assert left.wait(10) == -9
    assert not record.exists()
    assert reap(record, marks=["a mark of our own"]) == 0


def test_what_a_dead_service_had_started_is_ended_too(tmp_path: Path) -> None:
    code = f"import subprocess; print(subprocess.Popen({SLEEP!r}, stdout=-3).pid)"
    leader = subprocess.Popen(
        [sys.executable, "-c", code], start_new_session=True, stdout=subprocess.PIPE
    )
    orphan = int(leader.communicate()[0])
    assert alive(orphan)
    record = tmp_path / "pids"
    record.write_text(json.dumps({"web": leader.pid}))
    assert reap(record, marks=["a mark of our own"]) == 1
    assert not alive(orphan)


def test_a_process_that_only_got_the_number_of_a_service_is_left_alone(
    sleeper: Callable[..., subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    foreign, no_leader = sleeper(leads=True), sleeper(leads=False)
    record = tmp_path / "pids"
    record.write_text(json.dumps({"worker": foreign.pid}))
    assert reap(record, marks=["another mark"]) == 0
    record.write_text(json.dumps({"worker": no_leader.pid}))
    assert reap(record, marks=["a mark of our own"]) == 0
    record.write_text("cut o")
    assert reap(record, marks=[""]) == 0
    assert foreign.poll() is None
    assert no_leader.poll() is None
