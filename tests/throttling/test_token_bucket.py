"""Token buckets: never more than was allowed, whoever asks at once."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from digest.throttling.rate import Grant, Limit, pour, take
from tests import make
from tests.race import at_once

pytestmark = pytest.mark.django_db
NOW = make.NOON
TEN = Limit("ten", 10.0)


def later(seconds: float):
    return NOW + timedelta(seconds=seconds)


def taken(limit: Limit, *instants: float, wanted: int = 100) -> list[int]:
    return [take(limit, wanted, now=later(at)).tokens for at in instants]


def test_m19_a_bucket_gives_its_rate_and_no_burst():
    assert taken(TEN, 0.0) == [0], "a bucket that nobody knows is empty"
    assert taken(TEN, 1.0, 1.0, 1.5, 2.0, 60.0) == [10, 0, 5, 5, 10]


def test_m19_who_gets_nothing_is_told_how_long_to_wait():
    assert take(TEN, 100, now=NOW) == Grant(0, 0.5)
    assert take(TEN, 100, now=later(0.4)).wait == pytest.approx(0.1)
    assert take(TEN, 100, now=later(0.5)) == Grant(5)


def test_m19_less_than_a_token_a_second_is_a_rate_too():
    slow = Limit("slow", 0.1)
    assert taken(slow, 0, 9, 10, 11, 20, 45) == [0, 0, 1, 0, 1, 1]


def test_what_is_given_back_can_be_taken_again_and_no_more():
    taken(TEN, 0.0)
    assert taken(TEN, 1.0) == [10]
    take(TEN, -4, now=later(1.0))
    assert taken(TEN, 1.0, wanted=4) == [4]
    take(TEN, -1000, now=later(1.0))
    assert taken(TEN, 1.0, 1.0) == [10, 0]


def test_a_clock_set_back_an_hour_closes_no_bucket():
    taken(TEN, 3600.0)
    assert taken(TEN, 3601.0, 0.0, 1.0) == [10, 0, 10]


def test_buckets_are_apart():
    other = Limit("another", 10.0)
    taken(TEN, 0.0), taken(other, 0.0)
    assert taken(TEN, 1.0) + taken(other, 1.0) == [10, 10]


def test_a_look_that_brings_nothing_writes_nothing(django_assert_num_queries):
    taken(TEN, 0.0)
    with django_assert_num_queries(1):
        assert taken(TEN, 0.1) == [0]


moves = st.lists(st.tuples(st.floats(0, 3), st.integers(-20, 600)), min_size=1, max_size=30)


@given(moves=moves, rate=st.floats(0.05, 5000), holds=st.sampled_from([1.0, 15.0]))
def test_m19_whatever_is_asked_no_more_than_the_rate_is_given(moves, rate, holds):
    limit = Limit("any", rate, holds)
    full_at, passed, given = NOW + timedelta(microseconds=limit.depth), 0.0, 0
    for wait, wanted in moves:
        passed += wait
        full_at, grant = pour(full_at, limit, max(wanted, 0), now=later(passed))
        given += grant.tokens
        assert given <= passed * rate + limit.depth / limit.cost + 1e-3
        assert grant.tokens <= max(wanted, 0)


@pytest.mark.django_db(transaction=True)
def test_m19_senders_at_once_get_the_rate_together():
    race = Limit("race", 1000.0)

    def run():
        return sum(take(race, 7, now=later(step / 100)).tokens for step in range(40))

    take(race, 1, now=NOW)
    assert 0 < sum(at_once(*[run] * 3)) <= 390
