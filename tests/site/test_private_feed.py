"""A reader's own feed: made, read by a feed reader, replaced and ended in the preferences."""

import re
from xml.etree import ElementTree

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from digest.deliveries.plan import plan_edition
from digest.deliveries.send import send_due
from digest.models import Delivery, Edition
from subscribers import links, privacy
from subscribers.models import Link, Subscriber
from tests import make
from tests.sink import Sink

pytestmark = pytest.mark.django_db
ATOM = "{http://www.w3.org/2005/Atom}"


@pytest.fixture
def ann() -> Subscriber:
    make.topic("knots", label="Knots & graphs")
    return make.reader("ann@example.org", "knots")


@pytest.fixture
def edition(ann: Subscriber) -> Edition:
    papers = [make.paper(n, title=f"Paper <{n}>", upvotes=n) for n in (1, 2)]
    return make.edition({papers[0]: {"knots": 1.0}, papers[1]: {}})


@pytest.fixture
def page(ann: Subscriber) -> str:
    token = links.make(ann, Link.Purpose.PREFERENCES, now=timezone.now())
    return f"/preferences/{token}/"


def feeds(client: Client, page: str) -> list[str]:
    """The addresses that the preferences page shows."""
    return re.findall(r'href="(/feeds/mine/[^"]+)"', client.get(page).text)


def make_feed(client: Client, page: str) -> list[str]:
    answer = client.post(f"{page}feed/", {"action": "make"})
    assert (answer.status_code, answer["Location"]) == (303, f"{page}#private-feed")
    return feeds(client, page)


def titles(client: Client, path: str) -> list[str | None]:
    root = ElementTree.fromstring(client.get(path).content)
    return [entry.findtext(f"{ATOM}title") for entry in root.findall(f"{ATOM}entry")]


def test_it_has_the_readers_papers_with_their_reasons(
    client: Client, edition: Edition, page: str
) -> None:
    assert feeds(client, page) == []
    atom, jsonf = make_feed(client, page)
    assert titles(client, atom) == ["Paper <1>"]
    answer = client.get(jsonf)
    (item,) = answer.json()["items"]
    assert "<em>Knots &amp; graphs</em>" in item["content_html"]
    assert answer["Cache-Control"] == "private, max-age=300"
    assert "noindex" in answer["X-Robots-Tag"]
    assert "Access-Control-Allow-Origin" not in answer
    again = client.get(jsonf, headers={"if-none-match": answer["ETag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_what_was_sent_stays_whatever_the_reader_wants_now(
    client: Client, edition: Edition, ann: Subscriber, page: str, sink: Sink, settings
) -> None:
    settings.MAILER_URL = sink.url
    plan_edition(edition, make.NOON)
    assert send_due(lambda: make.NOON)["accepted"] == 1
    Subscriber.objects.filter(pk=ann.pk).update(profile=b"")
    atom, _ = make_feed(client, page)
    assert titles(client, atom) == ["Paper <1>"]
    Delivery.objects.all().delete()
    assert titles(client, atom) == ["Paper <2>", "Paper <1>"]


def test_its_addresses_are_replaced_and_ended(
    client: Client, edition: Edition, ann: Subscriber, page: str
) -> None:
    old = make_feed(client, page)
    new = make_feed(client, page)
    assert {*old}.isdisjoint(new)
    for path in old:
        assert client.get(path).status_code == 404
    assert client.get(new[0]).status_code == 200
    Subscriber.objects.filter(pk=ann.pk).update(state=Subscriber.State.UNSUBSCRIBED)
    assert client.get(new[0]).status_code == 404
    Subscriber.objects.filter(pk=ann.pk).update(state=Subscriber.State.PAUSED)
    assert client.get(new[0]).status_code == 200
    client.post(f"{page}feed/", {"action": "end"})
    assert client.get(new[0]).status_code == 404 and feeds(client, page) == []


@pytest.mark.parametrize(
    ("method", "action"),
    [("get", "make"), ("post", ""), ("post", "other"), ("head", "make")],
)
def test_nothing_else_changes_it(
    client: Client, ann: Subscriber, page: str, method: str, action: str
) -> None:
    getattr(client, method)(f"{page}feed/", {"action": action})
    ann.refresh_from_db()
    assert ann.feed_token is None


def test_its_token_reads_and_nothing_else(
    client: Client, edition: Edition, ann: Subscriber, page: str
) -> None:
    make_feed(client, page)
    token = Subscriber.objects.get(pk=ann.pk).feed_token
    for path in ("preferences", "confirm", "data", "address", "block"):
        assert client.post(f"/{path}/{token}/").status_code == 404
    client.post(f"/u/{token}")
    assert Subscriber.objects.get(pk=ann.pk).state == Subscriber.State.ACTIVE
    strict = Client(enforce_csrf_checks=True)
    assert strict.post(f"/feeds/mine/{token}.atom").status_code == 405
    assert str(token) not in repr(privacy.personal_data(ann))


@pytest.mark.each_row
@pytest.mark.parametrize("token", ["x", "A" * 22, "%00", "A" * 5000, "%ed%a0%80"])
def test_a_token_that_nobody_has_is_not_found(
    client: Client, ann: Subscriber, token: str
) -> None:
    assert client.get(f"/feeds/mine/{token}.atom").status_code == 404


def test_more_papers_ask_no_more_queries(
    client: Client, edition: Edition, page: str
) -> None:
    atom, _ = make_feed(client, page)

    def asked() -> int:
        client.get(atom)
        with CaptureQueriesContext(connection) as queries:
            assert client.get(atom).status_code == 200
        return len(queries)

    one = asked()
    edition.delete()
    make.edition({make.paper(n): {"knots": 1.0} for n in range(10, 20)})
    assert asked() == one
