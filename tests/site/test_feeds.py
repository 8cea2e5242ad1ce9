"""Feeds as a reader's parser takes them; the sitemap and robots.txt."""

import html
import json
import re
from collections.abc import Callable
from datetime import timedelta
from urllib.parse import urlsplit
from urllib.robotparser import RobotFileParser
from xml.etree import ElementTree

import feedparser
import pytest
from django.conf import settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from digest.models import Paper
from subscribers.models import Topic
from tests import make
from tests.site.conftest import DAY, MakePaper, html_of, publish

pytestmark = pytest.mark.django_db

ATOM = "{http://www.w3.org/2005/Atom}"
FEEDS = ["/feeds/all", "/feeds/topics/graphs", "/feeds/authors/Ada%20Lovelace"]
SEARCH = "/feeds/search"
TITLE = "Knots & <graphs>, \N{SNOWMAN}"


@pytest.fixture(autouse=True)
def papers(paper: MakePaper, graphs: Topic) -> list[Paper]:
    made = [paper(title=TITLE, abstract="All of <b>it</b>.", upvotes=3), paper()]
    publish(*made, graphs=1.0)
    return made


ALL_FEEDS = [*FEEDS, SEARCH, "/feeds/topics/empty", "/feeds/mine", "/de/feeds/all"]
RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\+00:00|Z)")


@pytest.fixture
def address(paper: MakePaper) -> Callable[[str], str]:
    """Papers that feeds stumble over, and the address of each feed by its path."""
    Topic.objects.create(slug="empty", label="Empty", group="G", position=901, column=901)
    odd = [
        paper(title="Knots without authors", authors=[], author_count=9),
        paper(
            title="Knots \N{LEFT-TO-RIGHT MARK}& ]]> 人", abstract="", authors=["]]> <b>"]
        ),
    ]
    publish(*odd, graphs=1.0)
    reader = make.reader("ann@example.org", "graphs")
    reader.feed_token = "f" * 22
    reader.save()

    def address(path: str) -> str:
        kind = path.rpartition(".")[2]
        if path.startswith("/feeds/mine"):
            return f"/feeds/mine/{reader.feed_token}.{kind}"
        return f"{path}?q=knots" if path.startswith(SEARCH) else path

    return address


@pytest.mark.parametrize("path", [f"{path}.atom" for path in ALL_FEEDS])
def test_an_atom_feed_passes_a_validators_rules(
    client: Client, address: Callable[[str], str], path: str
) -> None:
    """RFC 4287, sections 4.1.1 and 4.1.2, and what a feed reader's parser makes of it."""
    answer = client.get(address(path))
    parsed = feedparser.parse(
        answer.content, response_headers={"content-type": answer["Content-Type"]}
    )
    assert not parsed.bozo, parsed.get("bozo_exception")
    assert parsed.version == "atom10"
    feed = ElementTree.fromstring(answer.content)
    assert feed.findtext(f"{ATOM}author/{ATOM}name"), "an entry may have no author"
    entries = feed.findall(f"{ATOM}entry")
    assert len(parsed.entries) == len(entries)
    for one in (feed, *entries):
        for name in ("id", "title", "updated"):
            (text,) = [element.text or "" for element in one.findall(ATOM + name)]
            assert text.strip(), name
        assert urlsplit(one.findtext(f"{ATOM}id", "")).scheme in {"http", "https"}
        assert RFC3339.fullmatch(one.findtext(f"{ATOM}updated", ""))
        links = [
            (link.get("rel", "alternate"), link.get("href", ""))
            for link in one.findall(f"{ATOM}link")
        ]
        assert len({rel for rel, _ in links}) == len(links)
        assert all(href.startswith(settings.SITE_URL) for _, href in links)
        assert all(name.text for name in one.iter(f"{ATOM}name"))
    ids = [entry.findtext(f"{ATOM}id") for entry in entries]
    assert len(set(ids)) == len(ids)
    (own,) = [link for link in feed.findall(f"{ATOM}link") if link.get("rel") == "self"]
    assert own.get("href") == settings.SITE_URL + address(path)
    for entry in entries:
        assert entry.find(f"{ATOM}summary").get("type") == "html"  # type: ignore[union-attr]
        assert all(tag.get("term") for tag in entry.findall(f"{ATOM}category"))


@pytest.mark.parametrize("path", [f"{path}.json" for path in ALL_FEEDS])
def test_a_json_feed_has_the_keys_of_version_1_1(
    client: Client, address: Callable[[str], str], path: str
) -> None:
    feed = client.get(address(path)).json()
    assert feed["version"] == "https://jsonfeed.org/version/1.1" and feed["title"]
    assert feed["feed_url"] == settings.SITE_URL + address(path)
    assert feed.keys() <= {
        "version",
        "title",
        "description",
        "home_page_url",
        "feed_url",
        "language",
        "items",
        "authors",
    }
    known = {"id", "url", "title", "content_html", "date_published", "authors", "tags"}
    for item in feed["items"]:
        assert item.keys() <= known and isinstance(item["id"], str) and item["id"]
        assert "content_html" in item and RFC3339.fullmatch(item["date_published"])
        assert all(author["name"] for author in item["authors"])
        assert all(isinstance(tag, str) and tag for tag in item["tags"])
    ids = [item["id"] for item in feed["items"]]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("path", FEEDS)
def test_an_atom_feed_is_valid_and_complete(client: Client, path: str) -> None:
    answer = client.get(f"{path}.atom")
    assert answer["Content-Type"] == "application/atom+xml; charset=utf-8"
    feed = ElementTree.fromstring(answer.content)
    # RFC 4287, 4.1.1: exactly one id, title and updated; a link to itself.
    for name in ("id", "title", "updated"):
        assert len(feed.findall(ATOM + name)) == 1
    links = {link.get("rel"): link.get("href") for link in feed.findall(f"{ATOM}link")}
    assert links["self"] == f"{settings.SITE_URL}{path}.atom"
    first, second = feed.findall(f"{ATOM}entry")
    assert first.findtext(f"{ATOM}title") == TITLE
    assert first.findtext(f"{ATOM}id") == f"{settings.SITE_URL}/papers/2604.00001/"
    assert first.findtext(f"{ATOM}updated") == "2026-04-17T00:00:00+00:00"
    assert first.findtext(f"{ATOM}summary") == "<p>All of &lt;b&gt;it&lt;/b&gt;.</p>"
    names = [name.text for name in second.iter(f"{ATOM}name")]
    assert names == ["Ada Lovelace", "Emmy Noether"]


def test_a_feed_of_a_search_has_the_newest_papers_that_it_finds_exactly(
    client: Client, paper: MakePaper
) -> None:
    for days in (0, 1, 40, 400):
        paper(title=f"Rings of {days}", day=DAY - timedelta(days=days))
    query = "title=1&q=rings%20author%3Alovelace"
    feed = ElementTree.fromstring(client.get(f"{SEARCH}.atom?{query}").content)
    titles = [entry.findtext(f"{ATOM}title") for entry in feed.findall(f"{ATOM}entry")]
    assert titles == ["Rings of 0", "Rings of 1", "Rings of 40", "Rings of 400"]
    links = {link.get("rel"): link.get("href") for link in feed.findall(f"{ATOM}link")}
    assert links["self"] == f"{settings.SITE_URL}{SEARCH}.atom?{query}"
    assert links["alternate"] == (f"{settings.SITE_URL}/search/?q=rings+author%3Alovelace")
    nearly = client.get(f"{SEARCH}.json?q=ringz").json()
    assert nearly["items"] == []  # what a page may guess, a feed may not


def test_a_result_page_names_its_feed(client: Client) -> None:
    html = html_of(client, "/search/?q=a%26b")
    assert 'type="application/atom+xml" title="a&amp;b"' in html
    for kind in ("atom", "json"):
        assert f'href="{SEARCH}.{kind}?q=a%26b"' in html
        answer = client.get(f"{SEARCH}.{kind}?q=a%26b")
        assert answer["Access-Control-Allow-Origin"] == "*" and answer["ETag"]


@pytest.mark.parametrize("path", FEEDS)
def test_a_json_feed_is_valid_and_complete(client: Client, path: str) -> None:
    answer = client.get(f"{path}.json")
    assert answer["Content-Type"].startswith("application/feed+json")
    feed = json.loads(answer.content)
    assert feed["version"] == "https://jsonfeed.org/version/1.1"
    assert feed["feed_url"] == f"{settings.SITE_URL}{path}.json"
    first, _ = feed["items"]
    assert first["title"] == TITLE
    assert first["url"] == first["id"] == f"{settings.SITE_URL}/papers/2604.00001/"
    assert first["content_html"] == "<p>All of &lt;b&gt;it&lt;/b&gt;.</p>"
    assert first["authors"] == [{"name": "Ada Lovelace"}, {"name": "Emmy Noether"}]


@pytest.mark.parametrize("path", [*(f"{path}.atom" for path in FEEDS), "/", "/topics/"])
def test_who_asks_again_is_told_that_nothing_has_changed(
    client: Client, paper: MakePaper, path: str
) -> None:
    etag = client.get(path)["ETag"]
    again = client.get(path, headers={"if-none-match": etag})
    assert (again.status_code, again.content) == (304, b"")
    publish(paper(upvotes=9), graphs=1.0)
    assert client.get(path, headers={"if-none-match": etag}).status_code == 200


@pytest.mark.parametrize(
    ("page", "feeds"),
    [
        ("/", ["/feeds/all.atom"]),
        ("/topics/graphs/", ["/feeds/all.atom", "/feeds/topics/graphs.atom"]),
        (
            "/authors/Ada%20Lovelace/",
            ["/feeds/all.atom", "/feeds/authors/Ada%20Lovelace.atom"],
        ),
    ],
)
def test_pages_name_their_feeds(client: Client, page: str, feeds: list[str]) -> None:
    links = re.findall(
        r'type="application/atom\+xml"[^>]*href="([^"]+)"', html_of(client, page)
    )
    assert links == feeds
    for feed in feeds:
        assert client.get(feed)["Access-Control-Allow-Origin"] == "*"


@pytest.mark.each_row
@pytest.mark.parametrize(
    "path",
    [
        "/feeds/all.rss",
        "/feeds/topics/none.atom",
        "/feeds/authors/Nobody.json",
        f"{SEARCH}.atom",
        f"{SEARCH}.atom?q=%00",
    ],
)
def test_a_feed_that_is_none_is_not_found(client: Client, path: str) -> None:
    assert client.get(path).status_code == 404


def test_an_empty_topic_has_an_empty_feed(client: Client) -> None:
    Topic.objects.create(slug="empty", label="Empty", group="G", position=901, column=901)
    feed = ElementTree.fromstring(client.get("/feeds/topics/empty.atom").content)
    assert feed.findall(f"{ATOM}entry") == []


def in_sitemap(client: Client) -> set[str]:
    """All addresses, by way of the index."""
    found: set[str] = set()
    for part in re.findall("<loc>(.*?)</loc>", html_of(client, "/sitemap.xml")):
        text = html_of(client, html.unescape(part).removeprefix(settings.SITE_URL))
        found.update(re.findall("<loc>(.*?)</loc>", text))
    return found


def test_the_index_steps_from_day_to_day_and_reads_no_paper(client: Client) -> None:
    with CaptureQueriesContext(connection) as asked:
        index = html_of(client, "/sitemap.xml")
    assert f"<lastmod>{DAY}</lastmod>" in index
    assert len(asked) == 1 and "arxiv_id" not in asked[0]["sql"]


def test_each_week_with_papers_has_a_file_that_changes_with_its_newest_day(
    client: Client, paper: MakePaper
) -> None:
    earlier = DAY - timedelta(days=7)
    paper(day=earlier), paper(day=earlier + timedelta(days=1))
    named = re.findall(
        "<loc>(.*?)</loc><lastmod>(.*?)</lastmod>", html_of(client, "/sitemap.xml")
    )
    changed = {urlsplit(url).path: day for url, day in named}
    monday = earlier - timedelta(days=earlier.weekday())
    week = f"/sitemap-{monday}.xml"
    assert changed[week] == str(earlier + timedelta(days=1))
    assert list(changed) == [
        "/sitemap-lists.xml",
        f"/sitemap-{monday + timedelta(days=7)}.xml",
        week,
    ]
    found = re.findall("<loc>(.*?)</loc>", html_of(client, week))
    assert {day.split("/")[-2] for day in found if "2026-" in day} == {
        str(earlier),
        str(earlier + timedelta(days=1)),
    }
    for wrong in (monday + timedelta(days=1), monday - timedelta(days=7)):
        assert client.get(f"/sitemap-{wrong}.xml").status_code == 404


@pytest.mark.parametrize("path", ["/", "/de/topics/", "/papers/2604.00002/"])
def test_a_page_names_itself_in_every_language_of_the_sitemap(
    client: Client, path: str
) -> None:
    page, named = html_of(client, path), in_sitemap(client)
    bare = path.removeprefix("/de")
    for code, prefix in [("en", ""), ("x-default", ""), ("de", "/de")]:
        url = settings.SITE_URL + prefix + bare
        assert f'<link rel="alternate" hreflang="{code}" href="{url}">' in page
        assert url in named


def test_the_sitemap_names_pages_that_exist_and_robots_names_it(client: Client) -> None:
    robots = RobotFileParser()
    robots.parse(html_of(client, "/robots.txt").splitlines())
    for endless in ("/search/?q=x", "/saved/", "/de/search/?q=x", "/de/saved/"):
        assert not robots.can_fetch("*", endless)
    assert robots.site_maps() == [f"{settings.SITE_URL}/sitemap.xml"]
    found = in_sitemap(client)
    for path in ("", "papers/2604.00002/", "papers/2026-04-17/"):
        assert {f"{settings.SITE_URL}/{path}", f"{settings.SITE_URL}/de/{path}"} <= found
    for url in (min(found), max(found)):
        assert robots.can_fetch("*", url)
        html_of(client, url.removeprefix(settings.SITE_URL))
    assert not robots.can_fetch("*", f"{settings.SITE_URL}/search/?q=x")
