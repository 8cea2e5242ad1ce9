"""Read what somebody typed into the search box.

Pure. Understood are words, "phrases", arXiv ids and links to a paper in old and new form,
and `author:`, `topic:`, `after:` and `before:`, the first two also with a "phrase". What
cannot be read is a plain word, so that every text is a query and none is an error.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import date
from functools import lru_cache

from digest.papers.words import PROSE, WORD, joinable, tokens

QUERY_LENGTH = 200
MOST_WORDS = 12
PART = re.compile(r'(?:(author|topic|after|before):)?(?:"([^"]*)"?|(\S+))', re.IGNORECASE)
PAPER_ID = re.compile(
    r"(?:(?<![\w.])|(?<=arxiv\.))([0-9]{4}\.[0-9]{4,5}|[a-z][a-z-]{1,15}(?:\.[a-z]{2})?/[0-9]{7})(?:v[0-9]{1,3})?(?![\w-])",
    re.IGNORECASE,
)
EXCLUDED = re.compile(r"(?<!\S)(?:-(?=[^\W_]|\")|NOT )\S+")
DAY = re.compile(r"([0-9]{4})(?:-([0-9]{1,2})(?:-([0-9]{1,2}))?)?")
STOP_WORDS = frozenset(PROSE.split())


@dataclass(frozen=True, slots=True)
class Term:
    """One word, or several in a row, and other spellings of which each will do as well."""

    words: tuple[str, ...]
    others: tuple[str, ...] = ()
    is_prefix: bool = False


@dataclass(frozen=True, slots=True)
class Query:
    """What was asked: papers named by id, and what every other hit must have."""

    text: str
    ids: tuple[str, ...] = ()
    terms: tuple[Term, ...] = ()  # anywhere in a paper
    run: tuple[str, ...] = ()  # all free words in their order: a hit with them so is best
    authors: tuple[Term, ...] = ()
    topics: tuple[str, ...] = ()
    after: date | None = None  # this day or later
    before: date | None = None  # earlier than this day

    @property
    def is_empty(self) -> bool:
        return self == Query(self.text)

    @property
    def has_filters(self) -> bool:
        return bool(self.authors or self.topics or self.after or self.before)


def clean_query(text: str) -> str:
    """Return the query on one line, capped, without NUL, which PostgreSQL rejects."""
    printable = "".join(c if c.isprintable() else " " for c in text[:QUERY_LENGTH])
    return " ".join(printable.split())


def parse(text: str, topics: Iterable[tuple[str, str]] = ()) -> Query:
    """Return the query; `topics` are the (slug, label) pairs that `topic:` may name."""
    cleaned = clean_query(text)
    query = Query(cleaned)
    by_name = named(tuple(topics))
    free: list[str] = []
    phrases: list[Term] = []
    for part in PART.finditer(cleaned):
        field, phrase, word = (part[1] or "").lower(), part[2], part[3]
        value = phrase if phrase is not None else word
        words = tuple(tokens(value))
        if field == "author" and words:
            query = replace(query, authors=(*query.authors, Term(words)))
        elif field == "topic" and words in by_name:
            query = replace(query, topics=(*query.topics, by_name[words]))
        elif field in {"after", "before"} and (day := first_day(value)):
            query = replace(query, **{field: day})  # type: ignore[arg-type]
        elif found := PAPER_ID.findall(value):
            query = replace(query, ids=(*query.ids, *(one.lower() for one in found)))
        elif phrase is not None and words:
            phrases.append(Term(words))
        else:
            free.append(part[0])
    plain = " ".join(free)
    run = tuple(tokens(plain))[:MOST_WORDS]
    telling = [word for word in run if word not in STOP_WORDS] or run
    others = joinable(plain)
    terms = [Term((word,), others.get(word, ())) for word in dict.fromkeys(telling)]
    return replace(
        query,
        ids=tuple(dict.fromkeys(query.ids)),
        terms=(*phrases, *terms)[:MOST_WORDS],
        authors=query.authors[:MOST_WORDS],
        run=run,
    )


def excluded(text: str) -> str:
    """Return what a query seems to leave out, "-coding" or "NOT coding": it is looked for."""
    found = EXCLUDED.search(text)
    return found[0] if found else ""


@lru_cache(maxsize=4)  # the topics hardly ever change
def named(topics: tuple[tuple[str, str], ...]) -> dict[tuple[str, ...], str]:
    """Return the slugs of topics by the words of label and slug."""
    return {tuple(tokens(name)): slug for slug, label in topics for name in (label, slug)}


def first_day(text: str) -> date | None:
    """Return the first day of a year, month or day like 2026, 2026-04 or 2026-04-17."""
    found = DAY.fullmatch(text)
    if not found:
        return None
    try:
        return date(int(found[1]), int(found[2] or 1), int(found[3] or 1))
    except ValueError:
        return None


def with_words(query: Query, change: Callable[[Term], Term]) -> Query:
    """Return the query with each term and author changed."""
    return replace(
        query,
        terms=tuple(map(change, query.terms)),
        authors=tuple(map(change, query.authors)),
    )


def respelled(text: str, spellings: dict[str, str]) -> str:
    """Return the text with each of these words, as in `tokens`, spelled as given."""

    def right(word: re.Match[str]) -> str:
        return spellings.get("".join(tokens(word[0])), word[0])

    return WORD.sub(right, text) if spellings else text


def marked(text: str, query: Query) -> list[tuple[str, bool]]:
    """Split a paper's text into (part, whether it is a hit) for showing; all parts joined are it."""
    terms = (*query.terms, *query.authors)
    wanted = {word for term in terms for word in (*term.words, *term.others)}
    prefixes = tuple(term.words[0] for term in terms if term.is_prefix)
    parts: list[tuple[str, bool]] = []
    end = 0
    for word in WORD.finditer(text):
        token = "".join(tokens(word[0]))
        if token in wanted or (prefixes and token.startswith(prefixes)):
            parts += [(text[end : word.start()], False), (word[0], True)]
            end = word.end()
    return [part for part in [*parts, (text[end:], False)] if part[0]]


def snippet(text: str, query: Query, length: int = 280) -> list[tuple[str, bool]]:
    """Return the part of a long text with the most different hits, marked, from a word on."""
    parts = marked(text, query)
    places, at = [], 0
    for part, is_hit in parts:
        if is_hit:
            places.append((at, "".join(tokens(part))))
        at += len(part)
    if not places:
        return []
    best = max(
        (start for start, _ in places),
        key=lambda start: (
            len({w for p, w in places if start <= p < start + length}),
            -start,
        ),
    )
    start = (
        text.rfind(". ", 0, best) + 2 if best - text.rfind(". ", 0, best) < 120 else best
    )
    start = 0 if best < 120 else start
    end = start + length
    if end < len(text):
        end = max(text.rfind(" ", start, end), start + 1)
    shown = marked(text[start:end], query)
    before, after = [("… ", False)] * (start > 0), [(" …", False)] * (end < len(text))
    return [*before, *shown, *after]
