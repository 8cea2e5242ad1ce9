"""What a cache between us and a reader may keep: decided here for every URL there is."""

import re
from collections.abc import Iterator

import pytest
from django.conf import settings
from django.test import Client
from django.urls import get_resolver
from django.utils import timezone

from digest import signing
from digest.deliveries.plan import plan_edition
from digest.deliveries.send import send_due
from digest.models import Delivery, Edition
from digest.signing import Purpose
from subscribers import links
from subscribers.models import Link, Subscriber
from tests import make
from tests.sink import Sink

pytestmark = pytest.mark.django_db

EVERYBODY = "public, max-age=60, stale-while-revalidate=60, stale-if-error=3600"
AN_HOUR = "public, max-age=3600"
NOBODY = "max-age=0, no-cache, no-store, must-revalidate, private"
SAYS_NOTHING = "no-store"  # what FrontEnd adds
DAY, ID, TOKEN = "2026-04-17", "2604.00001", "x" * 22

# Route → a path of it; none where the route is one.
PUBLIC = {
    "": "/",
    "papers/<day:day>/": f"/papers/{DAY}/",
    "papers/<paper:arxiv_id>/": f"/papers/{ID}/",
    "weeks/<day:day>/": f"/weeks/{DAY}/",
    "months/<month:day>/": "/months/2026-04/",
    "archive/": "",
    "authors/<path:name>/": "/authors/Ada%20Lovelace/",
    "organizations/<path:name>/": "/organizations/Nobody/",
    "saved/": f"/saved/?ids={ID}",
    "topics/": "",
    "topics/<slug:slug>/": "/topics/knots/",
    "topics/<slug:slug>/weeks/<day:day>/": f"/topics/knots/weeks/{DAY}/",
    "topics/<slug:slug>/months/<month:day>/": "/topics/knots/months/2026-04/",
    "search/": "/search/?q=paper",
    "editions/<slug:kind>/<day:day>/": f"/editions/daily/{DAY}/",
    "privacy/": "",
    "papers/<paper:arxiv_id>/cite.<str:ending>": f"/papers/{ID}/cite.bib",
    "saved/papers.<str:ending>": f"/saved/papers.ris?ids={ID}",
}
FEEDS = {
    "feeds/all.<feed:kind>": "/feeds/all.atom",
    "feeds/topics/<slug:slug>.<feed:kind>": "/feeds/topics/knots.atom",
    "feeds/authors/<path:name>.<feed:kind>": "/feeds/authors/Ada%20Lovelace.atom",
    "feeds/search.<feed:kind>": "/feeds/search.atom?q=paper",
    "robots.txt": "",
    "sitemap.xml": "",
    "sitemap-lists.xml": "",
    "sitemap-<day:day>.xml": "/sitemap-2026-04-13.xml",
    "api/v1/": "",
    "api/v1/openapi.json": "",
    "api/v1/papers": "",
    "api/v1/papers/<paper:arxiv_id>": f"/api/v1/papers/{ID}",
    "api/v1/papers/<paper:arxiv_id>/similar": f"/api/v1/papers/{ID}/similar",
    "api/v1/days": "",
    "api/v1/topics": "",
}
PICTURES = {
    "papers/<paper:arxiv_id>/card.png": f"/papers/{ID}/card.png",
    "card.png": "",
    ".well-known/security.txt": "",
}
ICON = {"favicon.ico": ""}  # leads to the file
# The sign-up's pages, and all behind a link in a mail or a cookie.
FOR_ONE = {
    "subscribe/": "",
    "subscribe/done/": "",
    "subscribe/challenge/": "",
    "preferences/": "",
    "preferences/sent/": "",
    "confirm/<str:token>/": "/confirm/CONFIRM/",
    "block/<str:token>/": "/block/CONFIRM/",
    "address/<str:token>/": "/address/CONFIRM/",
    "p/<path:token>": "/p/UNSUBSCRIBE",
    "u/<path:token>": "/u/UNSUBSCRIBE",
    "preferences/<str:token>/": "/preferences/PREFERENCES/",
    "preferences/<str:token>/browsers/": "/preferences/PREFERENCES/browsers/",
    "preferences/<str:token>/votes/": "/preferences/PREFERENCES/votes/",
    "preferences/<str:token>/feed/": "/preferences/PREFERENCES/feed/",
    "preferences/<str:token>/saved/": "/preferences/PREFERENCES/saved/",
    "preferences/<str:token>/newest/": "/preferences/PREFERENCES/newest/",
    "preferences/<str:token>/digests/": "/preferences/PREFERENCES/digests/",
    "preferences/<str:token>/why/": "/preferences/PREFERENCES/why/",
    "data/<str:token>/": "/data/DATA/",
    "digest/<str:name>": "/digest/PAGE",
    "v/<str:name>/<int:position>": "/v/PAGE/0",
    "v/<str:name>/<int:position>/<str:choice>": "/v/PAGE/0/more",
}
# A feed reader asks again by ETag; the link is its reader's alone.
OWN_FEED = {"feeds/mine/<str:token>.<feed:kind>": "/feeds/mine/FEED.atom"}
OPERATORS = {
    "healthz": "",
    "readyz": "",
    "metrics": "",
}
# Asked by POST alone, or not there: what is answered to GET must not stay, either.
REFUSED = {
    "mailbox/": "",
    "mailbox/<str:mail_id>/": "/mailbox/x/",
    "mailbox/<str:mail_id>/html/": "/mailbox/x/html/",
    "preview/": "",
    "api/v1/subscribers": "",
    r"api/v1/^(?P<rest>[\s\S]+)\Z": "/api/v1/nothing",
    "webhooks/<slug:provider>/tracking/": "/webhooks/postmark/tracking/",
}
DECIDED = {
    "page for everybody": (PUBLIC, EVERYBODY),
    "feed or API": (FEEDS, EVERYBODY),
    "picture": (PICTURES, AN_HOUR),
    "icon": (ICON, AN_HOUR),
    "page of one reader": (FOR_ONE, NOBODY),
    "feed of one reader": (OWN_FEED, "private, max-age=300"),
    "for operators": (OPERATORS, NOBODY),
    "refused": (REFUSED, SAYS_NOTHING),
}


def routes(patterns: list, before: str = "") -> Iterator[str]:
    for one in patterns:
        route = f"{before}{one.pattern}"
        inner = getattr(one, "url_patterns", None)
        if inner is None:
            yield route
        else:
            yield from routes(inner, route)


@pytest.fixture
def ann(sink: Sink, settings) -> dict[str, str]:
    """Whoever has a link for everything: what stands in the table → the secret in a path."""
    settings.MAILER_URL, settings.MAILBOX = sink.url, False
    make.topic("knots")
    reader = make.reader("ann@example.org", "knots")
    edition = make.edition({make.paper(1, authors=["Ada Lovelace"]): {"knots": 1.0}})
    plan_edition(edition, make.NOON)
    send_due(lambda: make.NOON, edition_id=edition.pk)
    now = timezone.now()
    made = {
        purpose.name: links.make(reader, purpose, now=now)
        for purpose in (Link.Purpose.CONFIRM, Link.Purpose.PREFERENCES, Link.Purpose.DATA)
    }
    Client().post(f"/preferences/{made['PREFERENCES']}/feed/", {"action": "make"})
    page = Client().get(f"/preferences/{made['PREFERENCES']}/").text
    (feed, *_) = re.findall(r'href="/feeds/mine/([^"]+)[.]', page)
    name = signing.name(Purpose.PAGE, Delivery.objects.get().pk)
    own = Subscriber.objects.get().unsubscribe_token
    return made | {"UNSUBSCRIBE": own, "FEED": feed, "PAGE": name}


def test_s33_every_url_has_a_decision() -> None:
    found = set(routes(get_resolver().url_patterns))
    admin = {route for route in found if route.startswith(f"{settings.ADMIN_PATH}/")}
    decided = [route for table, _ in DECIDED.values() for route in table]
    assert set(decided) == found - admin
    assert len(decided) == len(set(decided)) and len(admin) > 50


@pytest.mark.each_row
@pytest.mark.parametrize("kind", DECIDED)
def test_s33_what_a_cache_may_keep(client: Client, ann: dict[str, str], kind: str) -> None:
    table, said = DECIDED[kind]
    shared = said.startswith("public")
    asked_again = said == EVERYBODY  # by its ETag
    for route, path in table.items():
        asked = re.sub("[A-Z]{4,}", lambda word: ann.get(word[0], word[0]), path)
        for forged in ("", "f" * 32):  # a cookie changes nothing of what everybody gets
            client.cookies["sessionid"] = client.cookies["csrftoken"] = forged
            answer = client.get(asked or f"/{route}")
            assert answer["Cache-Control"] == said, (route, answer.status_code)
            assert answer.get("Vary", "") in {"", "Accept-Encoding"} or not shared, route
            assert not answer.cookies, route
            assert "ETag" in answer or not asked_again or answer.status_code != 200, route
            assert not shared or b"csrfmiddlewaretoken" not in answer.content, route


def test_s33_no_operators_page_is_kept(client: Client, admin_client: Client, ann) -> None:
    edition = Edition.objects.get()
    for route in ("", "today/", "login/", f"editions/{edition.pk}/", "nothing/", "jsi18n/"):
        for browser in (client, admin_client):
            answer = browser.get(f"/{settings.ADMIN_PATH}/{route}")
            assert "no-store" in answer["Cache-Control"], route


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/nothing/", 404),
        ("/papers/2604.00001", 301),  # a slash is missing
        (f"/preferences/{TOKEN}", 301),
        (f"/preferences/{TOKEN}/", 404),
        (f"/u/{TOKEN}", 200),  # as for a token that somebody has
        ("/u/short", 404),
        ("/digest/forged", 404),
        ("/feeds/mine/forged.atom", 404),
        ("/papers/2604.00001/cite.doc", 404),
        ("/api/v1/papers/nobody", 404),
        ("/static/nothing.css", 404),
    ],
)
def test_s33_no_refusal_is_kept(client: Client, ann, path: str, status: int) -> None:
    answer = client.get(path)
    assert answer.status_code == status
    assert "no-store" in answer["Cache-Control"]


def test_s33_an_error_of_ours_is_not_kept(client: Client, monkeypatch) -> None:
    monkeypatch.setattr("digest.site.archive.newest_day", lambda: 1 / 0)
    client.raise_request_exception = False
    answer = client.get("/")
    assert (answer.status_code, answer["Cache-Control"]) == (500, "no-store")
