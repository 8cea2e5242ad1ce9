"""Several hosts, of which one fails and one is replaced by its standby; all by the command."""

import pytest

from tests.faults import hosts


@pytest.mark.embedded
@pytest.mark.nightly
@pytest.mark.skipif(bool(hosts.lacking()), reason=hosts.lacking())
def test_r38_hosts_and_links_that_fail_cost_time_and_no_second_mail(tmp_path):
    figures = hosts.figures(tmp_path, short=True)
    assert figures
    assert [one for one in figures if not one.holds] == []
