"""The topics: their definitions, their assignment to papers, and their database rows.

The definitions are in topics.toml. A pattern there is a regular expression on lower case
text that begins at a word's start; a space in it also matches a hyphen.
"""

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import count
from pathlib import Path
from typing import NamedTuple, Protocol

from django.db import DEFAULT_DB_ALIAS, connections, transaction

from subscribers.models import Topic, next_column

DEFINITIONS = Path(__file__).with_name("topics.toml")
# The title weighs most, then a second match in it, then each further match in the abstract
# (up to three), then hints. Measured on 46 papers labelled by hand and on 2,365 others.
TITLE_POINTS, TITLE_AGAIN_POINTS, TITLE_HINT_POINTS = 3.0, 1.0, 1.5
ABSTRACT_POINTS = (0.0, 1.0, 1.5, 2.0)
ABSTRACT_HINT_POINTS = 0.25
CATEGORY_POINTS = 3.0
KEYWORD_POINTS = 0.5
MOST_POINTS = 6.0
ENOUGH_POINTS = 2.0
SHARE_OF_BEST = 0.4
MOST_TOPICS = 4
WORD_START = re.compile(r"\b\w", re.ASCII)
# How an alternative begins: a number, two to four plain characters, or a group of such.
NUMBER = re.compile(r"(?:[0-9]|\\d|\[[0-9-]+\])(?!\??\*|\?|\{0)")
PLAIN = re.compile(r"[a-z][a-z0-9 ]{1,3}(?![?*{])")
SHORTEST, LONGEST = 2, 4
# A word that stands in whatever an alternative matches: outside of groups, and not optional.
INSIDE_GROUPS = re.compile(r"\([^()]*\)|\[[^][]*\]|\\.|\{[^{}]*\}")
LITERAL = re.compile(r"[a-z]{4,}(?![?*{|])")
OPTIONS = re.compile(r"\(\?:([^()]+)\)(?![?*{])")


@dataclass(frozen=True, slots=True)
class Definition:
    """One topic: its texts for readers, and the patterns that recognize its papers."""

    slug: str
    label: str
    group: str
    description: str
    categories: frozenset[str]  # arXiv codes that imply it
    strong: tuple[str, ...]
    weak: tuple[str, ...]


class Described(Protocol):
    """A paper's row or record: what its topics are recognized by."""

    @property
    def title(self) -> str: ...
    @property
    def abstract(self) -> str: ...
    @property
    def categories(self) -> Iterable[str]: ...
    @property
    def keywords(self) -> Iterable[str]: ...


@cache
def definitions() -> tuple[Definition, ...]:
    """Return all topics in the order of the form."""
    groups = tomllib.loads(DEFINITIONS.read_text(encoding="utf-8"))["group"]
    return tuple(
        Definition(
            slug=topic["slug"],
            label=topic["label"],
            group=group["label"],
            description=topic["description"],
            categories=frozenset(topic.get("categories", [])),
            strong=tuple(topic["strong"]),
            weak=tuple(topic["weak"]),
        )
        for group in groups
        for topic in group["topic"]
    )


def _pattern(alternatives: Iterable[str]) -> re.Pattern[str]:
    joined = "|".join(alternative.replace(" ", "[ -]") for alternative in alternatives)
    return re.compile(rf"\b(?:{joined})", re.ASCII)


class Rule(NamedTuple):
    """The alternatives of a topic, all of them or those that fit to a word's beginning."""

    topic: int
    is_strong: bool
    pattern: re.Pattern[str]


class Fitting(NamedTuple):
    """What may begin at a word: one pattern of it all, which most words end with, and rules."""

    anyone: re.Pattern[str]
    rules: list[Rule]


@cache
def alternatives() -> dict[tuple[int, bool], tuple[str, ...]]:
    """Return (topic, whether strong) → its alternatives."""
    return {
        (number, is_strong): some
        for number, topic in enumerate(definitions())
        for is_strong, some in ((True, topic.strong), (False, topic.weak))
    }


@cache
def by_beginning() -> dict[str, dict[str, list[str]]]:
    """Return the first two characters → whole beginning → alternatives; "" for any way."""
    found: dict[str, dict[str, list[str]]] = {}
    for one in dict.fromkeys(one for some in alternatives().values() for one in some):
        for start in beginnings(one):
            found.setdefault(start[:SHORTEST], {}).setdefault(start, []).append(one)
    return found


def beginnings(alternative: str) -> set[str]:
    """Return how words begin that the alternative can match; {""} for in any way.

    SHORTEST to LONGEST characters, or "0" for every number.
    """
    group = OPTIONS.match(alternative)
    options = group[1].split("|") if group else [alternative]
    found: set[str] = set()
    for option in options:
        if NUMBER.match(option):
            found.add("0")
        elif plain := PLAIN.match(option):
            found |= {plain[0].replace(" ", gap) for gap in " -"}
        else:
            return {""}
    return found


@lru_cache(maxsize=32_768)  # the words of some thousand papers recur
def fitting(start: str) -> Fitting | None:
    """Return what may match where a text goes on like this; None if nothing can."""
    start = "0" if start[0].isdecimal() else start
    near = by_beginning().get(start[:SHORTEST], {})
    some = {one for begin, many in near.items() if start.startswith(begin) for one in many}
    return compiled(frozenset(some)) if some else None


@cache
def compiled(some: frozenset[str]) -> Fitting:
    every = [one for many in alternatives().values() for one in many if one in some]
    kept = {
        key: [one for one in many if one in some] for key, many in alternatives().items()
    }
    rules = [Rule(*key, _pattern(few)) for key, few in kept.items() if few]
    return Fitting(_pattern(dict.fromkeys(every)), rules)


class Elsewhere(NamedTuple):
    """A topic with an alternative that may begin with anything."""

    inside: str  # what has to stand in a text for that; may be empty
    anywhere: re.Pattern[str]  # of such alternatives alone
    rule: Rule  # of all


@cache
def others() -> list[Elsewhere]:
    found = []
    for one in by_beginning().get("", {}).get("", []):
        plain = LITERAL.search(INSIDE_GROUPS.sub(" ", one))
        inside = plain[0] if plain else ""
        found += [
            Elsewhere(
                inside, rule.pattern, Rule(*rule[:2], _pattern(alternatives()[rule[:2]]))
            )
            for rule in compiled(frozenset([one])).rules
        ]
    return found


def recognized(text: str) -> tuple[dict[int, set[str]], set[int]]:
    """Return each topic's strong matches in lower case text, and the topics hinted at.

    The matches of a topic as `findall` of its whole pattern gives them: none in another.
    """
    strong: dict[int, set[str]] = {}
    weak: set[int] = set()
    ends = [0] * len(definitions())  # of the last strong match
    for inside, anywhere, whole in others():
        if inside in text and anywhere.search(text):
            if whole.is_strong:
                strong[whole.topic] = set(whole.pattern.findall(text))
                ends[whole.topic] = len(text)
            else:
                weak.add(whole.topic)
    for word in WORD_START.finditer(text):
        at = word.start()
        found = fitting(text[at : at + LONGEST])
        if not found or not found.anyone.match(text, at):
            continue
        for topic, is_strong, pattern in found.rules:
            if is_strong:
                if at >= ends[topic] and (match := pattern.match(text, at)):
                    strong.setdefault(topic, set()).add(match[0])
                    ends[topic] = match.end()
            elif topic not in weak and pattern.match(text, at):
                weak.add(topic)
    return strong, weak


def assigned(paper: Described) -> dict[str, float]:
    """Return the topics of a paper, as `assign`."""
    return assign(
        paper.title,
        paper.abstract,
        categories=paper.categories,
        keywords=map(str, paper.keywords),
    )


def assign(
    title: str,
    abstract: str,
    *,
    categories: Iterable[str],
    keywords: Iterable[str] = (),
) -> dict[str, float]:
    """Return slug → weight in (0, 1] of at most four topics, best first; the best has 1.0.

    Empty when no topic was recognized.
    """
    found = points(title, abstract, categories=categories, keywords=keywords)
    best = max(found.values())
    if not best:
        return {}
    enough = max(SHARE_OF_BEST * best, min(best, ENOUGH_POINTS))
    ranked = sorted(found, key=lambda slug: -found[slug])
    kept = [slug for slug in ranked if found[slug] >= enough]
    most = MOST_TOPICS if best >= ENOUGH_POINTS else 1
    return {slug: round(found[slug] / best, 3) for slug in kept[:most]}


def points(
    title: str,
    abstract: str,
    *,
    categories: Iterable[str],
    keywords: Iterable[str] = (),
) -> dict[str, float]:
    """Return slug → points, up to MOST_POINTS, of every topic."""
    texts = title.lower(), abstract.lower(), "\n".join(keywords).lower()
    in_title, in_abstract, in_keywords = map(recognized, texts)
    codes = frozenset(categories)
    seen = set[int]().union(*in_title, *in_abstract, *in_keywords)
    found = {topic.slug: 0.0 for topic in definitions()}
    for number, topic in enumerate(definitions()):
        if number not in seen and topic.categories.isdisjoint(codes):
            continue
        points = CATEGORY_POINTS if topic.categories & codes else 0.0
        if titled := in_title[0].get(number):
            points += TITLE_POINTS + TITLE_AGAIN_POINTS * (len(titled) > 1)
        elif number in in_title[1]:
            points += TITLE_HINT_POINTS
        points += ABSTRACT_POINTS[min(len(in_abstract[0].get(number, ())), 3)]
        if number in in_abstract[1]:
            points += ABSTRACT_HINT_POINTS
        if number in in_keywords[0]:
            points += KEYWORD_POINTS
        found[topic.slug] = min(points, MOST_POINTS)
    return found


@transaction.atomic
def sync_topics() -> None:
    """Update the Topic rows from the definitions; keep a stale row that has readers.

    Keep the row with the last column too, or a new topic would reuse that column.
    """
    known = dict(Topic.objects.select_for_update().values_list("slug", "column"))
    free = count(next_column())
    rows = [
        Topic(
            slug=topic.slug,
            label=topic.label,
            group=topic.group,
            description=topic.description,
            position=position,
            column=known[topic.slug] if topic.slug in known else next(free),
        )
        for position, topic in enumerate(definitions())
    ]
    Topic.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["slug"],
        update_fields=["label", "group", "description", "position"],
    )
    slugs = [row.slug for row in rows]
    stale = Topic.objects.exclude(slug__in=slugs).filter(subscription=None)
    stale.filter(column__lt=next_column() - 1).delete()


def sync_after_migrate(using: str = DEFAULT_DB_ALIAS, **signal: object) -> None:
    """Receive post_migrate; after a backward migration the table may be old or missing."""
    if using == DEFAULT_DB_ALIAS and columns(using) >= {
        field.column for field in Topic._meta.concrete_fields
    }:
        sync_topics()


def columns(using: str) -> set[str]:
    """Return the columns of the topics table in the database; empty without a table."""
    introspection, table = connections[using].introspection, Topic._meta.db_table
    with connections[using].cursor() as cursor:
        if table not in introspection.table_names(cursor):
            return set()
        return {
            column.name for column in introspection.get_table_description(cursor, table)
        }
