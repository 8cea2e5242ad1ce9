"""Search all papers of all years, on SQLite and PostgreSQL behind one function.

Every word has to be in a paper, and where they stand makes its score: the work's name, its
title, people, tags, abstract, and all words in a row. Papers that fit alike are newest
first. A word that no paper has is completed or respelled, and a query that hardly any
paper meets is answered with those that have most of it; the answer says so each time.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cached_property
from itertools import accumulate

from digest.models import Paper
from digest.papers import search_sql
from digest.papers.search_index import grams, topic_word
from digest.papers.search_query import (
    Query,
    Term,
    parse,
    respelled,
    with_words,
)
from digest.papers.search_sql import Row
from digest.papers.topics import definitions
from digest.papers.words import tokens

MOST_HITS = 500  # the best hits; no more are listed
FEW_HITS = 3  # with fewer, other spellings and papers with most of the words are looked for
LIKE = 0.08  # scores that differ by this part of the best are alike
RESPELLED_WORDS = 3
LOOSE_WORDS = 6
LOOSE_PAPERS = 3_000  # of the rarer words together; a common one costs much and says little
LOOSE_HITS = 50
RECENT = (timedelta(days=30), timedelta(days=365), None)
MUCH_MORE = 20  # so many times more papers make another spelling worth a question


@dataclass(frozen=True)
class Found:
    """The hits of a search, best first, and what the page says of them."""

    query: Query  # as it was searched for
    hits: Sequence[Row] = ()
    exact: int = 0  # the first hits have every word, those that follow have most
    missing: tuple[str, ...] = ()  # ids that no paper here has
    instead_of: str = ""  # the text as typed, where nothing had it so
    suggestion: str = ""  # a text with another spelling that has many more hits
    by_meaning: frozenset[int] = frozenset()  # papers that only ranking/meaning.py found

    @property
    def is_capped(self) -> bool:
        return len(self.hits) >= MOST_HITS

    @cached_property
    def years(self) -> list[tuple[int, int]]:
        """Return (year, number of hits), newest first."""
        return sorted(Counter(hit.day.year for hit in self.hits).items(), reverse=True)

    @cached_property
    def topics(self) -> list[tuple[str, int]]:
        """Return (slug, number of hits), most first."""
        return Counter(
            topic for hit in self.hits for topic in hit.topics.split()
        ).most_common()

    def papers(self, first: int = 0, last: int = MOST_HITS) -> list[Paper]:
        """Return the papers of these places in the list, in its order. One query."""
        ids = [hit.paper_id for hit in self.hits[first:last]]
        by_id = Paper.objects.order_by().in_bulk(ids)
        return [by_id[pk] for pk in ids if pk in by_id]


@search_sql.by_index()
def search(text: str, *, limit: int = MOST_HITS) -> Found:
    """Return what fits the text best; any text is a query. See search_query for its parts."""
    query = parse(text, [(topic.slug, topic.label) for topic in definitions()])
    named, missing = by_id(query)
    asked = replace(query, ids=())
    hits = matching(asked, limit)
    found = Found(query, [*named, *hits], len(named) + len(hits), missing)
    if len(hits) >= FEW_HITS or not (asked.terms or asked.authors):
        return found
    return helped(found, asked, hits, limit)


@search_sql.by_index()
def newest_hits(text: str, *, today: date, limit: int) -> list[Row]:
    """Return the newest papers with everything that is asked for, exactly as it is written.

    The last weeks are searched first: of a common word there are too many papers to rank.
    """
    query = parse(text, [(topic.slug, topic.label) for topic in definitions()])
    named, _ = by_id(query)
    found: list[Row] = []
    for span in RECENT:
        after = query.after or (today - span if span else None)
        found = [*named, *matching(replace(query, ids=(), after=after), MOST_HITS)]
        if len(found) >= limit:
            break
    return sorted(found, key=newest)[:limit]


def newest(row: Row) -> tuple[int, int]:
    return -row.day.toordinal(), row.paper_id


def helped(found: Found, asked: Query, hits: Sequence[Row], limit: int) -> Found:
    """Complete or respell words that no paper has; add papers with most of the words."""
    terms = [Term((word,)) for word in single_words(asked)]
    numbers = dict(zip(terms, search_sql.counts(terms), strict=True))
    completed = complete(asked, numbers)
    if completed != asked and not hits:
        hits = matching(completed, limit)
        found = replace(found, query=completed, hits=hits, exact=len(hits))
    if not hits or min(numbers.values(), default=1) < FEW_HITS:
        spellings = correct(numbers, is_hit=bool(hits))
        other = respelled(found.query.text, spellings)
        if other != found.query.text:
            if hits:
                return replace(found, suggestion=other)
            again = search_as_written(other, limit)
            if again.hits:
                return replace(again, instead_of=found.query.text, missing=found.missing)
    if (
        found.missing
        or len(asked.terms) < 2
        or asked.has_filters
        or found.exact >= FEW_HITS
    ):
        return found
    return replace(found, hits=[*found.hits, *loose(asked, numbers, found.hits)])


def search_as_written(text: str, limit: int) -> Found:
    """Search without further help; with most of the words where none has all."""
    query = parse(text, [(topic.slug, topic.label) for topic in definitions()])
    hits = matching(query, limit)
    exact = len(hits)
    if not hits and len(query.terms) > 1 and not query.has_filters:
        terms = [Term((word,)) for word in single_words(query)]
        numbers = dict(zip(terms, search_sql.counts(terms), strict=True))
        hits = loose(query, numbers, hits)
    return Found(query, hits, exact)


def by_id(query: Query) -> tuple[list[Row], tuple[str, ...]]:
    """Return the papers that the query names by id, as they stand in it, and unknown ids."""
    if not query.ids:
        return [], ()
    known = {
        arxiv_id: Row(pk, day, "", 1.0)
        for pk, arxiv_id, day in Paper.objects.filter(arxiv_id__in=query.ids).values_list(
            "pk", "arxiv_id", "day"
        )
    }
    missing = tuple(one for one in query.ids if one not in known)
    return [known[one] for one in query.ids if one in known], missing


def matching(query: Query, limit: int) -> list[Row]:
    """Return the rows with every term, best first; of those that fit alike, newest first."""
    if query.is_empty:
        return []
    topics = [topic_word(slug) for slug in query.topics]
    return in_order(search_sql.matching(query, topics, limit))


def in_order(rows: Sequence[Row]) -> list[Row]:
    best = max((row.score for row in rows), default=0.0) or 1.0
    step = LIKE * abs(best)

    def place(row: Row) -> tuple[int, int]:
        return -round(row.score / step), -row.day.toordinal()

    return sorted(rows, key=place)


def single_words(query: Query) -> list[str]:
    every = [word for term in (*query.terms, *query.authors) for word in term.words]
    return list(dict.fromkeys(every))


def loose(query: Query, numbers: dict[Term, int], known: Sequence[Row]) -> list[Row]:
    """Return papers with at least half of the query's rarer words, beyond the known ones."""
    rare = sorted(
        (term for term in numbers if numbers[term]), key=lambda term: numbers[term]
    )
    sums = accumulate(numbers[term] for term in rare)
    enough = [
        term
        for at, (term, total) in enumerate(zip(rare, sums, strict=True))
        if at < 2 or total <= LOOSE_PAPERS
    ]
    chosen = {term: math.log(1 + 20_000 / numbers[term]) for term in enough[:LOOSE_WORDS]}
    if len(chosen) < 2:
        return []
    at_least = max(1, math.ceil(len(chosen) / 2))
    found = search_sql.with_most(chosen, at_least=at_least, limit=LOOSE_HITS)
    ids = {row.paper_id for row in known}
    return [row for row in in_order(found) if row.paper_id not in ids]


# -- words that no paper has -------------------------------------------------------------


def complete(query: Query, numbers: dict[Term, int]) -> Query:
    """Let a word that no paper has stand for those that begin with it."""
    unknown = [
        term for term, number in numbers.items() if not number and len(term.words[0]) > 3
    ]
    begun = [replace(term, is_prefix=True) for term in unknown]
    has = {
        term.words: bool(n)
        for term, n in zip(unknown, search_sql.counts(begun), strict=True)
    }
    return with_words(
        query, lambda term: replace(term, is_prefix=True) if has.get(term.words) else term
    )


def correct(numbers: dict[Term, int], *, is_hit: bool) -> dict[str, str]:
    """Return word → its likely spelling, for words that no paper has, or hardly any."""
    doubtful = sorted((n, term.words[0]) for term, n in numbers.items() if n < FEW_HITS)
    found = {}
    for number, word in doubtful[:RESPELLED_WORDS]:
        if (number and not is_hit) or len(word) < 4 or word.isdigit():
            continue
        if other := likeliest(word, more_than=number * MUCH_MORE):
            found[word] = other
    return found


def likeliest(word: str, *, more_than: int) -> str:
    """Return the known word nearest to this one that more papers have; empty without one."""
    allowed = 1 if len(word) < 8 else 2
    near: dict[str, int] = {}
    for other in search_sql.similar_words(grams(word)):
        if abs(len(other) - len(word)) > allowed:
            continue
        away = distance(word, other)
        if 0 < away <= allowed and tokens(other) != [word]:
            near[other] = away
    best = sorted(near, key=lambda other: (near[other], other[:1] != word[:1]))[:8]
    numbers = search_sql.counts([Term(tuple(tokens(other))) for other in best])
    choices = [
        (near[other], other[:1] != word[:1], -number, other)
        for other, number in zip(best, numbers, strict=True)
        if number > more_than
    ]
    return min(choices)[-1] if choices else ""


def distance(one: str, other: str) -> int:
    """Return how many letters to add, drop, change or swap with the next make one the other."""
    before, last = list(range(len(other) + 1)), list(range(len(other) + 1))
    for row, letter in enumerate(one, 1):
        line = [row]
        for column, match in enumerate(other, 1):
            cost = min(last[column] + 1, line[-1] + 1, last[column - 1] + (letter != match))
            if (
                row > 1
                and column > 1
                and (letter, one[row - 2]) == (other[column - 2], match)
            ):
                cost = min(cost, before[column - 2] + 1)
            line.append(cost)
        before, last = last, line
    return last[-1]
