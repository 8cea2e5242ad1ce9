"""The public pages as a browser without JavaScript or a cache sees them."""

import re
import time
from datetime import date, timedelta
from html import unescape
from urllib.parse import quote

import pytest
from django.conf import settings
from django.core.cache import cache
from django.db import connection
from django.templatetags.static import static
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext

from digest.models import Edition, Paper
from digest.papers.ingest import store
from digest.papers.records import parse_entry
from digest.site import limits
from subscribers.http import network
from subscribers.models import Topic
from tests import make
from tests.site.conftest import DAY, MakePaper, html_of, publish

pytestmark = pytest.mark.django_db

PUBLIC = ["/", "/papers/2026-04-17/", "/papers/2604.00001/", "/topics/", "/topics/graphs/"]
PUBLIC += ["/search/", "/search/?q=paper", "/privacy/", "/archive/", "/saved/"]
PUBLIC += ["/weeks/2026-04-17/", "/months/2026-04/", "/authors/Ada%20Lovelace/"]
PUBLIC += ["/saved/?ids=2604.00001", "/papers/2604.00001/?similar=date"]
PUBLIC += ["/topics/graphs/weeks/2026-04-17/", "/topics/graphs/months/2026-04/"]
HOSTILE = """<script>alert(1)</script>'"><img src=x onerror=alert(2)>{{7*7}}{% now "Y" %}"""


# -- days -------------------------------------------------------------------------


def test_the_front_page_shows_the_newest_day_most_upvoted_first(
    client: Client, paper: MakePaper
) -> None:
    paper(title="Of yesterday", day=DAY - timedelta(days=1), upvotes=900)
    paper(title="Quiet", upvotes=3)
    paper(title="Loud", upvotes=41)
    html = html_of(client, "/")
    shown = html[html.index('<ol class="papers">') : html.index("</ol>")]
    assert shown.index("Loud") < shown.index("Quiet")
    assert "Of yesterday" not in shown
    assert "Of yesterday" in html[html.index("Best of the week") :]
    assert "Friday, 17 April 2026" in html
    assert 'href="/papers/2026-04-16/"' in html


def test_samples_of_today_do_not_hide_the_newest_real_day(
    client: Client, paper: MakePaper
) -> None:
    paper(is_sample=True, title="A sample")
    assert "A sample" in html_of(client, "/")
    day = DAY - timedelta(days=90)
    paper(title="Of an archive", day=day)
    html = html_of(client, "/")
    assert "Of an archive" in html and "A sample" not in html
    week = html_of(client, f"/weeks/{day}/")
    assert "1 paper, most upvoted first" in week and f"/weeks/{DAY}/" not in week
    assert f"/papers/{DAY}/" not in html_of(client, f"/papers/{day}/")


def test_an_archive_without_editions_stands_under_its_topics(
    client: Client, graphs: Topic
) -> None:
    entry = {
        "id": "2604.09999",
        "title": "Graph neural networks, deeper",
        "abstract": "GNNs.",
    }
    store([parse_entry(entry, day=DAY)], now=make.NOON)
    link = '<a href="/topics/graphs/">'
    for path in (
        "/topics/graphs/",
        f"/topics/graphs/weeks/{DAY}/",
        "/feeds/topics/graphs.atom",
    ):
        assert "Graph neural networks, deeper" in html_of(client, path)
    assert link in html_of(client, "/papers/2604.09999/")
    assert f'href="/topics/graphs/weeks/{DAY - timedelta(days=4)}/"' in html_of(
        client, f"/weeks/{DAY}/"
    )


def test_what_changes_of_a_paper_or_its_topics_shows_at_once(
    client: Client, paper: MakePaper
) -> None:
    changing = paper(title="Changing", upvotes=41)
    label = Topic.objects.get(slug="graphs").label
    graphs = f'<li><a href="/topics/graphs/">{label}</a></li>'
    assert "<b>41</b>" in html_of(client, "/") and graphs not in html_of(client, "/")
    Paper.objects.filter(pk=changing.pk).update(upvotes=42)
    assert "<b>42</b>" in html_of(client, "/") and "<b>41</b>" not in html_of(client, "/")
    publish(changing, graphs=1.0)
    assert graphs in html_of(client, "/")


def test_the_front_page_asks_for_the_address_before_its_papers(
    client: Client, paper: MakePaper
) -> None:
    paper()
    html = html_of(client, "/")
    assert html.index('name="email"') < html.index('<ol class="papers">')
    assert 'action="/subscribe/"' in html
    stops = re.findall(r"<(?:a|button|input)\b(?![^>]*(?:hidden|type=.hidden))[^>]*>", html)
    assert next(n for n, tag in enumerate(stops, 1) if 'name="email"' in tag) <= 10


@pytest.mark.parametrize("begin", ["get", "post"])
def test_a_topics_page_keeps_its_topic_ticked_at_the_sign_up(
    client: Client, graphs: Topic, begin: str
) -> None:
    assert f'name="topics" value="{graphs.slug}"' in html_of(client, "/topics/graphs/")
    if begin == "get":
        html = html_of(client, "/subscribe/?topics=graphs&topics=no-such-topic")
    else:
        given = {"step": "address", "email": "Ann@Example.org", "topics": "graphs"}
        html = client.post("/subscribe/", given).text
        assert 'value="Ann@example.org"' in html
        assert "Choose your topics and hour" in html
    assert re.findall(r'value="([^"]+)" checked', html) == ["graphs"]


@pytest.mark.parametrize("begin", ["get", "post"])
def test_a_result_page_keeps_its_search_at_the_sign_up(client: Client, begin: str) -> None:
    query = 'author:"Ann <b>" knots & graphs'
    page = html_of(client, f"/search/?q={quote(query)}")
    (kept,) = re.findall(r'name="searches" value="([^"]*)"', page)
    assert unescape(kept) == query
    if begin == "get":
        html = html_of(client, f"/subscribe/?searches={quote(query)}")
    else:
        given = {"step": "address", "email": "ann@example.org", "searches": query}
        html = client.post("/subscribe/", given).text
    (shown,) = re.findall(r'<textarea name="searches"[^>]*>([^<]*)</textarea>', html)
    assert unescape(shown).strip() == query
    assert "<h1>Get your search by mail</h1>" in html
    assert html.index('name="searches"') < html.index('id="topics"')
    assert 'name="searches"' not in html_of(client, "/subscribe/")


@pytest.mark.parametrize("language", ["", "/de"])
@pytest.mark.parametrize(
    ("path", "brings"),
    [
        ("/", []),
        ("/papers/2026-04-17/", []),
        ("/topics/graphs/", [("topics", "graphs")]),
        ("/search/?q=knots", [("searches", "knots")]),
    ],
)
def test_the_first_step_brings_what_its_page_is_about_and_nothing_else(
    client: Client,
    paper: MakePaper,
    path: str,
    brings: list[tuple[str, str]],
    language: str,
) -> None:
    publish(paper(title="Knots"), graphs=1.0)
    page = html_of(client, language + path)
    (form,) = re.findall(r'<form class="begin".*?</form>', page, re.DOTALL)
    hidden = re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form)
    assert hidden == [("step", "address"), *brings]


def test_a_mistyped_address_is_told_at_the_first_step(client: Client) -> None:
    answer = client.post("/subscribe/", {"step": "address", "email": "ann"})
    assert answer.status_code == 400
    assert "An address has an @" in answer.text


def test_a_paper_in_a_list_tells_all_that_is_known_of_it(
    client: Client, paper: MakePaper
) -> None:
    paper(
        arxiv_id="2604.01234",
        abstract="All of the abstract.",
        authors=["A One", "B Two", "C Three", "D Four", "E Five"],
        author_count=5,
        upvotes=1,
        comments=2,
        code_url="https://github.com/some/code",
    )
    html = html_of(client, "/")
    for name in ("A One", "B Two", "C Three"):
        assert f'<a href="/authors/{quote(name)}/">{name}</a>' in html
    assert "D Four" not in html
    assert ", 2 more</p>" in html
    assert re.search(r"<b>1</b> upvote<", html)
    assert "2 comments" in html
    assert "17 Apr 2026" not in html  # the list is of one day
    assert re.search(
        r"<details.*<summary>.*All of the abstract\..*</details>", html, re.DOTALL
    )
    for url in [
        "https://arxiv.org/abs/2604.01234",
        "https://arxiv.org/pdf/2604.01234",
        "https://github.com/some/code",
        "https://huggingface.co/papers/2604.01234",
    ]:
        assert f'href="{url}"' in html


def test_votes_that_nobody_told_are_not_zero(client: Client, paper: MakePaper) -> None:
    paper(has_votes=False, upvotes=0)
    pages = ["/", "/papers/2604.00001/", "/search/?q=paper", "/weeks/2026-04-13/"]
    assert not [page for page in pages if "0</b> upvote" in html_of(client, page)]
    assert "0 upvotes" not in html_of(client, "/papers/2604.00001/")
    told = client.get("/api/v1/papers/2604.00001").json()
    assert told["upvotes"] is None
    Paper.objects.update(has_votes=True)
    assert not [page for page in pages if "upvote" not in html_of(client, page)]
    assert client.get("/api/v1/papers/2604.00001").json()["upvotes"] == 0


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        (
            {"abstract": "Tea is hot. However, it cools. We introduce Teapot, a pot."},
            "We introduce Teapot, a pot.",
        ),
        (
            {"summary": "A pot <b>that</b> pours.", "abstract": "We introduce Teapot."},
            "A pot &lt;b&gt;that&lt;/b&gt; pours. "
            '<span class="hint" lang="en">(AI summary)</span>',
        ),
    ],
)
def test_a_list_says_one_line_of_each_paper(
    client: Client, paper: MakePaper, fields: dict[str, str], line: str
) -> None:
    paper(**fields)
    assert f'<p class="said" lang="en" dir="auto">{line}</p>' in html_of(client, "/")


@pytest.mark.parametrize(
    ("fields", "byline"),
    [
        ({"authors": ["Solo Author"], "author_count": 1}, "Solo Author"),
        ({"authors": ["A B", "C D"], "author_count": 2}, "A B, C D"),
        (
            {"organization": "Some Institute"},
            "Ada Lovelace, Emmy Noether · Some Institute",
        ),
        ({"authors": ["A B"], "author_count": 9}, "A B, 8 more"),
        ({"authors": [], "author_count": 9}, "9 authors"),
        ({"authors": [], "author_count": 0, "organization": "Some"}, "Some"),
    ],
)
def test_the_byline_names_the_first_authors_and_the_organization(
    client: Client, paper: MakePaper, fields: dict[str, object], byline: str
) -> None:
    paper(**fields)
    found = re.search(r'class="byline"[^>]*>(.*?)</p>', html_of(client, "/"))
    assert found
    assert re.sub("<[^>]*>", "", found[1]) == byline


def test_a_paper_without_authors_has_no_byline(client: Client, paper: MakePaper) -> None:
    paper(authors=[], author_count=0)
    html = html_of(client, "/")
    assert 'class="byline"' not in html
    assert "0 author" not in html


def test_a_sample_paper_is_marked_and_links_nowhere(
    client: Client, paper: MakePaper
) -> None:
    paper(is_sample=True, code_url="https://github.com/some/code")
    for path in ["/", "/papers/2604.00001/"]:
        html = html_of(client, path)
        assert re.search('<span class="tag"[^>]*>sample</span>', html)
        assert "https://arxiv.org/abs" not in html
        assert "https://github.com" not in html


def test_a_day_links_the_nearest_days_that_have_papers(
    client: Client, paper: MakePaper
) -> None:
    for day in [date(2026, 4, 13), DAY, date(2026, 4, 21)]:
        paper(day=day)
    html = html_of(client, "/papers/2026-04-17/")
    assert '<a rel="prev" href="/papers/2026-04-13/"' in html
    assert '<a rel="next" href="/papers/2026-04-21/"' in html


def test_a_day_without_papers_leads_to_the_nearest_days(
    client: Client, paper: MakePaper
) -> None:
    paper(day=date(2026, 4, 16))
    paper(day=date(2026, 4, 20))
    html = html_of(client, "/papers/2026-04-18/", status=404)
    assert "No papers on 18 April 2026" in html
    assert 'href="/papers/2026-04-16/"' in html
    assert 'href="/papers/2026-04-20/"' in html


@pytest.mark.parametrize(
    "path",
    [
        "2026-13-45",
        "2026-02-30",
        "0000-00-00",
        "17-04-2026",
        "20260417",
        "yesterday",
        "%F0%9F%90%8D",
    ],
)
def test_what_is_neither_day_nor_paper_is_told_how_to_write_one(
    client: Client, path: str
) -> None:
    html = html_of(client, f"/papers/{path}/", status=404)
    assert "/papers/2026-04-17/" in html or "Page not found" in html


def test_a_day_that_is_none_is_told_what_a_day_looks_like(client: Client) -> None:
    assert "<code>/papers/2026-04-17/</code>" in html_of(client, "/papers/2026-02-30/", 404)


def test_an_empty_database_has_a_page_that_says_how_to_fetch(client: Client) -> None:
    html = html_of(client, "/")
    assert "No papers yet" in html
    assert "manage.py fetch" in html
    assert 'action="/subscribe/"' in html


# -- one paper --------------------------------------------------------------------


def test_a_paper_has_a_page_with_all_authors_and_its_topics(
    client: Client, paper: MakePaper, graphs: Topic
) -> None:
    names = [f"Author Number{n}" for n in range(12)]
    publish(paper(authors=names, author_count=12), graphs=1.0, unknown=0.5)
    html = html_of(client, "/papers/2604.00001/")
    assert re.findall(r'<span itemprop="name">(.*?)</span>', html) == names
    assert "What paper 1 found." in html
    assert '<a href="/topics/graphs/">Graphs</a>' in html


@pytest.mark.parametrize(
    ("stored", "asked"),
    [
        ("2604.01234", "2604.01234v2"),
        ("cs/0112017", "cs/0112017"),
        ("cs/0112017", "CS/0112017v1"),
        ("hep-th/9901001", "hep-th/9901001"),
    ],
)
def test_a_paper_is_found_by_any_way_to_write_its_id(
    client: Client, paper: MakePaper, stored: str, asked: str
) -> None:
    paper(arxiv_id=stored)
    html = html_of(client, f"/papers/{asked}/")
    assert f'<link rel="canonical" href="{settings.SITE_URL}/papers/{stored}/">' in html


# -- topics -----------------------------------------------------------------------


def test_a_topic_shows_its_papers_newest_day_first(
    client: Client, paper: MakePaper, graphs: Topic
) -> None:
    old = paper(title="Older", day=DAY - timedelta(days=1), upvotes=99)
    publish(old, day=old.day, graphs=1.0)
    publish(paper(title="Newer"), graphs=0.4)
    publish(paper(title="Of another topic"), graphs_and_more=1.0)
    html = html_of(client, "/topics/graphs/")
    assert html.index("Newer") < html.index("Older")
    assert "Of another topic" not in html


def test_a_paper_of_a_daily_and_a_weekly_edition_is_listed_once(
    client: Client, paper: MakePaper, graphs: Topic
) -> None:
    found = paper()
    publish(found, graphs=1.0)
    weekly = Edition.objects.create(kind="weekly", day=DAY, published_at=found.fetched_at)
    weekly.blocks.create(
        paper=found,
        position=0,
        title="",
        upvotes=0,
        topics={"graphs": 1.0},
        html="",
        text="",
    )
    assert html_of(client, "/topics/graphs/").count('<li class="paper"') == 1


def test_the_topics_page_counts_the_newest_thirty_days(
    client: Client, paper: MakePaper, graphs: Topic
) -> None:
    old = paper(day=DAY - timedelta(days=31))
    publish(old, day=old.day, graphs=1.0)
    publish(paper(), paper(), graphs=1.0)
    html = html_of(client, "/topics/")
    assert re.search(
        r'href="/topics/graphs/">Graphs</a>.*?2 papers in 30 days', html, re.DOTALL
    )


def test_a_long_topic_comes_in_pages(
    client: Client, paper: MakePaper, graphs: Topic
) -> None:
    publish(*(paper() for _ in range(31)), graphs=1.0)
    assert html_of(client, "/topics/graphs/").count('<li class="paper"') == 30
    assert html_of(client, "/topics/graphs/?page=2").count('<li class="paper"') == 1
    assert html_of(client, "/topics/graphs/?page=pi").count('<li class="paper"') == 30
    assert (
        html_of(client, f"/topics/graphs/?page={'9' * 40}").count('<li class="paper"') == 1
    )


@pytest.mark.parametrize("language", ["", "/de"])
def test_the_best_of_a_topics_week_is_two_clicks_away(
    client: Client, paper: MakePaper, graphs: Topic, language: str
) -> None:
    last_week = DAY - timedelta(days=7)
    for title, day, upvotes in [
        ("Best", last_week, 9),
        ("Second", last_week - timedelta(days=2), 3),
        ("Of this week", DAY, 20),
        ("Of an older month", DAY - timedelta(days=40), 7),
    ]:
        publish(paper(title=title, day=day, upvotes=upvotes), day=day, graphs=1.0)
    publish(paper(title="Of another topic", day=last_week, upvotes=99), day=last_week)
    week = f"{language}/topics/graphs/weeks/2026-04-06/"
    for start in (f"{language}/topics/graphs/", f"{language}/weeks/{last_week}/"):
        assert f'href="{week}"' in html_of(client, start)
    html = html_of(client, week)
    assert re.findall(r'<li class="paper" id="paper-2604.0000(\d)"', html) == ["1", "2"]
    assert f'rel="next" href="{language}/topics/graphs/weeks/{DAY}/"' in html
    assert f'rel="prev" href="{language}/topics/graphs/weeks/2026-03-08/"' in html
    assert f'href="{language}/weeks/2026-04-06/"' in html
    month = html_of(client, f"{language}/topics/graphs/months/2026-04/")
    assert re.findall(r'<li class="paper" id="paper-2604.0000(\d)"', month) == [
        "3",
        "1",
        "2",
    ]
    assert html_of(client, f"{language}/topics/graphs/weeks/2026-03-30/", 404)
    missing = html_of(client, f"{language}/topics/grafs/weeks/2026-04-06/", 404)
    assert f'<a href="{language}/topics/graphs/"' in missing


def test_an_unknown_topic_leads_to_the_known_ones(client: Client) -> None:
    html = html_of(client, "/topics/astrology/", status=404)
    assert "Topic not found" in html
    assert 'href="/topics/"' in html


# -- weeks, months, authors, organizations ----------------------------------------


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/weeks/2026-04-15/", ["Friday", "Monday"]),
        ("/months/2026-04/", ["Friday", "First", "Monday"]),
        ("/authors/Emmy%20Noether/", ["Friday", "Monday", "First"]),
        ("/organizations/Some%20Institute/", ["Monday"]),
        ("/saved/?ids=2604.00002,2604.00001,no,2604.99999", ["Monday", "First"]),
    ],
)
def test_a_list_has_its_papers_in_its_order(
    client: Client, paper: MakePaper, path: str, shown: list[str]
) -> None:
    paper(title="First", day=date(2026, 4, 1), upvotes=5)
    paper(title="Monday", day=date(2026, 4, 13), organization="Some Institute")
    paper(title="Friday", day=DAY, upvotes=9)
    paper(title="In March", day=date(2026, 3, 31), authors=["Emmy Noether-Brown"])
    html = html_of(client, path)
    assert re.findall(r'<h3[^>]*><a href="/papers/[^"]*">(.*?)</a>', html) == shown


def test_the_calendar_links_the_days_that_have_papers(
    client: Client, paper: MakePaper
) -> None:
    paper(day=date(2026, 4, 1))
    paper()
    html = html_of(client, "/papers/2026-04-17/")
    month = html[html.index('<table class="calendar">') : html.index("</table>")]
    assert re.findall(r'href="(/papers/[^"]+)"', month) == [
        "/papers/2026-04-01/",
        "/papers/2026-04-17/",
    ]
    assert 'aria-current="date">17<' in month


@pytest.mark.each_row
@pytest.mark.parametrize(
    "path",
    [
        "/weeks/0001-01-01/",
        "/weeks/9999-12-31/",
        "/weeks/2026-13-01/",
        "/weeks/0500-05-05/",
        "/weeks/0001-01-09/",
        "/weeks/9999-12-20/",
        "/weeks/1990-01-01/",
        "/weeks/2200-12-31/",
        "/de/weeks/0500-05-05/",
        "/topics/knots/weeks/0500-05-05/",
        "/papers/0001-01-01/",
        "/papers/9999-12-05/",
        "/papers/9999-12-31/",
        "/editions/daily/0001-01-01/",
        "/months/0001-01/",
        "/months/0500-05/",
        "/months/1990-01/",
        "/months/2200-12/",
        "/topics/knots/months/0500-05/",
        "/months/9999-12/",
        "/months/2026-13/",
        "/months/1999-01/",
        "/authors/Nobody/",
        "/authors/a%00b/",
        "/authors/..%2f..%2f/",
        "/organizations/%25/",
        "/papers/2604.99999/cite.bib",
        "/papers/2604.00001/cite.exe",
        "/saved/papers.exe",
    ],
)
def test_what_has_no_papers_is_not_found(
    client: Client, paper: MakePaper, path: str
) -> None:
    make.topic("knots")
    paper()
    html_of(client, path, status=404)


# -- what a lost reader may have meant --------------------------------------------


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("/graph/", "/topics/graphs/"),
        ("/topics/graph/", "/topics/graphs/"),
        ("/topic/graphs", "/topics/graphs/"),
        ("/abs/2604.00001", "/papers/2604.00001/"),
        ("/pdf/2604.00001v2.pdf", "/papers/2604.00001/"),
        ("/papers/260400001/", "/papers/2604.00001/"),
        ("/papers/2604.00009/", "/papers/2604.00001/"),
        ("/2026/04/17", "/papers/2026-04-17/"),
        ("/daily/2026-04-18", "/papers/2026-04-17/"),
        ("/searches", "/search/"),
        ("/archives/", "/archive/"),
    ],
)
def test_a_page_that_is_missing_names_the_nearest_and_offers_the_search(
    client: Client, paper: MakePaper, graphs: Topic, path: str, meant: str
) -> None:
    paper()
    html = html_of(client, path, status=404)
    assert 'role="search"' in html
    assert f'href="{meant}"' in html[html.index("Did you mean") :]


# -- search -----------------------------------------------------------------------


@pytest.mark.each_row
@pytest.mark.parametrize(
    "query",
    ["diffusion", "DIFFUSION models", "hinton", "Gödel", "faster", "  models\tfaster "],
)
def test_search_finds_words_in_title_abstract_and_authors(
    client: Client, paper: MakePaper, query: str
) -> None:
    paper(
        title="Diffusion Models", abstract="Now faster.", authors=["K. Gödel", "G. Hinton"]
    )
    paper(title="Something else")
    html = html_of(client, f"/search/?q={quote(query)}")
    assert "Diffusion Models" in plain(html)
    assert "Something else" not in plain(html)


def plain(html: str) -> str:
    """The page without the marks around hits."""
    return re.sub("</?mark>", "", html)


def test_an_empty_search_result_helps(client: Client, paper: MakePaper) -> None:
    paper(title="Diffusion")
    html = html_of(client, "/search/?q=zebra+rodent")
    assert "No paper matches “<bdi>zebra rodent</bdi>”" in html
    assert 'id="search-help" open' in html
    html = html_of(client, "/search/?q=diffusion+after:2027")
    assert "Try it without" in html


def test_hits_are_marked_in_title_authors_and_abstract(
    client: Client, paper: MakePaper
) -> None:
    paper(
        title="Graph-based <Diffusion>",
        abstract="Of graphs & more.",
        authors=["Ada Lovelace", "Bo", "Cy", "Dee", "Jürgen Größ"],
    )
    html = html_of(client, "/search/?q=graphs+diffusion")
    assert "<mark>Graph</mark>-based &lt;<mark>Diffusion</mark>&gt;</a>" in html
    assert "Of <mark>graphs</mark> &amp; more." in html
    html = html_of(client, "/search/?q=author:gross")
    assert "Jürgen <mark>Größ</mark>" in html


def test_topics_and_years_narrow_a_search(client: Client, paper: MakePaper) -> None:
    title = "Graph neural networks"
    publish(paper(title=title, day=DAY), graphs=1.0)
    paper(title=title, day=DAY - timedelta(days=400))
    paper(title="Robot networks", abstract="Networks for robot manipulation.")
    html = html_of(client, "/search/?q=network")
    assert 'href="/search/?q=network+after%3A2025+before%3A2026">2025</a>' in html
    assert 'href="/search/?q=network+topic%3Agraphs"' in html
    narrowed = html_of(client, "/search/?q=network+after%3A2025+before%3A2026")
    assert narrowed.count('<li class="paper"') == 1
    assert html_of(client, "/search/?q=network+topic%3Agraphs").count('class="paper"') == 2


def test_another_spelling_is_said_and_proposed(client: Client, paper: MakePaper) -> None:
    for _ in range(45):
        paper(title="Transformer models")
    paper(title="A transfrmer")
    html = html_of(client, "/search/?q=ttransformers")
    assert "No paper has “<bdi>ttransformers</bdi>”" in html and "<mark>Transformer" in html
    html = html_of(client, "/search/?q=transfrmer")
    assert 'Did you mean <a href="/search/?q=transformer">' in html
    html = html_of(client, "/search/?q=2511.99999")
    assert "We have no paper 2511.99999" in html


@pytest.mark.each_row
@pytest.mark.parametrize(
    "query",
    ["%", "_", "\\", "'; DROP TABLE digest_paper; --", "\x00", "\ud800", HOSTILE, "[", '"'],
)
def test_search_takes_any_text_literally(
    client: Client, paper: MakePaper, query: str
) -> None:
    paper(title="Plain", authors=["Plain"])
    html = html_of(client, f"/search/?q={quote(query, errors='surrogatepass')}")
    assert "Plain</a>" not in html
    assert "<script>alert" not in html
    assert "<img src=x" not in html


def test_search_is_capped_and_says_so_to_the_browser(
    client: Client, paper: MakePaper
) -> None:
    html = html_of(client, f"/search/?q={'a' * 5000}")
    assert 'maxlength="200"' in html
    assert "a" * 200 in html
    assert "a" * 201 not in html


def test_search_covers_all_years(client: Client, paper: MakePaper) -> None:
    paper(title="Ancient diffusion", day=DAY - timedelta(days=3660))
    paper(title="Recent diffusion", day=DAY)
    html = plain(html_of(client, "/search/?q=diffusion"))
    assert html.index("Recent diffusion") < html.index("Ancient diffusion")


def test_the_next_page_of_a_search_keeps_its_words(
    client: Client, paper: MakePaper
) -> None:
    for _ in range(31):
        paper(title="Q&A with trees")
    html = html_of(client, "/search/?q=Q%26A")
    assert 'href="?q=Q%26A&amp;page=2"' in html
    assert html_of(client, "/search/?q=Q%26A&page=2").count('<li class="paper"') == 1


# -- hostile papers ---------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/papers/2604.00001/",
        "/topics/graphs/",
        "/search/?q=alert",
        "/saved/?ids=2604.00001",
        "/months/2026-04/",
    ],
)
def test_hostile_paper_text_stays_text(
    client: Client, paper: MakePaper, graphs: Topic, path: str
) -> None:
    hostile = paper(
        title=HOSTILE,
        abstract=HOSTILE,
        authors=[HOSTILE],
        organization="",
        code_url="javascript:alert(3)",
        project_url="data:text/html,<script>alert(4)</script>",
    )
    publish(hostile, graphs=1.0)
    html = html_of(client, path)
    assert "<script>alert" not in html
    assert "<img src=x" not in html
    assert "{{7*7}}" in html
    assert "javascript:alert" not in html
    assert "data:text/html" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html


# -- the manners of all public pages ----------------------------------------------


@pytest.fixture
def furnished(paper: MakePaper, graphs: Topic) -> Paper:
    found = paper()
    publish(found, graphs=1.0)
    return found


@pytest.mark.parametrize("path", PUBLIC)
def test_a_public_page_sets_no_cookie_and_may_be_cached(
    client: Client, furnished: Paper, path: str
) -> None:
    response = client.get(path)
    assert response.status_code == 200
    assert not response.cookies
    assert "Cookie" not in response.headers.get("Vary", "")
    assert response.headers["Cache-Control"].startswith("public, max-age=60")
    assert "csrfmiddlewaretoken" not in response.content.decode()


@pytest.mark.each_row
@pytest.mark.parametrize("path", [*PUBLIC, "/nothing/here/", "/papers/2026-02-30/"])
def test_every_page_forbids_what_it_does_not_need(
    client: Client, furnished: Paper, path: str
) -> None:
    response = client.get(path)
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    html = response.content.decode()
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]*\ssrc=)", html)
    others = html.replace(f' href="{settings.SITE_URL}/', "")
    assert not re.search(r'(?:src|<link[^>]* href)="(?:https?:)?//', others)


@pytest.mark.parametrize("path", PUBLIC)
def test_a_public_page_answers_reading_only(furnished: Paper, path: str) -> None:
    client = Client(enforce_csrf_checks=True)  # as for everybody but the other tests
    assert client.head(path).status_code == 200
    for method in ("POST", "PUT", "DELETE"):
        assert client.generic(method, path).status_code == 405


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("agents -coding", "-coding"),
        ("paper NOT -x", "NOT -x"),
        ('paper -"two words"', "-&quot;two"),
        ("paper -topic:graphs", "-topic:graphs"),
        ("state-of-the-art paper - a note", ""),
        ("to be or not to be", ""),
    ],
)
def test_a_search_that_would_leave_something_out_is_told(
    client: Client, paper: MakePaper, query: str, told: str
) -> None:
    html = html_of(client, f"/search/?q={quote(query)}")
    assert ("leaves nothing out" in html) == bool(told)
    assert not told or f"“<bdi>{told}</bdi>” is looked for" in html


def test_the_oldest_name_of_the_icon_leads_to_it(client: Client) -> None:
    answer = client.get("/favicon.ico")
    assert (answer.status_code, answer["Location"]) == (302, static("favicon.svg"))


@pytest.mark.parametrize(
    "path", ["/papers/2026-04-17/", "/de/papers/2604.00001/", "/digest/1d-2e"]
)
def test_what_a_mail_program_adds_to_a_link_is_forgiven(client: Client, path: str) -> None:
    for tail in (">", ")", ".", "%22", "**"):
        assert client.get(path + tail)["Location"] == path


def test_the_number_of_queries_does_not_grow_with_the_papers(
    client: Client, paper: MakePaper, graphs: Topic
) -> None:
    def queries(path: str) -> int:
        with CaptureQueriesContext(connection) as captured:
            html_of(client, path)
        return len(captured)

    paths = [path for path in PUBLIC if path not in {"/search/", "/privacy/"}]
    publish(*(paper() for _ in range(3)), graphs=1.0)  # with fewer a search tries more
    with_few = {path: queries(path) for path in paths}
    publish(*(paper() for _ in range(47)), graphs=1.0)
    assert {path: queries(path) for path in paths} == with_few
    assert max(with_few.values()) <= 8, with_few


def test_a_wrong_host_is_refused(client: Client) -> None:
    response = client.get("/", headers={"host": "evil.example.org"})
    assert response.status_code == 400
    assert "evil" not in response.content.decode()


def test_errors_have_pages_of_the_same_family(client: Client) -> None:
    html = html_of(client, "/nothing/here/", status=404)
    assert "Page not found" in html
    assert "Resolver404" not in html
    assert 'class="masthead"' in html


def test_a_fault_of_ours_shows_a_page_and_no_detail(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.raise_request_exception = False
    monkeypatch.setattr("digest.site.archive.newest_day", lambda: 1 / 0)
    html = html_of(client, "/", status=500)
    assert "Something went wrong" in html
    assert "ZeroDivisionError" not in html


def test_the_privacy_page_says_who_and_what(client: Client) -> None:
    html = html_of(client, "/privacy/")
    assert settings.POSTAL_ADDRESS.split(",")[0] in html
    assert "What we store" in html


# -- machines ---------------------------------------------------------------------


def test_healthz_needs_no_database(client: Client) -> None:
    with CaptureQueriesContext(connection) as captured:
        response = client.get("/healthz")
    assert (response.status_code, response.content) == (200, b"ok\n")
    assert len(captured) == 0


@pytest.mark.embedded
@pytest.mark.parametrize(
    ("address", "most"),
    [("203.0.114.7", limits.PER_NETWORK), ("127.0.0.1", limits.PER_PROXY)],
)
@pytest.mark.django_db
def test_a_network_searches_so_often_in_a_minute(
    client: Client, monkeypatch: pytest.MonkeyPatch, address: str, most: int
) -> None:
    cache.clear()
    monkeypatch.setattr(time, "time", lambda: 1_776_412_800.0)
    whose = network(RequestFactory().get("/", REMOTE_ADDR=address))
    for _ in range(most - 1):
        assert limits.within_limit(whose)
    assert client.get("/search/?q=graphs", REMOTE_ADDR=address).status_code == 200
    refused = client.get("/search/?q=graphs", REMOTE_ADDR=address)
    assert (refused.status_code, refused["Retry-After"]) == (429, "60")
    assert refused["Cache-Control"] == "no-store"
    assert client.get("/search/", REMOTE_ADDR=address).status_code == 200
    assert client.get("/search/?q=graphs", REMOTE_ADDR="198.51.101.9").status_code == 200
    monkeypatch.setattr(time, "time", lambda: 1_776_412_860.0)
    assert client.get("/search/?q=graphs", REMOTE_ADDR=address).status_code == 200
