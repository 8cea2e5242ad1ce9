"""Leave to send: the installation's rate and the cap of the warm-up."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from digest.models import WarmUpDay
from digest.throttling import rate
from tests import make
from tests.race import at_once

pytestmark = pytest.mark.django_db
NOW = make.NOON
TODAY = NOW.date()


@pytest.fixture(autouse=True)
def no_redis(settings):
    settings.REDIS_URL = "redis://127.0.0.1:9/0"


def ask(wanted: int = 500, at: float = 0.0) -> rate.Permits:
    return rate.ask(wanted, lambda: NOW + timedelta(seconds=at))


def settle(leave: rate.Permits, at: float = 0.0, **tally: int) -> None:
    words = {word.replace("_", " "): count for word, count in tally.items()}
    rate.settle(leave, Counter(words), lambda: NOW + timedelta(seconds=at))


def handed_over() -> dict[date, int]:
    return dict(WarmUpDay.objects.values_list("day", "handed_over"))


def test_m19_where_nothing_is_limited_nothing_is_asked():
    def no_clock() -> datetime:
        raise AssertionError("the clock was read")

    with CaptureQueriesContext(connection) as queries:
        leave = rate.ask(500, no_clock)
        rate.settle(leave, Counter(accepted=3), no_clock)
    assert leave == rate.Permits(500) and not queries


def test_m19_the_rate_is_kept_over_any_minute(settings):
    settings.SEND_RATE = 20
    times = [tenth / 10 for tenth in range(1, 1200)]
    mails = {at: ask(at=at).mails for at in times}
    for start in (0, 13, 59):
        window = sum(count for at, count in mails.items() if start < at <= start + 60)
        assert 60 * 20 - 20 <= window <= 60 * 20 + 20


def test_m19_leave_that_was_not_used_is_given_back(settings):
    settings.SEND_RATE = 20
    ask()
    leave = ask(at=1)
    assert leave.mails == 20
    settle(leave, 1, accepted=4, refused=1, retry=7, unknown=1, not_tried=5, skipped=7)
    assert ask(12, at=1).mails == 12, "8 were handed over"
    assert ask(at=1).wait > 0


def test_m19_the_warm_up_grows_from_day_to_day_and_ends(settings):
    settings.WARM_UP_FROM = TODAY
    caps = [rate.cap(NOW + timedelta(days=day)) for day in range(-3, 45)]
    assert caps[:4] == [480] * 4 and caps[4] == 672
    grown = [count for count in caps if count]
    assert grown == sorted(grown) and len(grown) == 45
    assert caps[-3:] == [None] * 3


def test_m19_a_day_of_the_warm_up_ends_at_its_cap_and_the_next_begins_at_midnight(
    settings,
):
    settings.WARM_UP_FROM = TODAY
    assert [ask(300).mails, ask(300).mails] == [300, 180]
    assert ask(300) == rate.Permits(0, 12 * 3600)
    assert ask(900, at=12 * 3600).mails == 672
    assert handed_over() == {TODAY: 480, TODAY + timedelta(days=1): 672}


def test_m19_the_warm_up_counts_what_was_accepted_or_may_have_been(settings):
    settings.WARM_UP_FROM = TODAY
    settle(ask(300), accepted=100, unknown=3, refused=50, skipped=40, retry=7)
    assert handed_over() == {TODAY: 103}
    assert ask().mails == 377


def test_m19_what_a_warm_up_day_has_no_room_for_costs_no_rate(settings):
    settings.SEND_RATE, settings.WARM_UP_FROM = 1000, TODAY
    ask()
    assert ask(400, at=1).mails == 400
    assert ask(400, at=2).mails == 80
    settings.WARM_UP_FROM = None
    assert ask(900, at=2).mails == 900


@pytest.mark.parametrize("start", [date.min, date.max, date(2026, 4, 17)])
def test_any_first_day_is_a_day(settings, start):
    settings.WARM_UP_FROM = start
    for moment in (datetime(2000, 1, 1, tzinfo=UTC), NOW, datetime(9998, 1, 1, tzinfo=UTC)):
        assert (rate.cap(moment) or 480) >= 480


@pytest.mark.django_db(transaction=True)
def test_m19_senders_at_once_keep_the_cap(settings):
    settings.WARM_UP_FROM = TODAY
    got = at_once(*[lambda: sum(ask(9).mails for _ in range(20))] * 4)
    assert sum(got) == 480
