"""Who leaves or is erased while an edition is on its way."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import connections
from django.test import Client
from django.utils import timezone

from digest.deliveries.plan import plan
from digest.deliveries.send import send_due
from digest.models import Delivery
from digest.ranking import loaded
from subscribers import links
from subscribers.models import Link, Subscriber
from tests import make
from tests.sink import Sink

pytestmark = pytest.mark.django_db(transaction=True)

READERS = 60
FIRST = "r00+dot-wait@example.org"  # the sink holds this mail open until told to go on


@pytest.fixture
def held(sink: Sink, settings) -> Iterator[Sink]:
    """Sixty digests are due, and small submit groups."""
    settings.MAILER_URL = sink.url
    settings.SUBMIT_GROUP = 10
    settings.SEND_CONNECTIONS = 1
    make.edition({make.paper(1): {"graphs": 1.0}})
    make.reader(FIRST, "graphs")
    make.readers([f"r{number:02}@example.org" for number in range(1, READERS)], "graphs")
    plan(make.NOON)
    yield sink
    loaded.load.cache_clear()


@contextmanager
def sending(sink: Sink) -> Iterator[None]:
    """A sender in the middle of its first mail; at the end of the block it goes on."""
    errors: list[BaseException] = []

    def work() -> None:
        try:
            send_due(lambda: make.NOON)
        except BaseException as error:
            errors.append(error)
        finally:
            connections.close_all()

    thread = threading.Thread(target=work)
    thread.start()
    until = time.monotonic() + 20
    while not (sink.folder / "waiting").exists():
        assert time.monotonic() < until, "no mail is on its way"
        time.sleep(0.02)
    try:
        yield
    finally:
        (sink.folder / "go").touch()
        thread.join(60)
    assert errors == []


def untouched() -> list[Subscriber]:
    """Whose hand-over has not begun."""
    waiting = Delivery.objects.filter(state__in=["pending", "claimed"])
    return list(Subscriber.objects.filter(pk__in=waiting.values("subscriber")))


def test_u5_who_leaves_in_the_middle_of_a_run_gets_no_mail_of_it(
    held: Sink, client: Client
) -> None:
    with sending(held):
        leaving = untouched()[::2]
        for one in leaving:
            assert client.post(f"/u/{one.unsubscribe_token}").status_code == 200
    assert len(leaving) >= 20
    assert all(held.to(one.email) == [] for one in leaving)
    assert len(held.mails()) == READERS - len(leaving)
    skipped = Delivery.objects.filter(subscriber__in=leaving)
    assert set(skipped.values_list("state", flat=True)) == {"skipped"}


def test_g4_erasure_in_flight_stops_what_has_not_begun_and_breaks_nothing(
    held: Sink, client: Client
) -> None:
    now = timezone.now()
    with sending(held):
        erased = [Subscriber.objects.get(email=FIRST), *untouched()[:5]]
        for one in erased:
            path = f"/data/{links.make(one, Link.Purpose.DATA, now=now)}/"
            assert client.post(path, {"action": "erase"}).status_code == 200
    in_flight, *others = erased
    assert len(held.to(in_flight.email)) == 1  # its last line was on the wire already
    assert all(held.to(one.email) == [] for one in others)
    assert len(held.mails()) == READERS - len(others)
    left = Delivery.objects.filter(subscriber=None)
    assert sorted(left.values_list("state", flat=True)) == ["accepted"] + ["skipped"] * 5


def test_g10_a_one_click_before_the_hour_is_honoured_at_the_hour(
    held: Sink, client: Client
) -> None:
    ann = Subscriber.objects.get(email="r01@example.org")
    Subscriber.objects.exclude(pk=ann.pk).delete()
    client.post(f"/u/{ann.unsubscribe_token}", {"List-Unsubscribe": "One-Click"})
    send_due(lambda: make.NOON)
    assert held.mails() == []
