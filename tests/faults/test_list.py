"""docs/proof.md lists the promises by number; each must have a test that says so."""

import re

from tests.environment import ROOT

SERIES = {"R": range(1, 21), "B": range(1, 7), "A": range(1, 16)}


def listed() -> set[str]:
    rows = re.findall(
        r"^\| ([A-Z]\d[\w, ]*) \|", (ROOT / "docs/proof.md").read_text(), re.MULTILINE
    )
    return {id for row in rows for id in row.split(", ")}


def named() -> set[str]:
    """The ids that names of tests begin with: test_r1_r2_killed… has R1 and R2."""
    found = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        for ids in re.findall(r"def test((?:_[a-z]\d+[a-z]?)+)_", path.read_text()):
            for id in ids.strip("_").split("_"):
                found.add(id[0].upper() + id[1:])
    return found


def test_every_promise_is_listed_and_has_a_test_by_its_number():
    series = {f"{kind}{n}" for kind, numbers in SERIES.items() for n in numbers}
    assert series <= listed()
    assert listed() - named() == set()
