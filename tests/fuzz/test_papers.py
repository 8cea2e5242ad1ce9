"""Fuzz what comes from the paper source, and what is asked of the search."""

import time
import unicodedata
from contextlib import suppress
from io import BytesIO
from typing import Any
from urllib.parse import quote

import pytest
from django.core.cache import cache
from django.db import connection
from hypothesis import strategies as st

from digest.models import Paper
from digest.papers import ingest, search_index
from digest.papers.download import SourceError
from digest.papers.records import BadEntry, named, parse_entry
from digest.papers.sources import arxiv, saved_page
from digest.papers.text import TITLE_LIMIT, clean_line, clean_text, safe_url
from digest.ranking.meaning import search
from tests import make
from tests.fuzz import explore
from tests.fuzz.inputs import TEXT, trees
from tests.source_server import arxiv_entry, atom, entry

FIELDS = [
    *entry()["paper"],
    "abstract",
    "day",
    "published_at",
    "num_comments",
    "paper",
    "name",
]
FIELDS += ["github_repo", "projectPage", "arxiv_categories", "fullname", "hidden", "user"]
MOST_SECONDS = 2


def test_s31_fuzz_paper_text() -> None:
    def check(text: str) -> None:
        start = time.process_time()
        cleaned, line = clean_text(text * 20), clean_line(text)
        assert time.process_time() - start < MOST_SECONDS
        assert clean_text(cleaned) == cleaned and len(line) <= TITLE_LIMIT
        assert not {unicodedata.category(c) for c in cleaned} & {"Cc", "Cs", "Zl", "Zp"}
        assert unicodedata.is_normalized("NFC", cleaned)
        safe_url("https://" + text), safe_url(text)

    explore(TEXT, check)


@pytest.mark.embedded
@pytest.mark.django_db
def test_s31_fuzz_source_records() -> None:
    def check(fields: Any) -> None:
        inner, outer, bare = fields
        for told in (entry(**inner) | outer, {"paper": inner}, inner | outer, bare):
            assert "\n" not in named(told, "entry 1")
            try:
                record = parse_entry(told, day=make.DAY)
            except BadEntry as error:
                assert str(error).isprintable() and len(str(error)) < 200
                continue
            ingest.store([record], now=make.NOON)
            Paper.objects.get(arxiv_id=record.arxiv_id).full_clean(validate_unique=False)

    values = trees(FIELDS)
    told = st.dictionaries(st.sampled_from(FIELDS).filter(str.isidentifier), values)
    explore(st.tuples(told, told, values), check)


def test_s31_fuzz_feeds_and_saved_pages() -> None:
    """Whole ones with a piece of foreign text somewhere in them."""
    feed = atom(arxiv_entry(1)[2], arxiv_entry(2)[2])
    head = b"Daily Papers\n\nApr 17\n\n"
    page = head + b"T\n\nA\n\n  \xe2\x80\xa2 9 authors\n\xc2\xb7\nDec 10, 2025 1\n\n" * 3

    def check(told: tuple[str, int]) -> None:
        text, at = told[0].encode("utf-8", "surrogatepass"), told[1]
        start = time.process_time()
        with suppress(SourceError):
            arxiv._batch(arxiv._feed(feed[:at] + text + feed[at:]), "")
        file = BytesIO(page[: at % len(page)] + text + page[at % len(page) :])
        file.name = "page"
        with suppress(SourceError):
            list(saved_page.read_file(file, make.DAY))
        assert time.process_time() - start < MOST_SECONDS

    explore(st.tuples(TEXT, st.integers(0, len(feed))), check)


WORDS = "model models video of the a graph graphs diffusion learning fine-tuning c++ q1 2604.00001"
SYNTAX = [
    "author:",
    "topic:graphs",
    "after:2026",
    "before:2026-04",
    '"',
    '"of the',
    "author:ada",
]
LONGEST_QUERY = 200
MOST_SECONDS_OF_A_QUERY = 1


@pytest.fixture
def common_words(db: None) -> None:
    """Papers that share nearly all of their words, so that each query has much to rank."""
    abstract = f"{WORDS} " * 8
    papers = [
        Paper(
            arxiv_id=f"2604.{number:05}",
            title=f"{'Graph' if number % 2 else 'Video'} models of the q{number % 7}",
            abstract=abstract,
            authors=["Ada Example", f"Bo{number} Sample"],
            day=make.DAY,
            fetched_at=make.NOON,
        )
        for number in range(200)
    ]
    Paper.objects.bulk_create(papers)
    search_index.refresh()


def test_s31_fuzz_search_query(client: Any, common_words: None) -> None:
    """No text of 200 characters takes a second, in the database or in all."""
    took: list[float] = []

    def timed(execute: Any, *statement: Any) -> Any:
        start = time.perf_counter()
        try:
            return execute(*statement)
        finally:
            took.append(time.perf_counter() - start)

    def check(text: str) -> None:
        cache.clear()
        took.clear()
        start = time.process_time()
        with connection.execute_wrapper(timed):
            search(text[:LONGEST_QUERY]).papers(0, 30)
        assert time.process_time() - start < MOST_SECONDS_OF_A_QUERY
        assert sum(took) < MOST_SECONDS_OF_A_QUERY, took
        asked = {"q": text.encode("utf-8", "replace"), "page": text[:5]}
        assert client.get("/search/", asked).status_code == 200

    words = st.sampled_from(WORDS.split()) | st.sampled_from(SYNTAX) | TEXT
    queries = TEXT | st.lists(words, min_size=1, max_size=60).map(" ".join)
    explore(
        queries.filter(lambda text: not any("\ud800" <= c <= "\udfff" for c in text)), check
    )


PAGES = ["/papers/{}/", "/papers/{}/cite.bib", "/papers/{}/card.png", "/weeks/{}/"]
PAGES += ["/months/{}/", "/authors/{}/", "/organizations/{}/", "/topics/{}/", "/{}"]
PAGES += ["/feeds/{}", "/feeds/topics/{}.atom", "/feeds/authors/{}.json"]
PAGES += ["/feeds/search.atom?q={}", "/saved/?ids={}", "/saved/papers.ris?ids={}"]
PAGES += ["/topics/graphs/?page={}", "/subscribe/?topics={0}&searches={0}", "/?{}"]


@pytest.mark.django_db
def test_s31_fuzz_site_pages(client: Any) -> None:
    make.edition({make.paper(1): {"graphs": 1.0}})
    make.topic("graphs")
    client.raise_request_exception = False

    def check(asked: tuple[str, str]) -> None:
        page, text = asked
        cache.clear()
        path = page.format(quote(text, safe="/", errors="surrogatepass"))
        assert client.get(path).status_code < 500, path

    explore(st.tuples(st.sampled_from(PAGES), TEXT), check)
