"""What readers ask for: once, twice, at once, and by people who are not them."""

import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import timedelta
from functools import partial
from threading import Event

import pytest
from django.db import connection, transaction

from subscribers import (
    address_change,
    links,
    privacy,
    rate_limits,
    requests,
    retention,
    subscriptions,
)
from subscribers.addresses import address_hash, canonical, counting_key
from subscribers.models import (
    ConsentEvent,
    Link,
    Notice,
    Request,
    Schedule,
    Subscriber,
    Suppression,
    Topic,
)
from subscribers.notices import outbox
from subscribers.preferences import Preferences
from subscribers.suppression import is_suppressed, suppress
from tests import make
from tests.environment import POSTGRES
from tests.race import at_once
from tests.subscribers.conftest import NOW, ORIGIN, ask, notices, state_of

DAY_LATER = NOW + timedelta(days=1, hours=1)
LATER = NOW + timedelta(minutes=5)
pytestmark = pytest.mark.usefixtures("topics")


def sign_up(email: str = "ann@example.org", **wishes: object) -> Subscriber:
    subscriptions.subscribe(*ask(email, **wishes), origin=ORIGIN, now=NOW)
    return Subscriber.objects.get(email_hash=address_hash(email))


def activated(email: str = "ann@example.org", **wishes: object) -> Subscriber:
    token = links.make(sign_up(email, **wishes), Link.Purpose.CONFIRM, now=NOW)
    subscriptions.confirm(token, origin=ORIGIN, now=NOW)
    return Subscriber.objects.get(email_hash=address_hash(email))


def events() -> list[str]:
    return list(ConsentEvent.objects.order_by("pk").values_list("kind", flat=True))


def topics_of(reader: Subscriber) -> set[str]:
    return set(reader.topics.values_list("slug", flat=True))


def test_a_sign_up_waits_for_its_confirmation() -> None:
    reader = sign_up(timezone="Europe/Berlin", send_hour=9, cadence="weekdays")
    assert (reader.state, reader.changed_at, topics_of(reader)) == (
        "pending",
        NOW,
        {"graphs"},
    )
    assert str(reader.schedule) == "Monday to Friday at 09:00 (Berlin time)"
    assert reader.schedule.days == 31
    assert notices() == [("confirm", "pending")]
    assert events() == ["requested"]


def test_the_proof_says_what_was_asked_and_from_where() -> None:
    sign_up(interests="my secret wish")
    event = ConsentEvent.objects.get()
    assert (event.at, event.source, event.network) == (NOW, "/subscribe/", "192.0.2.0/24")
    assert event.detail == {
        "topics": ["graphs"],
        "timezone": "UTC",
        "send_hour": 7,
        "cadence": "daily",
        "days": [],
        "most_papers": 10,
        "length": "short",
    }
    with pytest.raises(TypeError):
        event.save()


def test_a_second_sign_up_leaves_a_pending_reader_as_they_are() -> None:
    before = sign_up()
    reader = sign_up("ANN@example.org", topics=("vision",), cadence="weekly")
    assert reader.email == "ann@example.org"
    assert topics_of(reader) == {"graphs"}
    assert reader.schedule == before.schedule
    assert Subscriber.objects.count() == 1


def test_confirming_starts_the_mails_once() -> None:
    token = links.make(sign_up(), Link.Purpose.CONFIRM, now=NOW)
    first = subscriptions.confirm(token, origin=ORIGIN, now=LATER)
    again = subscriptions.confirm(token, origin=ORIGIN, now=LATER)
    reader = Subscriber.objects.get()
    assert first == reader
    assert again is None
    assert (reader.state, reader.confirmed_at, reader.changed_at) == (
        "active",
        LATER,
        LATER,
    )
    assert events() == ["requested", "confirmed"]


def test_a_stranger_changes_nothing_of_an_active_reader() -> None:
    before = activated()
    sign_up(topics=("vision",), interests="spam", cadence="weekly")
    after = Subscriber.objects.get()
    assert topics_of(after) == {"graphs"}
    assert (after.interests, after.schedule, after.state) == ("", before.schedule, "active")
    assert after.changed_at == before.changed_at
    assert [kind for kind, _ in notices()] == ["confirm", "welcome", "already"]
    assert events() == ["requested", "confirmed"]


def test_an_old_link_does_not_tell_who_is_barred_that_they_read() -> None:
    reader = activated()
    token = links.make(reader, Link.Purpose.CONFIRM, now=NOW)
    suppress(reader.email_hash, Suppression.Reason.COMPLAINED, now=NOW)
    with pytest.raises(links.Expired):
        subscriptions.confirm(token, origin=ORIGIN, now=LATER)
    assert events() == ["requested", "confirmed"]


def test_who_has_left_comes_back_by_confirming_anew() -> None:
    reader = activated()
    old = links.make(reader, Link.Purpose.CONFIRM, now=NOW)
    subscriptions.unsubscribe(reader.pk, origin=ORIGIN, now=NOW)
    with pytest.raises(links.Expired):
        subscriptions.confirm(old, origin=ORIGIN, now=NOW)
    assert state_of() == "unsubscribed"
    back = sign_up(topics=("vision",))
    assert (back.state, back.unsubscribe_token) == ("pending", reader.unsubscribe_token)
    asked = asdict(Preferences(topics=("vision",)))
    token = links.make(back, Link.Purpose.CONFIRM, now=NOW, preferences=asked)
    subscriptions.confirm(token, origin=ORIGIN, now=NOW)
    assert (state_of(), topics_of(back)) == ("active", {"vision"})


def test_wishes_change_as_a_whole() -> None:
    reader = activated()
    wishes = Preferences(
        topics=("vision",), interests="cats", timezone="Asia/Tokyo", send_hour=0
    )
    make.change_preferences(reader.pk, wishes, origin=ORIGIN, now=LATER)
    reader = Subscriber.objects.get()
    assert (topics_of(reader), reader.interests) == ({"vision"}, "cats")
    assert (reader.schedule.timezone, reader.schedule.send_hour) == ("Asia/Tokyo", 0)
    assert reader.changed_at == LATER


def test_readers_with_the_same_wish_share_its_schedule() -> None:
    assert activated("a@example.org").schedule == activated("b@example.org").schedule
    assert Schedule.objects.filter(timezone="UTC", send_hour=7).count() == 1


@pytest.mark.parametrize(
    ("step", "state"),
    [("pause", "paused"), ("unsubscribe", "unsubscribed"), ("slow_down", "active")],
)
def test_each_step_done_twice_leaves_one_event(step: str, state: str) -> None:
    reader = activated()
    for now in (NOW, LATER):
        getattr(subscriptions, step)(reader.pk, origin=ORIGIN, now=now)
    assert state_of() == state
    assert len(events()) == 3
    assert Subscriber.objects.get().changed_at == NOW


def test_a_pause_ends_by_resuming() -> None:
    reader = activated()
    subscriptions.pause(reader.pk, origin=ORIGIN, now=NOW)
    subscriptions.resume(reader.pk, origin=ORIGIN, now=LATER)
    subscriptions.resume(reader.pk, origin=ORIGIN, now=LATER)
    assert state_of() == "active"
    assert events() == ["requested", "confirmed", "paused", "resumed"]


@pytest.mark.parametrize("step", ["pause", "resume", "slow_down"])
def test_who_has_left_stays_away(step: str) -> None:
    reader = activated()
    subscriptions.unsubscribe(reader.pk, origin=ORIGIN, now=NOW)
    getattr(subscriptions, step)(reader.pk, origin=ORIGIN, now=LATER)
    wishes = Preferences(topics=("vision",))
    make.change_preferences(reader.pk, wishes, origin=ORIGIN, now=LATER)
    outbox.ask_by_address(canonical("ann@example.org"), now=LATER)
    assert state_of() == "unsubscribed"
    assert events()[-1] == "unsubscribed"
    assert topics_of(reader) == {"graphs"}
    assert [kind for kind, _ in notices()] == ["confirm", "welcome"]


def test_a_blocked_address_is_never_written_to_again() -> None:
    reader = sign_up()
    token = links.make(reader, Link.Purpose.CONFIRM, now=NOW)
    year = NOW + timedelta(days=365)
    for _ in range(2):
        subscriptions.block(token, origin=ORIGIN, now=year)
    assert state_of() == "unsubscribed"
    assert is_suppressed(reader.email_hash)
    assert events() == ["requested", "blocked"]
    subscriptions.subscribe(*ask("Ann@Example.org"), origin=ORIGIN, now=year)
    outbox.ask_by_address(canonical("ann@example.org"), now=year)
    assert Notice.objects.filter(created_at=year).count() == 0
    assert state_of() == "unsubscribed"


def test_a_blocked_address_unknown_so_far_leaves_no_trace() -> None:
    reader = sign_up()
    token = links.make(reader, Link.Purpose.CONFIRM, now=NOW)
    subscriptions.block(token, origin=ORIGIN, now=NOW)
    reader.delete()
    subscriptions.subscribe(*ask(), origin=ORIGIN, now=LATER)
    assert Subscriber.objects.count() == 0


def test_an_erased_reader_is_no_error() -> None:
    reader = activated()
    reader.delete()
    for step in ("pause", "resume", "slow_down", "unsubscribe"):
        getattr(subscriptions, step)(reader.pk or 1, origin=ORIGIN, now=NOW)
    assert Subscriber.objects.count() == 0


def test_a_topic_withdrawn_meanwhile_is_left_off() -> None:
    assert topics_of(sign_up(topics=("graphs", "withdrawn"))) == {"graphs"}
    assert Topic.objects.filter(slug="withdrawn").count() == 0


@pytest.mark.embedded
def test_a_mailbox_gets_one_mail_in_a_quarter_of_an_hour_and_three_a_day() -> None:
    for minute in (*range(0, 60, 5), *range(60, 24 * 60, 60)):
        email = f"a.n.n+{minute}@example.org"
        now = NOW + timedelta(minutes=minute)
        subscriptions.subscribe(*ask(email), origin=ORIGIN, now=now)
    made = Notice.objects.order_by("created_at").values_list("created_at", flat=True)
    assert [at - NOW for at in made] == [timedelta(minutes=15 * n) for n in range(3)]
    day = NOW + timedelta(days=1, minutes=31)
    subscriptions.subscribe(*ask("ann@example.org"), origin=ORIGIN, now=day)
    assert Notice.objects.count() == 4


def test_the_link_to_the_preferences_is_under_the_quota_too() -> None:
    activated()
    for minute in (*range(0, 60, 10), *range(60, 24 * 60, 60)):
        at = NOW + timedelta(minutes=minute)
        outbox.ask_by_address(canonical("Ann@example.org"), now=at)
    assert Notice.objects.filter(kind="preferences").count() == 3


@pytest.mark.django_db(transaction=True)
def test_two_sign_ups_at_once_make_one_reader_and_one_mail() -> None:
    emails = ["ann@example.org", "ANN@example.org", "a.nn@example.org", "ann+x@example.org"]
    asked = [ask(email) for email in emails]
    at_once(
        *[partial(subscriptions.subscribe, *one, origin=ORIGIN, now=NOW) for one in asked]
    )
    assert Subscriber.objects.count() == 3
    assert notices() == [("confirm", "pending")]


@pytest.mark.django_db(transaction=True)
def test_two_confirmations_at_once_confirm_once() -> None:
    token = links.make(sign_up(), Link.Purpose.CONFIRM, now=NOW)
    at_once(*[lambda: subscriptions.confirm(token, origin=ORIGIN, now=NOW)] * 2)
    assert events() == ["requested", "confirmed"]


def leave_and_ask_back(reader: Subscriber) -> Callable[[], object]:
    subscriptions.unsubscribe(reader.pk, origin=ORIGIN, now=NOW)
    return partial(subscriptions.ask_back, reader.pk, origin=ORIGIN, now=DAY_LATER)


def move_away(reader: Subscriber) -> Callable[[], object]:
    token = links.make(reader, Link.Purpose.ADDRESS, now=NOW, email="new@example.org")
    return partial(address_change.confirm, token, origin=ORIGIN, now=LATER)


def ask_to_move(reader: Subscriber) -> Callable[[], object]:
    email = "ann+new@example.org"  # another spelling of the same mailbox
    return partial(address_change.ask, reader.pk, email, now=DAY_LATER)


def be_reminded(reader: Subscriber) -> Callable[[], object]:
    Subscriber.objects.filter(pk=reader.pk).update(state=Subscriber.State.PENDING)
    return partial(retention.remind_one, reader.pk, now=DAY_LATER)


def be_erased(reader: Subscriber) -> Callable[[], object]:
    address, filled = canonical(reader.email), rate_limits.Filled()
    requests.ask_for(Request.Kind.LINK, address, origin=ORIGIN, filled=filled, now=NOW)
    return partial(privacy.erase, reader.pk, now=DAY_LATER)


def mail_link(reader: Subscriber) -> Callable[[], object]:
    return partial(outbox.ask_again, reader.pk, now=DAY_LATER)


@pytest.mark.skipif(not POSTGRES, reason="SQLite writes one transaction after the other")
@pytest.mark.django_db(transaction=True)
@pytest.mark.each_row
@pytest.mark.parametrize(
    "ask_for",
    [leave_and_ask_back, move_away, ask_to_move, be_reminded, mail_link, be_erased],
)
def test_a_reader_and_who_handles_a_request_never_wait_for_each_other(ask_for) -> None:
    """A handler locks the request, for a sign-up the mailbox, and then the reader's row."""
    reader = activated()
    act, has_begun = ask_for(reader), Event()

    def handle_slowly() -> None:
        with transaction.atomic():
            list(Request.objects.select_for_update())
            rate_limits.one_at_a_time(counting_key("ann@example.org"))
            has_begun.set()
            while not somebody_waits():
                time.sleep(0.01)
            Subscriber.objects.select_for_update().filter(pk=reader.pk).first()

    def act_meanwhile() -> None:
        has_begun.wait(30)
        act()

    at_once(handle_slowly, act_meanwhile)


def somebody_waits() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT 1 FROM pg_locks WHERE NOT granted AND (database IS NULL OR database ="
            " (SELECT oid FROM pg_database WHERE datname = current_database()))"
        )
        return cursor.fetchone() is not None


@pytest.mark.django_db(transaction=True)
def test_leaving_wins_over_every_change_made_at_once() -> None:
    reader = activated()
    wishes = Preferences(topics=("vision",))
    steps = [
        lambda: subscriptions.unsubscribe(reader.pk, origin=ORIGIN, now=NOW),
        lambda: subscriptions.unsubscribe(reader.pk, origin=ORIGIN, now=NOW),
        lambda: subscriptions.pause(reader.pk, origin=ORIGIN, now=NOW),
        lambda: subscriptions.resume(reader.pk, origin=ORIGIN, now=NOW),
        lambda: make.change_preferences(reader.pk, wishes, origin=ORIGIN, now=NOW),
    ]
    at_once(*steps)
    assert state_of() == "unsubscribed"
    assert events().count("unsubscribed") == 1
