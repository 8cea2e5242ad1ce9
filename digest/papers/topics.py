"""The topics: their definitions, their assignment to papers, and their database rows.

The definitions are in topics.toml. A pattern there is a regular expression on lower case
text that begins at a word's start; a space in it also matches a hyphen.
"""

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from itertools import count
from pathlib import Path
from typing import Protocol

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


@dataclass(frozen=True, slots=True)
class Definition:
    """One topic: its texts for readers, and the patterns that recognize its papers."""

    slug: str
    label: str
    group: str
    description: str
    categories: frozenset[str]  # arXiv codes that imply it
    strong: re.Pattern[str]
    weak: re.Pattern[str]


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
            strong=_pattern(topic["strong"]),
            weak=_pattern(topic["weak"]),
        )
        for group in groups
        for topic in group["topic"]
    )


def _pattern(alternatives: list[str]) -> re.Pattern[str]:
    joined = "|".join(alternative.replace(" ", "[ -]") for alternative in alternatives)
    return re.compile(rf"\b(?:{joined})", re.ASCII)


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
    codes = frozenset(categories)
    return {topic.slug: _points(topic, texts, codes) for topic in definitions()}


def _points(topic: Definition, texts: tuple[str, str, str], codes: frozenset[str]) -> float:
    title, abstract, keywords = texts
    points = CATEGORY_POINTS if topic.categories & codes else 0.0
    if in_title := set(topic.strong.findall(title)):
        points += TITLE_POINTS + TITLE_AGAIN_POINTS * (len(in_title) > 1)
    elif topic.weak.search(title):
        points += TITLE_HINT_POINTS
    points += ABSTRACT_POINTS[min(len(set(topic.strong.findall(abstract))), 3)]
    if topic.weak.search(abstract):
        points += ABSTRACT_HINT_POINTS
    if topic.strong.search(keywords):
        points += KEYWORD_POINTS
    return min(points, MOST_POINTS)


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
