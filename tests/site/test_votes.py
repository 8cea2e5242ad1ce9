"""More or less like this: the page behind a mail's link, and the list among preferences."""

import re

import pytest
from django.utils import timezone

from digest import signing
from digest.deliveries.plan import plan_edition
from digest.deliveries.send import send_due
from digest.models import Delivery, Vote
from digest.signing import Purpose
from subscribers import links, privacy, subscriptions
from subscribers.consent import Origin
from subscribers.models import Link, Subscriber
from tests import make

pytestmark = pytest.mark.django_db


@pytest.fixture
def ann(sink, settings) -> Subscriber:
    """She got one of an edition's two papers, at position 1."""
    settings.MAILER_URL = sink.url
    make.topic("knots", label="Knots")
    reader = make.reader("ann@example.org", "knots")
    edition = make.edition(
        {
            make.paper(1, upvotes=3, title="On <knots>"): {"knots": 1.0},
            make.paper(2, upvotes=41, title="Other"): {"other": 0.75},
        }
    )
    plan_edition(edition, make.NOON)
    send_due(lambda: make.NOON, edition_id=edition.pk)
    assert Delivery.objects.get().state == "accepted"
    return reader


def path(position: object = 1, *, purpose: Purpose = Purpose.PAGE) -> str:
    return f"/v/{signing.name(purpose, Delivery.objects.get().pk)}/{position}"


def cast() -> list[tuple[str, int]]:
    return list(Vote.objects.values_list("paper__arxiv_id", "value"))


def test_the_page_shows_the_paper_and_two_buttons(client, ann):
    response = client.get(path())
    page = response.content.decode()
    assert response.status_code == 200
    assert "On &lt;knots&gt;" in page and "/papers/2604.00001/" in page
    assert 'value="more"' in page and 'value="less"' in page and "Undo" not in page
    assert "ann@" not in page and ann.unsubscribe_token not in page


def test_the_links_in_a_mail_and_on_its_page_lead_there(client, ann, sink, settings):
    (mail,) = sink.mails()
    where = settings.SITE_URL + path()
    page = client.get(path().replace("/v/", "/digest/").rpartition("/")[0])
    texts = [page.content.decode()]
    for kind in ("plain", "html"):
        part = mail.message.get_body((kind,))
        texts.append(str(part.get_content()))
    assert [text.count("/v/") for text in texts] == [text.count(where) for text in texts]
    for choice in ("more", "less"):
        assert [text.count(f"{where}/{choice}") for text in texts] == [1, 1, 1]


@pytest.mark.parametrize(
    ("choice", "first"), [("more", "Yes, more like this"), ("less", "Yes, less like this")]
)
def test_a_thumb_in_a_mail_asks_only_for_one_press(client, ann, choice, first):
    """A program that opens every link votes for nobody: the button is a POST."""
    where = f"{path()}/{choice}"
    page = client.get(where).content.decode()
    buttons = re.findall(
        r'<button class="([\w-]+)" name="action" value="(\w+)">([^<]+)<', page
    )
    assert buttons[0] == ("button", choice, first)
    assert cast() == []
    assert client.post(path(), {"action": buttons[0][1]})["Location"] == path()
    page = client.get(path()).content.decode()
    assert "noted" in page and 'value="back">Undo<' in page
    other = "less" if choice == "more" else "more"
    for method in ("get", "head", "options"):
        getattr(client, method)(f"{path()}/{other}")
    page = client.get(f"{path()}/{other}").content.decode()  # says what pressing would do
    assert f"<h1>{other.capitalize()} like this?</h1>" in page
    assert f"{'more' if choice == 'more' else 'fewer'} papers like this" in page
    assert cast() == [("2604.00001", 1 if choice == "more" else -1)]
    assert client.get(f"{path()}/other").status_code == 404


def test_a_vote_is_shown_changed_and_taken_back(client, ann):
    before = bytes(ann.profile)
    for action, value, words in [
        ("more", [("2604.00001", 1)], "more papers like this"),
        ("more", [("2604.00001", 1)], "more papers like this"),
        ("less", [("2604.00001", -1)], "fewer papers like this"),
        ("back", [], "More or less like this?"),
        ("back", [], "More or less like this?"),
    ]:
        response = client.post(path(), {"action": action})
        assert (response.status_code, response["Location"]) == (303, path())
        assert cast() == value
        assert words in client.get(path()).content.decode()
    ann.refresh_from_db()
    assert bytes(ann.profile) == before


def test_u3_looking_never_votes(client, ann):
    client.post(path(), {"action": "more"})
    before = (Vote.objects.values().get(), Subscriber.objects.values().get())
    for method in ("get", "head", "options", "put", "patch", "delete", "trace"):
        for query in ("", "?action=less", "?action=back", "?vote=less"):
            status = getattr(client, method)(path() + query).status_code
            assert status == (200 if method in ("get", "head") else 405)
    assert (Vote.objects.values().get(), Subscriber.objects.values().get()) == before


@pytest.mark.parametrize(
    "body", [{}, {"action": "MORE"}, {"action": "\0"}, {"vote": "less"}]
)
def test_a_post_that_says_nothing_changes_nothing(client, ann, body):
    assert client.post(path(), body).status_code == 303
    assert cast() == []


def test_a_body_that_is_no_form_changes_nothing(client, ann):
    for kind in ("multipart/form-data", "application/json", "text/plain; charset=none"):
        response = client.generic("POST", path(), b"\xff{", content_type=kind)
        assert response.status_code == 303
    assert cast() == []


@pytest.mark.parametrize("position", [0, 2, -1, 10**30, "1.0", "x", "%00", "", "٣"])
def test_only_what_the_mail_held_can_be_voted_on(client, ann, position):
    assert client.get(path(position)).status_code == 404
    assert client.post(path(position), {"action": "more"}).status_code == 404
    assert cast() == []


@pytest.mark.parametrize("name", ["x", "1-" + "0" * 24, "f" * 16 + "-" + "0" * 24, "%00"])
def test_a_name_that_is_not_ours_is_not_found(client, ann, name):
    assert client.post(f"/v/{name}/1", {"action": "more"}).status_code == 404


def test_the_name_of_a_bounce_address_is_no_name_of_a_page(client, ann):
    other = path(purpose=Purpose.BOUNCE)
    assert client.post(other, {"action": "more"}).status_code == 404


def test_u7_the_name_in_a_mail_opens_nothing_else(client, ann):
    name = signing.name(Purpose.PAGE, Delivery.objects.get().pk)
    for page in ("preferences", "data", "confirm", "address", "block"):
        assert client.post(f"/{page}/{name}/", {"action": "erase"}).status_code == 404
    assert client.post(f"/preferences/{name}/votes/", {"action": "x"}).status_code == 404
    assert client.post(f"/u/{name}").status_code == 404
    assert Subscriber.objects.get().state == "active"


def test_after_an_erasure_the_page_is_still_polite(client, ann):
    client.post(path(), {"action": "more"})
    privacy.erase(ann.pk, now=timezone.now())
    page = client.get(path())
    assert page.status_code == 200 and "was deleted" in page.content.decode()
    assert b"<button" not in page.content
    assert client.post(path(), {"action": "more"}).status_code == 303
    assert cast() == []


def test_a_reader_who_left_is_told_that_votes_wait(client, ann):
    subscriptions.unsubscribe(ann.pk, origin=Origin("test"), now=timezone.now())
    assert "You have unsubscribed" in client.get(f"{path()}/more").content.decode()
    client.post(path(), {"action": "more"})
    page = client.get(path()).content.decode()
    assert "Your vote is stored" in page and "from the next digest on" not in page


def test_the_page_is_private_needs_no_cookie_and_is_not_indexed(client, ann):
    for response in (client.get(path()), client.post(path(), {"action": "more"})):
        assert response["Referrer-Policy"] == "no-referrer"
        assert response["X-Robots-Tag"] == "noindex"
        assert "no-store" in response["Cache-Control"]
        assert "Set-Cookie" not in response
    assert b"<script" not in client.get(path()).content


def test_a_vote_takes_few_statements_however_many_there_are(
    client, ann, django_assert_max_num_queries
):
    where = path()
    papers = [make.paper(number) for number in range(10, 40)]
    make.edition(dict.fromkeys(papers, {"knots": 0.5}), kind="weekly")
    for paper in papers:
        Vote.objects.create(subscriber=ann, paper=paper, value=1, at=make.NOON)
    with django_assert_max_num_queries(16):  # six of them savepoints of the test
        client.post(where, {"action": "more"})
    with django_assert_max_num_queries(3):
        client.get(where)


# -- among the preferences --------------------------------------------------------


@pytest.fixture
def preferences(ann) -> str:
    token = links.make(ann, Link.Purpose.PREFERENCES, now=timezone.now())
    return f"/preferences/{token}/"


def test_votes_are_listed_and_taken_back_among_the_preferences(client, ann, preferences):
    assert "Papers you voted on" not in client.get(preferences).content.decode()
    client.post(path(), {"action": "less"})
    page = client.get(preferences).content.decode()
    assert "Papers you voted on" in page and "On &lt;knots&gt;" in page
    assert "Less like this" in page
    response = client.post(f"{preferences}votes/", {"action": "2604.00001"})
    assert (response.status_code, response["Location"]) == (303, preferences)
    assert cast() == []
    assert "Papers you voted on" not in client.get(preferences).content.decode()


def test_a_long_list_of_votes_is_all_there(client, ann, preferences):
    for number in range(10, 23):
        paper = make.paper(number, title=f"Paper <{number}>")
        Vote.objects.create(subscriber=ann, paper=paper, value=1, at=make.NOON)
    page = client.get(preferences).content.decode()
    assert "All 13" in page and page.count('<li>\n  <p lang="en" dir="auto"><a') == 13


def test_u3_looking_takes_no_vote_back(client, ann, preferences):
    client.post(path(), {"action": "more"})
    for method in ("get", "head"):
        getattr(client, method)(f"{preferences}votes/?action=2604.00001")
    client.get(preferences)
    assert cast() == [("2604.00001", 1)]


@pytest.mark.parametrize("asked", ["", "2604.00002", "\0", "9" * 5000, "' OR 1=1"])
def test_what_was_not_voted_on_is_not_taken_back(client, ann, preferences, asked):
    client.post(path(), {"action": "more"})
    assert client.post(f"{preferences}votes/", {"action": asked}).status_code == 303
    assert cast() == [("2604.00001", 1)]


def test_nobody_takes_back_the_vote_of_another(client, ann):
    bo = make.reader("bo@example.org")
    client.post(path(), {"action": "more"})
    token = links.make(bo, Link.Purpose.PREFERENCES, now=timezone.now())
    client.post(f"/preferences/{token}/votes/", {"action": "2604.00001"})
    assert cast() == [("2604.00001", 1)]


def test_an_old_link_offers_a_fresh_one_and_changes_nothing(client, ann):
    client.post(path(), {"action": "more"})
    token = links.make(ann, Link.Purpose.PREFERENCES, now=make.NOON)
    where = f"/preferences/{token}/"
    response = client.post(f"{where}votes/", {"action": "2604.00001"})
    assert response["Location"] == where and cast() == [("2604.00001", 1)]
    assert client.get(where).status_code == 410
