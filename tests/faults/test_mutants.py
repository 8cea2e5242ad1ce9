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
    files = [mutant.file, *(file for file, *_ in mutant.beside)]
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text((ROOT / file).read_text())
    mutant.patch(tmp_path)
    for file in files:
        text = (tmp_path / file).read_text()
        assert text != (ROOT / file).read_text()
        compile(text, file, "exec")
