"""What CI holds on to: the way a mail is made stays far cheaper than the obvious one."""

import pytest

from digest.ops import scratch
from tests.benchmarks.building import DAY, cpu_ratio, djangos, ours


@pytest.mark.django_db
def test_a_mail_costs_a_small_part_of_what_templates_and_mime_cost():
    edition = scratch.add_edition(DAY, papers=50)
    assert len(djangos(edition)(1)) < 1.2 * len(ours(edition)(1))
    # About 200 on a quiet machine; the wide margin is for a busy one.
    assert cpu_ratio(edition) > 50
