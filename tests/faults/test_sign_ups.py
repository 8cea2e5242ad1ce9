"""What is said of people who sign up while hosts fail is judged right."""

from collections import Counter

import pytest

from tests.faults import sign_ups
from tests.faults.sign_ups import BROKEN, REFUSED, TAKEN, SignUps, Visit

ANN, BEA = "ann@example.org", "bea@example.org"


@pytest.mark.parametrize(
    ("answer", "kept", "mails", "missed"),
    [
        (TAKEN, {BEA}, {BEA: 1}, []),
        (REFUSED, set(), {}, []),
        (BROKEN, {BEA}, {BEA: 1}, []),  # it was stored, and the answer lost
        (TAKEN, set(), {}, ["sign-ups lost"]),
        (TAKEN, {BEA}, {BEA: 2}, ["sign-ups mailed twice"]),
        (BROKEN, {BEA}, {BEA: 2}, ["sign-ups mailed twice"]),
        (TAKEN, {BEA}, {}, ["sign-ups without their mail"]),
        ("answered 500", set(), {}, ["sign-ups answered neither yes nor no"]),
    ],
)
def test_r38_each_sign_up_during_a_fault_is_judged_by_its_answer(
    answer, kept, mails, missed
) -> None:
    visits = [Visit(ANN, 12.0, 1.5, TAKEN), Visit(BEA, 3.0, 8.0, answer)]
    found = SignUps(visits, healed=10.0, kept=kept | {ANN})
    found.count(Counter(mails | {ANN: 1, "somebody@example.net": 2}))
    assert (found.first, found.slowest) == (3.5, 8.0)
    figures = sign_ups.figures("hosts", [found] * 5, short=True)
    assert [one.name for one in figures if not one.holds] == missed


def test_r38_only_an_asynchronous_standby_may_lose_a_sign_up() -> None:
    lost = [Visit(BEA, 3.0, 0.1, TAKEN), Visit(ANN, 10.5, 0.1, TAKEN)]
    found = SignUps(lost, healed=10.0, kept={ANN}, asynchronous=True)
    found.count(Counter({ANN: 1}))
    assert "2 sign-ups: 2 taken, 1 lost, 0 mailed twice, first taken 0.6 s" in found.words
    assert all(one.holds for one in sign_ups.figures("hosts", [found] * 5, short=True))


def test_r38_nobody_taken_after_a_fault_misses() -> None:
    found = SignUps([Visit(ANN, 10.5, 50.0, REFUSED)], healed=10.0)
    figures = sign_ups.figures("hosts", [found] * 10, short=True)
    missed = [one.name for one in figures if not one.holds]
    assert missed == ["slowest answer to a sign-up", "first sign-up after a fault"]
