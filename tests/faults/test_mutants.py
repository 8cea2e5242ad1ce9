"""The check of the proof must not rot: each deliberate bug still fits the code."""

import pytest

from tests.environment import ROOT
from tests.faults import author, mutants
from tests.faults.mutants import MUTANTS, Mutant


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_each_deliberate_bug_still_fits_the_code(mutant: Mutant, tmp_path):
    copy = tmp_path / mutant.file
    copy.parent.mkdir(parents=True)
    copy.write_text((ROOT / mutant.file).read_text())
    mutant.patch(tmp_path)
    assert copy.read_text() != (ROOT / mutant.file).read_text()
    compile(copy.read_text(), mutant.file, "exec")


@pytest.mark.embedded
@pytest.mark.parametrize(
    "scenario",
    [
        pytest.param(mutants.ses_reply_lost, id="a1 SES' client sends once"),
        pytest.param(mutants.left_in_the_meantime, id="p3 who left gets nothing more"),
        pytest.param(mutants.ill_relay, id="r32 a relay that refuses us"),
        pytest.param(mutants.killed_after_acceptance, id="r1 killed after acceptance"),
        pytest.param(author.play, id="m30 an author who reads the mail"),
        pytest.param(mutants.author_of_an_unsafe_mail, id="m30 an unsafe mail is held"),
    ],
)
def test_nothing_breaks_without_the_bug(scenario: mutants.Scenario, tmp_path):
    assert scenario(ROOT, tmp_path) == []
