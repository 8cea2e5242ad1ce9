"""Search: what a text asks for, which papers it finds, in which order, and the index."""

import time
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import given
from hypothesis import strategies as st

from digest.models import Paper, PaperWords
from digest.papers import search_index
from digest.papers.ingest import store
from digest.papers.records import parse_entry
from digest.papers.search import distance, search
from digest.papers.search_query import Query, Term, marked, parse, snippet
from digest.papers.words import tokens
from tests import make

TOPICS = [("graphs", "Graph learning"), ("rl", "Reinforcement learning")]


# -- reading a query ----------------------------------------------------------------------

READ = {
    "graphs of Models": Query("", terms=(Term(("graph",)), Term(("model",))), run=("graph", "of", "model")),
    '"world models" now': Query("", terms=(Term(("world", "model")), Term(("now",))), run=("now",)),
    'author:"Yann LeCun"': Query("", authors=(Term(("yann", "lecun")),)),
    "AUTHOR:Nießner": Query("", authors=(Term(("niessner",)),)),
    "topic:rl": Query("", topics=("rl",)),
    'topic:"graph learning"': Query("", topics=("graphs",)),
    "after:2026-03 before:2026-04-15": Query("", after=date(2026, 3, 1), before=date(2026, 4, 15)),
    "after:2025": Query("", after=date(2025, 1, 1)),
    "2504.05299": Query("", ids=("2504.05299",)),
    "arXiv:2504.05299v12": Query("", ids=("2504.05299",)),
    "https://arxiv.org/abs/2504.05299": Query("", ids=("2504.05299",)),
    "https://www.arxiv.org/pdf/2504.05299v2.pdf": Query("", ids=("2504.05299",)),
    "https://huggingface.co/papers/2504.05299#community": Query("", ids=("2504.05299",)),
    "https://doi.org/10.48550/arXiv.2504.05299": Query("", ids=("2504.05299",)),
    "hep-th/9901001v1": Query("", ids=("hep-th/9901001",)),
    "https://arxiv.org/abs/math.GT/0309136": Query("", ids=("math.gt/0309136",)),
    "2504.05299 and 2504.05300": Query("", ids=("2504.05299", "2504.05300"), terms=(Term(("and",)),), run=("and",)),
    # what cannot be read is words
    "topic:astrology": Query("", terms=(Term(("topic",)), Term(("astrologi",))), run=("topic", "astrologi")),
    "after:soon": Query("", terms=(Term(("after",)), Term(("soon",))), run=("after", "soon")),
    '"': Query(""),
    "author:": Query("", terms=(Term(("author",)),), run=("author",)),
    "C++, C#": Query("", terms=(Term(("cplusplus",)), Term(("csharp",))), run=("cplusplus", "csharp")),
}  # fmt: skip


@pytest.mark.parametrize("text", READ)
def test_a_query_is_read(text):
    assert replace(parse(text, TOPICS), text="") == READ[text]


@pytest.mark.parametrize("text", ["fine-tuning", "fine tuning", "fine–tuning"])
def test_a_hyphen_a_gap_and_nothing_are_the_same(text):
    assert [term.others for term in parse(text).terms] == [("finetuning",)] * 2


@given(st.text(max_size=300))
def test_every_text_is_a_query_and_marks_lose_nothing(text):
    query = parse(text, TOPICS)
    assert all(word.isalnum() for term in query.terms for word in term.words)
    assert "".join(part for part, _ in marked(text, query)) == text


def test_a_passage_shows_the_part_with_most_hits():
    text = "Start here. " + "Words of no use fill this. " * 30 + "A graph of robots moves."
    shown = "".join(part for part, _ in snippet(text, parse("robot graphs")))
    assert (
        "A graph of robots moves." in shown and shown.startswith("…") and len(shown) < 300
    )
    assert snippet(text, parse("zebra")) == []


@pytest.mark.parametrize(
    ("one", "other", "away"),
    [("", "", 0), ("gallego", "gallego", 0), ("vicotr", "victor", 1), ("niesner", "niessner", 1),
     ("kagle", "kaggle", 1), ("abc", "", 3), ("kitten", "sitting", 3)],
)  # fmt: skip
def test_distance_counts_the_slips_of_a_finger(one, other, away):
    assert distance(one, other) == distance(other, one) == away


# -- finding ------------------------------------------------------------------------------

PAPERS: dict[str, dict[str, Any]] = {
    "named": {"title": "Mamba: Linear-Time Sequence Modeling", "authors": ["Albert Gu", "Tri Dao"]},
    "titled": {"title": "A survey of Mamba networks", "authors": ["Hugo Laurençon"]},
    "told": {"title": "Vision backbones", "abstract": "We compare with Mamba once.", "authors": ["Matthias Nießner"]},
    "tuned": {"title": "Fine-tuning language models", "authors": ["Víctor Gallego"], "organization": "LG AI Research"},
    "joined": {"title": "Finetuning of robots", "authors": ["Victor Other", "Maria Gallego"]},
    "graphs": {"title": "Graph neural networks and message passing", "ai_keywords": ["heterophily"]},
    "old": {"title": "Quantized networks of old", "day": date(2019, 5, 1)},
    "c": {"title": "Translating C++ to Rust", "abstract": "Language models write code."},
}  # fmt: skip
FOUND = {
    "mamba": ["named", "titled", "told"],
    "MAMBAS": ["named", "titled", "told"],
    '"linear time"': ["named"],
    "finetuning": ["joined", "tuned"],
    "fine tuning": ["tuned", "joined"],
    "Niessner": ["told"],
    "niesner": ["told"],
    "Laurencon": ["titled"],
    "Victor Gallego": ["tuned", "joined"],
    "Vicotr Gallego": ["tuned", "joined"],
    'author:"victor gallego"': ["tuned"],
    "author:gallego robots": ["joined"],
    "author:mamba": [],
    "lg research": ["tuned"],
    "heterophily": ["graphs"],
    "heteroph": ["graphs"],
    "topic:graphs": ["graphs"],
    "networks before:2020": ["old"],
    "quantized after:2020": [],
    "before:2020": ["old"],
    "c++": ["c"],
    "2604.00001": ["named"],
    "https://arxiv.org/abs/2604.00003v2": ["told"],
    "2604.00003 2604.00001": ["told", "named"],
    "graph networks of the deepest mystery": ["graphs"],
    "the": [],
    "quarterly zebra": [],
    "": [],
}


@pytest.fixture
def library(db):
    """The papers above, stored as a fetch stores them. Returns arXiv id → name."""
    records = []
    for number, fields in enumerate(PAPERS.values(), 1):
        entry = {"id": f"2604.{number:05}", "abstract": "Short.", **fields}
        records.append(parse_entry(entry, day=fields.get("day", make.DAY)))
    store(records, now=make.NOON)
    return {record.arxiv_id: name for record, name in zip(records, PAPERS, strict=True)}


@pytest.mark.each_row
@pytest.mark.parametrize("text", FOUND)
def test_search_finds_and_orders(library, text):
    found = [library[paper.arxiv_id] for paper in search(text).papers()]
    assert found[: max(len(FOUND[text]), 1)] == FOUND[text]


def test_papers_that_fit_alike_are_newest_first(db):
    for number in range(1, 4):
        make.paper(number, title="Same words", day=make.DAY - timedelta(days=number % 3))
    search_index.refresh()
    days = [paper.day for paper in search("same words").papers()]
    assert days == sorted(days, reverse=True)


def test_another_spelling_is_told_not_slipped_in(library):
    found = search("niesner")
    assert (found.instead_of, found.query.text) == ("niesner", "niessner")
    assert search("mamba").instead_of == ""
    assert search("2604.99999").missing == ("2604.99999",)


def test_a_search_asks_few_queries_whatever_it_finds(library):
    for text in ("mamba", "vicotr gallego", "graph networks of the deepest mystery"):
        with CaptureQueriesContext(connection) as queries:
            search(text).papers()
        assert len(queries) <= 12, text


def test_no_query_takes_long(library):
    longest = ["a " * 100, '"' * 200, "author:" * 28, "zebro " * 33, "x" * 200, "a-b" * 66]
    longest += [
        " ".join(f"wrdz{n}" for n in range(30)),
        "é" * 200,
        "\0" * 200,
        "topic:graphs " * 15,
    ]
    for text in longest:
        start = time.process_time()
        search(text).papers()
        assert time.process_time() - start < 1, text[:20]


# -- the index ----------------------------------------------------------------------------


def test_the_index_follows_what_is_stored_changed_and_deleted(library):
    entry = {"id": "2604.00001", "title": "Renamed: Falcon", "abstract": "Short."}
    store([parse_entry(entry, day=make.DAY)], now=make.NOON)
    assert [paper.arxiv_id for paper in search("falcon").papers()] == ["2604.00001"]
    assert "2604.00001" not in [paper.arxiv_id for paper in search("mamba").papers()]
    Paper.objects.get(arxiv_id="2604.00001").delete()
    assert search("falcon").hits == []


def test_papers_from_before_the_index_are_indexed_by_the_next_fetch(db):
    make.paper(1, title="From before")
    make.paper(2, title="From an older version")
    search_index.refresh()
    PaperWords.objects.filter(paper__arxiv_id="2604.00002").update(version=0)
    PaperWords.objects.filter(paper__arxiv_id="2604.00001").delete()
    assert search_index.refresh() == 2
    assert search_index.refresh() == 0
    assert len(search("before").hits) == 1


def test_the_people_of_a_paper_are_not_one_phrase(library):
    assert search('author:"gu tri"').hits == []


def test_what_is_too_long_for_a_database_is_stored(db):
    entry: dict[str, Any] = {
        "id": "2604.00001",
        "title": "word" * 120,
        "abstract": "x" * 19_000 + " found" * 100,
    }
    entry["authors"] = [f"Author{n} Sample" for n in range(5_000)]
    store([parse_entry(entry, day=make.DAY)], now=make.NOON)
    assert len(search("author4999").hits) == 1
    assert tokens("word" * 120) == ["word" * 10]


def test_no_search_reads_through_a_list_of_new_entries(library):
    if connection.vendor != "postgresql":
        pytest.skip("PostgreSQL keeps such lists")
    with connection.cursor() as cursor:
        cursor.execute("SELECT gin_clean_pending_list('digest_paperwords_all_vector')")
        assert cursor.fetchone() == (0,)
