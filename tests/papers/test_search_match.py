"""A kept search finds in an edition what the search page finds in the database."""

from datetime import date

import pytest

from digest.models import Paper
from digest.papers import search_index
from digest.papers.search import search
from digest.papers.search_match import SearchedPapers
from tests import make

DAY = date(2026, 4, 17)
QUERIES = [
    # query, ids of the papers that have all of it
    ("knots", [1, 3]),
    ("knot theory", [1]),
    ('"theory of knots"', [1]),
    ('"knots theory"', []),
    ("author:Niessner", [2]),
    ('author:"Matthias Nießner" scenes', [2]),
    ("author:Niessner knots", []),
    ("fine-tuning", [2]),
    ("finetuning", [2]),
    ("fine tuning", [2]),
    ("topic:3d-vision", [2]),
    ("topic:3d-vision knots", []),
    ("2604.00003", [3]),
    ("https://arxiv.org/abs/2604.00003v2", [3]),
    ("knots after:2026-04-18", [3]),
    ("knots before:2026-04-18", [1]),
    ("C++", [3]),
    ("nothing of it", []),
]


@pytest.fixture
def papers(db: None) -> list[Paper]:
    made = [
        make.paper(1, title="A theory of knots", abstract="Of ropes.", day=DAY),
        make.paper(
            2,
            title="Splats: fine-tuning Gaussian splatting of 3D scenes",
            abstract="Gaussian splatting reconstructs a 3D scene from few views.",
            authors=["Matthias Nießner"],
            day=DAY,
        ),
        make.paper(
            3,
            title="Untying",
            abstract="A C++ library that unties a knot.",
            day=date(2026, 4, 18),
        ),
    ]
    search_index.index(made)
    return made


@pytest.mark.each_row
@pytest.mark.parametrize(("query", "ids"), QUERIES)
def test_it_finds_what_the_search_page_finds(
    papers: list[Paper], query: str, ids: list[int]
) -> None:
    kept = {papers[place].arxiv_id for place in SearchedPapers(papers).hits(query)}
    assert kept == {f"2604.0000{number}" for number in ids}
    found = search(query)
    page = {paper.arxiv_id for paper in found.papers()[: found.exact]}
    if ids or not found.instead_of:
        assert page == kept


@pytest.mark.each_row
@pytest.mark.parametrize(
    "query", ["", "  ", "the", '"', "author:", "after:2020", "\0", "%"]
)
def test_a_search_for_nothing_finds_nothing(papers: list[Paper], query: str) -> None:
    assert SearchedPapers(papers).hits(query) == frozenset()


def test_any_text_is_a_query_once(papers: list[Paper]) -> None:
    searched = SearchedPapers(papers)
    assert searched.hits("knots") is searched.hits("knots")
