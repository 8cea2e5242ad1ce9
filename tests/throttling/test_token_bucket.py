"""Token buckets: the same in Redis and in the database, and never more than was allowed."""

import subprocess
import sys
import tempfile
from datetime import timedelta
from pathlib import Path

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from digest.models import Bucket
from digest.throttling import token_bucket
from digest.throttling.token_bucket import Grant, Limit, pour, take
from tests import embedded_redis, make
from tests.environment import FOLDER
from tests.race import at_once

pytestmark = pytest.mark.django_db
NOW = make.NOON
TEN = Limit("ten", 10.0)


def later(seconds: float):
    return NOW + timedelta(seconds=seconds)


@pytest.fixture(scope="module")
def redis_of_module():
    """One Redis for all examples of a property."""
    with embedded_redis.server(Path(tempfile.mkdtemp(prefix="t-", dir=FOLDER))) as (url, _):
        yield url


@pytest.fixture
def in_redis(settings, redis_server):
    settings.REDIS_URL = redis_server
    return redis.Redis.from_url(redis_server)


@pytest.fixture
def in_database(settings):
    settings.REDIS_URL = "redis://127.0.0.1:9/0"


@pytest.fixture(params=["in_redis", "in_database"])
def anywhere(request):
    return request.getfixturevalue(request.param)


def taken(limit: Limit, *instants: float, wanted: int = 100) -> list[int]:
    return [take(limit, wanted, now=later(at)).tokens for at in instants]


def test_m19_a_bucket_gives_its_rate_and_no_burst(anywhere):
    assert taken(TEN, 0.0) == [0], "a bucket that nobody knows is empty"
    assert taken(TEN, 1.0, 1.0, 1.5, 2.0, 60.0) == [10, 0, 5, 5, 10]


def test_m19_who_gets_nothing_is_told_how_long_to_wait(anywhere):
    assert take(TEN, 100, now=NOW) == Grant(0, 0.5)
    assert take(TEN, 100, now=later(0.4)).wait == pytest.approx(0.1)
    assert take(TEN, 100, now=later(0.5)) == Grant(5)


def test_m19_less_than_a_token_a_second_is_a_rate_too(anywhere):
    slow = Limit("slow", 0.1)
    assert taken(slow, 0, 9, 10, 11, 20, 45) == [0, 0, 1, 0, 1, 1]


def test_what_is_given_back_can_be_taken_again_and_no_more(anywhere):
    taken(TEN, 0.0)
    assert taken(TEN, 1.0) == [10]
    take(TEN, -4, now=later(1.0))
    assert taken(TEN, 1.0, wanted=4) == [4]
    take(TEN, -1000, now=later(1.0))
    assert taken(TEN, 1.0, 1.0) == [10, 0]


def test_a_clock_set_back_an_hour_closes_no_bucket(anywhere):
    taken(TEN, 3600.0)
    assert taken(TEN, 3601.0, 0.0, 1.0) == [10, 0, 10]


def test_buckets_are_apart(anywhere):
    other = Limit("another", 10.0)
    taken(TEN, 0.0), taken(other, 0.0)
    assert taken(TEN, 1.0) + taken(other, 1.0) == [10, 10]


def test_t6_a_flushed_redis_gives_nothing_away(in_redis):
    taken(TEN, 0.0)
    assert taken(TEN, 1.0) == [10]
    in_redis.flushall()
    assert taken(TEN, 1.0, 2.0) == [0, 10]


@pytest.mark.parametrize("value", ["", "nan", "inf", "-inf", "no number", "9" * 400])
def test_a_value_that_is_no_number_costs_a_second_at_most(in_redis, value):
    in_redis.set("pace:ten", value)
    got = taken(TEN, 0.0, 1.0, 2.0)
    assert max(got) == 10 and sum(got) <= 30
    in_redis.delete("pace:ten")
    in_redis.lpush("pace:ten", value)
    assert taken(TEN, 2.0, 3.0)[1] == 10, "the database keeps the rate meanwhile"


def test_while_redis_is_away_the_database_keeps_the_rate(settings, redis_server):
    settings.REDIS_URL = redis_server
    taken(TEN, 0.0)
    assert taken(TEN, 1.0) == [10]
    settings.REDIS_URL = "redis://127.0.0.1:9/0"
    assert taken(TEN, 1.0, 2.0, 2.5) == [0, 10, 5], "the other bucket starts empty"
    settings.REDIS_URL = redis_server
    assert taken(TEN, 2.5, 3.0, 60.9) == [0, 5, 10], "and all stay with it for a while"
    assert (
        Bucket.objects.get().in_use_until == NOW + timedelta(seconds=1) + token_bucket.AWAY
    )
    assert taken(TEN, 61.0, 61.0, 62.0) == [10, 0, 10]


def test_a_redis_that_comes_and_goes_lets_through_a_bucket_more_a_minute(
    settings, redis_server
):
    there, away = redis_server, "redis://127.0.0.1:9/0"
    given = 0
    for second in range(130):
        for address in (away, there):  # one sender reaches it, the other never
            settings.REDIS_URL = address
            given += take(TEN, 100, now=later(second)).tokens
    assert 10 * 120 <= given <= 10 * 130 + 4 * 10


moves = st.lists(st.tuples(st.floats(0, 3), st.integers(-20, 600)), min_size=1, max_size=30)


@given(moves=moves, rate=st.floats(0.05, 5000), holds=st.sampled_from([1.0, 15.0]))
def test_m19_whatever_is_asked_no_more_than_the_rate_is_given(moves, rate, holds):
    limit = Limit("any", rate, holds)
    full_at, moment, given = None, 0.0, 0
    for wait, wanted in moves:
        moment += wait * token_bucket.SECOND
        full_at, grant = pour(full_at, limit, max(wanted, 0), moment=moment)
        given += grant.tokens
        assert (
            given <= (moment / token_bucket.SECOND) * rate + limit.depth / limit.cost + 1e-3
        )
        assert grant.tokens <= max(wanted, 0)


@given(moves=moves, rate=st.floats(0.05, 5000))
def test_redis_and_python_say_the_same(redis_of_module, moves, rate):
    limit = Limit("twin", rate)
    run = token_bucket.script(redis_of_module)
    run.registered_client.delete("pace:twin")
    full_at, moment = None, token_bucket.microseconds(NOW)
    for wait, wanted in moves:
        moment += round(wait * token_bucket.SECOND)
        full_at, grant = pour(full_at, limit, wanted, moment=moment)
        full_at = round(full_at)
        tokens, _ = run(keys=["pace:twin"], args=[moment, limit.cost, limit.depth, wanted])
        assert abs(tokens - grant.tokens) <= 1e-5 * rate + 0, "both round to a microsecond"


RACER = """
import sys, django
django.setup()
from digest.throttling import token_bucket
run, given = token_bucket.script(sys.argv[1]), 0
for at in range(3000):
    given += run(keys=["pace:race"], args=[1e9 + at * 500, 1000.0, 1e6, 7])[0]
print(given)
"""


def test_m19_two_processes_at_once_get_the_rate_together(redis_server):
    command = [sys.executable, "-c", RACER, redis_server]
    racers = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(2)]
    given = [int(racer.communicate(timeout=60)[0]) for racer in racers]
    assert sum(given) <= 1500, "1.5 s at 1,000 a second, from an empty bucket"
    assert sum(given) >= 1490 and min(given) >= 0


@pytest.mark.django_db(transaction=True)
def test_m19_senders_at_once_get_the_rate_together_from_the_database(in_database):
    race = Limit("race", 1000.0)

    def run():
        return sum(take(race, 7, now=later(step / 100)).tokens for step in range(40))

    take(race, 1, now=NOW)
    assert 0 < sum(at_once(*[run] * 3)) <= 390
