"""`manage.py simulate`: a day of invented readers that leaves nothing behind."""

import os
import re
import secrets
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from tests import postgres
from tests.environment import DEPLOYMENT, KEYS, POSTGRES, ROOT, bare


def started(folder: Path, *words: str, database: str = "") -> subprocess.Popen[str]:
    environment = bare() | KEYS | {"STATE_DIR": str(folder)}
    if database or POSTGRES:
        database = database or os.environ["DATABASE_URL"]
        environment |= DEPLOYMENT | {"DATABASE_URL": database}
    command = [sys.executable, "manage.py", "simulate", *words]
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=pipe, stderr=pipe, text=True
    )


def simulate(
    folder: Path, *words: str, database: str = ""
) -> subprocess.CompletedProcess[str]:
    with started(folder, *words, database=database) as process:
        printed, said = process.communicate()
    return subprocess.CompletedProcess(process.args, process.returncode, printed, said)


def left_behind() -> set[str]:
    if not POSTGRES:
        return set()
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        rows = connection.execute("SELECT datname FROM pg_database").fetchall()
    return {name for (name,) in rows if name.startswith("simulate_")}


def test_a_simulated_day_is_measured_and_leaves_nothing_behind(short_folder: Path) -> None:
    number = 200 + secrets.randbelow(50)
    done = simulate(short_folder, "--subscribers", str(number))
    assert done.returncode == 0, done.stderr
    assert re.search(rf"^planned +{number} rows", done.stdout, re.MULTILINE)
    assert re.search(
        rf"^accepted +{number} mails, {number} received", done.stdout, re.MULTILINE
    )
    assert re.search(r"^ +1,000,000 .* mails/s$", done.stdout, re.MULTILINE)
    assert not list(short_folder.glob("simulate-*")) and not left_behind()


def test_a_day_of_nobody_is_refused_in_one_line(short_folder: Path) -> None:
    done = simulate(short_folder, "--subscribers", "0")
    assert done.returncode == 1
    assert done.stderr == "CommandError: --subscribers and --senders must be 1 or more\n"


@pytest.mark.embedded
def test_a_role_that_may_make_no_database_is_told_which_right_it_needs(
    short_folder: Path,
) -> None:
    with postgres.server() as address:
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute('CREATE ROLE "pa-pers" LOGIN NOCREATEDB')
        ours = address.replace("postgres@", "pa-pers@")
        done = simulate(short_folder, "--subscribers", "20", database=ours)
        with psycopg.connect(address) as connection:
            connection.execute(re.findall("`(.*)`", done.stderr)[0])
        with started(short_folder, "--subscribers", "1000000", database=ours) as again:
            assert again.stdout and again.stdout.readline().startswith("filling")
            again.send_signal(signal.SIGINT)
            again.communicate(timeout=60)
    assert done.returncode == 1
    assert done.stderr.startswith("CommandError: a scratch database needs the right CREATE")
    assert done.stderr.count("\n") == 1 and "error above" not in done.stderr


def test_ctrl_c_ends_a_simulation_at_once_and_leaves_nothing_behind(
    short_folder: Path,
) -> None:
    with started(short_folder, "--subscribers", "1000000") as process:
        assert process.stdout and process.stdout.readline().startswith("filling")
        assert list(short_folder.glob("simulate-*"))
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert said == "CommandError: stopped; nothing of the scratch database is left\n"
    assert not list(short_folder.glob("simulate-*")) and not left_behind()
