"""Providers over HTTP that refuse, stumble and lose their answers: one mail at most."""

from collections import Counter

import pytest

from tests.environment import POSTGRES
from tests.faults import outside
from tests.faults.invariants import broken, repeated
from tests.faults.scene import scene

FAULTS = {
    "a": "accepted",
    "b+http-422": "refused",
    "c+http-keep-garbage": "accepted",
    "d+http-keep-502": "unknown",
    "e+http-drop": "unknown",
    "f+http-keep-drop": "unknown",
    "g": "accepted",
}


@pytest.fixture
def delivered(tmp_path, request):
    """Delivers to readers with these local parts by that provider; states and journal."""

    def deliver(name: str, faults: list[str]):
        database = request.getfixturevalue("empty_database") if POSTGRES else ""
        with outside.provider(tmp_path / "outside", name) as there:
            played = scene(tmp_path, there.env, database=database)
            played.seed([f"{fault}@example.org" for fault in faults])
            with played.sender() as sender:
                assert sender.run("deliver", "--day", played.day) == 0
            rows = played.ledger.rows()
            states = {row.address.partition("@")[0]: row.state for row in rows}
            wrong = broken(
                [row for row in rows if row.state != "pending"],
                there.arrived(),
                readers=[row.address for row in rows if row.state != "pending"],
                most_unknown=len(faults),
            )
            return states, there, wrong + repeated(there.requests())

    return deliver


def test_a2_a6_a9_a10_each_fault_is_judged_by_its_cause_and_spoils_no_other(delivered):
    states, there, wrong = delivered("postmark", list(FAULTS))
    assert states == FAULTS
    assert wrong == []
    assert set(Counter(one["rcpt"][0] for one in there.requests()).values()) == {1}


def test_a3_a_lost_answer_is_asked_for_again_by_the_same_key_and_the_mail_taken_once(
    delivered,
):
    states, there, wrong = delivered(
        "resend", ["a", "b+http-keep-dropx1", "c+http-429", "d+http-keep-502"]
    )
    assert states == {
        "a": "accepted",
        "b+http-keep-dropx1": "accepted",
        "c+http-429": "pending",
        "d+http-keep-502": "unknown",
    }
    assert wrong == []
    asked = [one for one in there.requests() if one["rcpt"][0].startswith("b")]
    assert len(asked) == 2 and asked[0]["key"] == asked[1]["key"] is not None
    assert len(there.arrived()) == 3
