"""Lives of readers in any order, a few each run; more by `python -m tests.faults life`."""

import os

import hypothesis
import pytest
from hypothesis.stateful import run_state_machine_as_test

from tests.faults.life import Life

EXAMPLES = int(os.environ.get("LIVES", "3"))
# What broke is told as it came: to make it shorter would take minutes.
NO_SHRINKING = set(hypothesis.Phase) - {hypothesis.Phase.shrink, hypothesis.Phase.explain}


@pytest.mark.django_db
def test_i1_i2_i4_i5_i7_i9_hold_whatever_readers_do_in_whatever_order(sink, settings):
    settings.MAILER_URL = sink.url

    class LifeOnThisServer(Life):
        pass

    LifeOnThisServer.sink = sink
    how = hypothesis.settings(
        max_examples=EXAMPLES,
        stateful_step_count=25,
        deadline=None,
        phases=NO_SHRINKING,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    run_state_machine_as_test(LifeOnThisServer, settings=how)
