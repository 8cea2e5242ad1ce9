"""The check of the proof must not rot: each deliberate bug still fits the code.

Whether each is caught, and nothing is without it, takes minutes: `python -m tests.faults
mutants` says it. What the bugs break has quick tests of its own.
"""

import pytest

from tests.environment import ROOT
from tests.faults.mutants import MUTANTS, Mutant


@pytest.mark.embedded
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_each_deliberate_bug_still_fits_the_code(mutant: Mutant, tmp_path):
    copy = tmp_path / mutant.file
    copy.parent.mkdir(parents=True)
    copy.write_text((ROOT / mutant.file).read_text())
    mutant.patch(tmp_path)
    assert copy.read_text() != (ROOT / mutant.file).read_text()
    compile(copy.read_text(), mutant.file, "exec")
