"""A claim is a lease that lists rows: who owns them, who pays, and what ends it."""

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection, connections, transaction

from digest.deliveries import control, ledger, sweep
from digest.deliveries.plan import plan
from digest.models import Delivery, Edition, Lease
from digest.throttling.domains import Wait
from digest.transport.outcomes import NOT_BEGUN, Outcome, Verdict
from tests import make
from tests.environment import POSTGRES

pytestmark = pytest.mark.django_db

NOW = make.NOON
MINUTE = timedelta(minutes=1)
# After a claim is over, but not yet the hand-overs of its lease; after both.
OVER, ALL_OVER = NOW + 3 * MINUTE, NOW + 16 * MINUTE
ACCEPTED = Outcome(Verdict.ACCEPTED, "accepted", "250 ok")
LATER = Outcome(Verdict.RETRY, "temporary refusal", "450 later")
LOST = Outcome(Verdict.UNKNOWN, "no reply after dot")
RESTS = Delivery.Reason.DOMAIN_RESTS


@pytest.fixture
def due() -> Callable[[int], list[ledger.Claimed]]:
    """Makes rows for that many readers and claims them."""

    def make_due(count: int) -> list[ledger.Claimed]:
        make.edition({make.paper(1): {"graphs": 1.0}})
        make.readers([f"r{number}@example.org" for number in range(count)], "graphs")
        assert plan(NOW) == count
        return claim()

    return make_due


def claim(now=NOW) -> list[ledger.Claimed]:
    return ledger.claim(now, limit=10)


def intend(rows: list[ledger.Claimed], now=NOW) -> set[int]:
    return ledger.intend(rows, {row.delivery_id: "0" for row in rows}, now=now)


def told() -> list[tuple[str, int]]:
    """State and attempts of each row, in their order."""
    return list(Delivery.objects.order_by("pk").values_list("state", "attempts"))


def ids(rows: list[ledger.Claimed]) -> list[int]:
    return [row.delivery_id for row in rows]


def test_a_claim_writes_no_row(due):
    def everything() -> list[tuple[object, ...]]:
        return list(Delivery.objects.order_by("pk").values_list())

    rows = due(2)
    ledger.finish(rows[0].lease_token)
    before = everything()
    rows = claim()
    assert everything() == before
    assert Lease.objects.get().deliveries == ",".join(map(str, ids(rows)))
    assert claim() == []


def test_a_lease_that_was_rescued_while_its_owner_ranked_writes_nothing(due):
    """Its rows are pending again, as they were all the time: the lease tells."""
    rows = due(2)
    assert ledger.rescue_expired(OVER) == (2, 0)
    assert intend(rows, OVER) == set()
    assert told() == [("pending", 1)] * 2
    ledger.finish(rows[0].lease_token, waits(rows, OVER + MINUTE))
    assert set(Delivery.objects.values_list("reason", "not_before")) == {
        ("", Delivery.objects.all()[0].due_at)
    }
    assert ids(claim(OVER)) == ids(rows)


def waits(rows: list[ledger.Claimed], until) -> dict[int, Wait]:
    return {row.delivery_id: Wait(until, RESTS) for row in rows}


def test_a_rescue_takes_what_has_no_intent_and_leaves_what_has(due):
    first, second = rows = due(2)
    assert intend([first]) == {first.delivery_id}
    assert ledger.rescue_expired(OVER) == (1, 0)
    assert ledger.rescue_expired(OVER) == (0, 0)
    assert intend([second], OVER) == set()
    (other,) = claim(OVER)
    assert (other.delivery_id, other.attempts) == (second.delivery_id, 1)
    assert ledger.record({first.delivery_id: ACCEPTED}, rows, now=OVER) == 1
    assert intend([other], OVER) == {second.delivery_id}
    assert ledger.record({second.delivery_id: ACCEPTED}, rows, now=OVER) == 0
    ledger.finish(rows[0].lease_token)
    assert told() == [("accepted", 1), ("submitting", 1)]
    assert Lease.objects.get().pk == other.lease_token


def test_what_a_dead_owner_had_not_looked_at_pays_and_nothing_else_does(due):
    """Or a row that kills its sender would do so for ever."""
    rows = due(6)
    accepted, later, returned, lost, open_, untouched = ids(rows)
    intend(rows[:5])
    outcomes = {accepted: ACCEPTED, later: LATER, returned: NOT_BEGUN, lost: LOST}
    assert ledger.record(outcomes, rows, now=NOW) == 4
    assert ledger.rescue_expired(OVER) == (1, 0)
    assert dict(Delivery.objects.values_list("pk", "attempts")) == {
        accepted: 1,
        later: 1,
        returned: 0,
        lost: 1,
        open_: 0,
        untouched: 1,
    }
    assert ids(claim()) == [returned, untouched]
    assert ledger.rescue_expired(ALL_OVER) == (2, 1)
    assert Delivery.objects.get(pk=open_).reason == "crashed in flight"
    assert Lease.objects.count() == 0


def test_what_came_back_in_an_earlier_lease_pays_when_it_is_claimed_again(due):
    rows = due(1)
    intend(rows)
    ledger.record({rows[0].delivery_id: NOT_BEGUN}, rows, now=NOW)
    ledger.finish(rows[0].lease_token)
    assert ids(claim()) == ids(rows)
    assert ledger.rescue_expired(OVER) == (1, 0)
    assert told() == [("pending", 1)]


def test_what_is_given_back_is_anybodys_at_once_and_costs_nothing(due):
    rows = due(3)
    intend(rows[:1])
    ledger.give_back(rows[0].lease_token)
    assert intend(rows[1:]) == set()
    assert ids(claim()) == ids(rows[1:])
    assert ledger.rescue_expired(NOW + MINUTE) == (0, 0)
    assert told() == [("submitting", 0), ("pending", 0), ("pending", 0)]
    assert ledger.rescue_expired(ALL_OVER) == (2, 1)
    assert told() == [("unknown", 0), ("pending", 1), ("pending", 1)]


def test_a_lease_that_was_given_back_before_any_intent_goes(due):
    rows = due(1)
    ledger.give_back(rows[0].lease_token)
    assert ledger.rescue_expired(NOW) == (0, 0)
    assert not Lease.objects.exists()


def test_what_is_put_off_waits_until_then_and_pays_nothing(due):
    rows = due(3)
    intend(rows[:1])
    until = NOW + 5 * MINUTE
    ledger.finish(rows[0].lease_token, waits(rows[:2], until))
    assert ids(claim()) == ids(rows[2:])
    assert ids(claim(until)) == ids(rows[1:2])
    assert told() == [("submitting", 0), ("pending", 0), ("pending", 0)]
    reasons = Delivery.objects.order_by("pk").values_list("reason", flat=True)
    assert list(reasons) == ["", RESTS, ""]


def test_what_was_refused_for_now_is_nobodys_before_its_time_or_under_the_lease(due):
    rows = due(1)
    intend(rows)
    ledger.record({rows[0].delivery_id: LATER}, rows, now=NOW)
    at = Delivery.objects.get().not_before
    assert claim(at) == []
    ledger.finish(rows[0].lease_token)
    assert claim(at - MINUTE) == []
    assert len(claim(at)) == 1


def cancelled() -> None:
    control.cancel(Edition.objects.get(), "wrong", now=NOW)


def too_late() -> None:
    Delivery.objects.update(expires_at=NOW)
    sweep.expire(NOW)


def quarantined() -> None:
    control.quarantine(NOW - timedelta(days=1), now=NOW)


def held() -> None:
    control.pause(Edition.objects.get(), "wait")


@pytest.mark.each_row
@pytest.mark.parametrize(
    ("act", "state", "then"),
    [
        (cancelled, "skipped", "skipped"),
        (too_late, "expired", "expired"),
        (quarantined, "unknown", "unknown"),
        (held, "pending", "pending"),
    ],
)
def test_what_is_claimed_ends_like_what_is_not(due, act, state, then):
    rows = due(2)
    act()
    assert told() == [(state, 0)] * 2
    assert intend(rows) == set()
    assert told() == [(then, 0)] * 2
    ledger.finish(rows[0].lease_token)
    assert claim() == []


# -- beside the previous release, whose claims are a state of each row ----------------------


def test_what_the_previous_release_has_claimed_is_its_own_until_its_lease_is_over(due):
    rows = due(2)
    theirs = Delivery.objects.filter(pk=rows[0].delivery_id)
    theirs.update(state="claimed", lease_token=rows[0].lease_token)
    assert claim() == []
    assert intend(rows[:1]) == set()
    assert ledger.rescue_expired(OVER) == (2, 0)
    assert told() == [("pending", 1)] * 2


def test_what_the_previous_release_takes_out_of_a_lease_is_sent_by_one_of_both(due):
    """It knows of no lists. Whoever commits the intent has the row."""
    first, second, third = rows = due(3)
    theirs = Delivery.objects.filter(pk=first.delivery_id)
    theirs.update(state="claimed", lease_token="theirs")
    assert intend(rows[:2]) == {second.delivery_id}
    assert theirs.filter(state="claimed").update(state="submitting") == 1
    theirs = Delivery.objects.filter(pk__in=ids(rows), state="pending")
    assert list(theirs.values_list("pk", flat=True)) == [third.delivery_id]
    assert ledger.rescue_expired(ALL_OVER) == (1, 1)
    assert told() == [("submitting", 0), ("unknown", 0), ("pending", 1)]


# -- at once ---------------------------------------------------------------------------------


def while_open[T](first: Callable[[], object], second: Callable[[], T]) -> T:
    """What the second returns, which begins while the transaction of the first is open."""
    begun, found = threading.Event(), list[T]()

    def work() -> None:
        try:
            begun.set()
            found.append(second())
        finally:
            connections.close_all()

    thread = threading.Thread(target=work)
    with transaction.atomic():
        first()
        thread.start()
        assert begun.wait(10)
        thread.join(0.3)
        assert thread.is_alive(), "it did not wait"
    thread.join(30)
    return found[0]


@pytest.mark.django_db(transaction=True)
def test_a_rescue_waits_for_an_intent_and_leaves_it(due):
    rows = due(2)
    extended = while_open(
        lambda: intend(rows[:1], OVER), lambda: ledger.rescue_expired(OVER)
    )
    assert extended == (1, 0)
    assert told() == [("submitting", 0), ("pending", 1)]


@pytest.mark.django_db(transaction=True)
def test_an_intent_waits_for_a_rescue_and_writes_nothing(due):
    rows = due(2)
    intended = while_open(lambda: ledger.rescue_expired(OVER), lambda: intend(rows, OVER))
    assert intended == set()
    assert told() == [("pending", 1)] * 2


@pytest.mark.django_db(transaction=True)
def test_a_claim_waits_for_the_one_before_it_and_sees_its_lease(due):
    ledger.finish(due(3)[0].lease_token)
    assert len(while_open(lambda: ledger.claim(NOW, limit=2), claim)) == 1


@pytest.mark.each_row
@pytest.mark.skipif(not POSTGRES, reason="SQLite writes one transaction after the other")
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("end", [sweep.expire, control.skip_cancelled])
def test_whoever_ends_many_rows_waits_for_no_sender(due, end):
    """They take the same rows in another order: each would wait for the other."""
    first, _ = due(2)
    Delivery.objects.update(expires_at=NOW + MINUTE)
    written, go = threading.Event(), threading.Event()

    def send() -> None:
        try:
            with transaction.atomic():
                intend([first])
                written.set()
                assert go.wait(20)
        finally:
            connection.close()

    sender = threading.Thread(target=send)
    sender.start()
    try:
        assert written.wait(20)
        Edition.objects.update(hold="cancelled")
        assert end(OVER) == 1
    finally:
        go.set()
        sender.join(20)
    assert told()[0] == ("submitting", 0) and told()[1][0] in {"expired", "skipped"}
