"""What first users met, in a few seconds each; more by `python -m tests.faults adversity`."""

import pytest

from tests.environment import ROOT
from tests.faults import adversity


@pytest.mark.embedded
@pytest.mark.parametrize(
    "scenario",
    [
        pytest.param(adversity.set_back, id="r30"),
        pytest.param(adversity.set_back_elsewhere, id="r36"),
        pytest.param(adversity.turned_slow, id="p3a"),
        pytest.param(adversity.not_planned_in_time, id="t30"),
        pytest.param(adversity.damaged, id="r31"),
    ],
)
def test_r30_p3a_t30_r31_nothing_breaks(scenario, tmp_path):
    assert scenario(ROOT, tmp_path) == []
