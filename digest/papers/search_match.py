"""Tell which of some papers meet a search, without the database: for searches that are kept.

A paper meets it here exactly where the index would find it with every word. Nothing is
completed or respelled, as nobody looks at what comes of it.
"""

from collections.abc import Iterable, Sequence
from functools import cached_property

from digest.models import Paper, PaperWords
from digest.papers.search_index import topic_word, words_of
from digest.papers.search_query import Query, Term, parse
from digest.papers.topics import definitions

COLUMNS = ("name", "title", "people", "tags", "abstract")


class SearchedPapers:
    """Papers, as positions from 0, whose words are laid out when the first search comes."""

    def __init__(self, papers: Sequence[Paper]) -> None:
        self.papers = papers
        self.found: dict[str, frozenset[int]] = {}

    @cached_property
    def words(self) -> list[PaperWords]:
        return [words_of(paper) for paper in self.papers]

    @cached_property
    def names(self) -> list[tuple[str, str]]:
        return [(topic.slug, topic.label) for topic in definitions()]

    def hits(self, text: str) -> frozenset[int]:
        """Return the papers that meet a search; none meets one without words or filters."""
        if text not in self.found:
            query = parse(text, self.names)
            self.found[text] = frozenset(
                place
                for place, paper in enumerate(self.papers)
                if meets(query, paper, self.words[place])
            )
        return self.found[text]

    def hits_of_each(self, texts: Iterable[str]) -> list[frozenset[int]]:
        return list(map(self.hits, texts))


def meets(query: Query, paper: Paper, words: PaperWords) -> bool:
    """Return whether the query names the paper, or the paper has all that it asks for."""
    if paper.arxiv_id in query.ids:
        return True
    if not (query.terms or query.authors or query.topics):
        return False
    return (
        all(any(stands(term, words, column) for column in COLUMNS) for term in query.terms)
        and all(stands(term, words, "people") for term in query.authors)
        and all(has(words.tags, (topic_word(slug),)) for slug in query.topics)
        and not (query.after and paper.day < query.after)
        and not (query.before and paper.day >= query.before)
    )


def stands(term: Term, words: PaperWords, column: str) -> bool:
    """Return whether a column has the term's words in a row, or another spelling of them."""
    text: str = getattr(words, column)
    return has(text, term.words) or any(has(text, (other,)) for other in term.others)


def has(text: str, words: Sequence[str]) -> bool:
    return f" {' '.join(words)} " in f" {text} "
