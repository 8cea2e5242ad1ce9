"""docs/proof.md lists the promises by number; each must have a test that says so."""

import re

from tests.environment import ROOT

NUMBERS = {"R": 20, "B": 6, "A": 15}


def listed() -> set[str]:
    rows = re.findall(
        r"^\| ([A-Z0-9, ]+) \|", (ROOT / "docs/proof.md").read_text(), re.MULTILINE
    )
    return {id for row in rows for id in row.split(", ")}


def named() -> set[str]:
    """The ids that names of tests begin with: test_r1_r2_killed… has R1 and R2."""
    found = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        for ids in re.findall(r"def test((?:_[a-z]\d+)+)_", path.read_text()):
            found |= set(ids.upper().strip("_").split("_"))
    return found


def test_every_promise_is_listed_and_has_a_test_by_its_number():
    every = {f"{kind}{n}" for kind, most in NUMBERS.items() for n in range(1, most + 1)}
    assert listed() == every
    assert every - named() == set()
