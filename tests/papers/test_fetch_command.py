import json
import os
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest
import time_machine
from _pytest.capture import CaptureResult
from django.core.management import CommandError, call_command

from digest.models import Paper
from tests.source_server import entry

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.django_db


def fetch(capsys: pytest.CaptureFixture[str], *args: str) -> CaptureResult[str]:
    call_command("fetch", *args)
    return capsys.readouterr()


def test_a_day_is_fetched_and_counted(source, capsys):
    source.days["2026-04-17"] = [entry(n) for n in range(22)]
    args = ("--day", "2026-04-17")
    assert fetch(capsys, *args).out == (
        "fetched 22 papers of 2026-04-17: 22 new, 0 updated, 0 skipped\n"
    )
    source.days["2026-04-17"][3] = entry(3, upvotes=300)
    assert fetch(capsys, *args).out == (
        "fetched 22 papers of 2026-04-17: 0 new, 1 updated, 0 skipped\n"
    )


def test_the_same_is_told_to_scripts(source, capsys):
    source.days["2026-04-17"] = [entry(1), entry(2, title=None)]
    told = json.loads(fetch(capsys, "--day", "2026-04-17", "--json").out)
    counts = {"papers": 1, "new": 1, "updated": 0, "skipped": 1, "from_arxiv": 0}
    assert told == {"days": ["2026-04-17"]} | counts


def test_each_skipped_entry_is_one_safe_line(source, capsys):
    source.days["2026-04-17"] = [entry(1), entry(2, title=None), entry(3, id="\x1b[2J\nx")]
    shown = fetch(capsys, "--day", "2026-04-17")
    assert shown.out.endswith("1 new, 0 updated, 2 skipped\n")
    first, second = shown.err.splitlines()
    assert "entry 2 ('2604.00002'): it has no title" in first
    assert r"'\x1b[2J\nx' is not an arXiv id" in second and "\x1b[2J" not in second


def test_without_a_day_it_is_the_newest_complete_one_or_the_one_before(source, capsys):
    source.days["2026-04-16"] = [entry(1, day="2026-04-16")]
    source.newest = date(2026, 4, 16)
    with time_machine.travel("2026-04-17T08:30:00+00:00"):
        assert "1 papers of 2026-04-16" in fetch(capsys).out
    assert [query["date"] for query in source.asked] == ["2026-04-17", "2026-04-16"]


def test_a_file_is_stored_with_all_its_days_or_one(tmp_path, capsys):
    path = tmp_path / "days.jsonl"
    days = ["2026-04-16", "2026-04-17", "2026-04-17"]
    path.write_text("\n".join(json.dumps(entry(n, day=d)) for n, d in enumerate(days)))
    one = fetch(capsys, "--from", str(path), "--day", "2026-04-17").out
    assert one == "fetched 2 papers of 2026-04-17: 2 new, 0 updated, 0 skipped\n"
    assert fetch(capsys, "--from", str(path)).out == (
        "fetched 3 papers of 2 days, the newest 2026-04-17: 1 new, 0 updated, 0 skipped\n"
    )


def test_a_file_without_the_day_says_which_days_it_has(capsys, tmp_path):
    path = tmp_path / "days.json"
    days = ["2026-04-17", "2026-04-15", "2026-04-16"]
    path.write_text(json.dumps([entry(n, day=day) for n, day in enumerate(days, 1)]))
    message = "has papers of 2026-04-15 to 2026-04-17, and none of 2026-04-18$"
    with pytest.raises(CommandError, match=message):
        fetch(capsys, "--from", str(path), "--day", "2026-04-18")
    path.write_text(json.dumps([entry(1, day="2026-04-17")]))
    with pytest.raises(CommandError, match="papers of 2026-04-17, and none of 2026-04-18"):
        fetch(capsys, "--from", str(path), "--day", "2026-04-18")
    assert not Paper.objects.exists()


@pytest.mark.parametrize("day", ["tomorrow", "2026-13-40", "17.04.2026", "", "\0"])
def test_a_day_that_is_none_is_refused(day):
    with pytest.raises(CommandError, match="is not a date; use 2026-04-17"):
        call_command("fetch", "--day", day)


@pytest.mark.parametrize("fault", ["error", "html", "rate limit", "cut off", "future"])
def test_a_source_in_trouble_is_one_line_and_stores_nothing(source, fault):
    source.fault = fault
    with pytest.raises(CommandError, match="paper source") as raised:
        call_command("fetch", "--day", "2026-04-17")
    assert "\n" not in str(raised.value)
    assert not Paper.objects.exists()


@pytest.mark.embedded
@pytest.mark.parametrize(
    ("args", "line"),
    [
        (["--day", "nope"], "CommandError: 'nope' is not a date; use 2026-04-17"),
        (["--from", "/nowhere.json"], "CommandError: cannot read /nowhere.json: "),
        (["--from", "FILE"], "CommandError: the database is not migrated: run `python"),
    ],
)
def test_the_operator_sees_one_line_and_no_traceback(tmp_path, args, line):
    file = tmp_path / "day.json"
    file.write_text(json.dumps([entry()]))
    ran = subprocess.run(
        [
            sys.executable,
            "manage.py",
            "fetch",
            *[a.replace("FILE", str(file)) for a in args],
        ],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "STATE_DIR": str(tmp_path / "state")},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 1
    assert len(ran.stderr.splitlines()) == 1
    assert ran.stderr.startswith(line)
