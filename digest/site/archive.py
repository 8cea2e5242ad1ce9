"""What the pages ask of the database: days, topics, words."""

import json
from collections import Counter
from dataclasses import dataclass
from datetime import date, timedelta

from django.db.models import Q, QuerySet, TextField
from django.db.models.functions import Cast

from digest.models import Block, Edition, Paper

SEARCHED_DAYS = 365
COUNTED_DAYS = 30
QUERY_LENGTH = 200
QUERY_WORDS = 8


@dataclass(frozen=True)
class Neighbours:
    """The nearest days that have papers."""

    previous: date | None
    next: date | None


def newest_day() -> date | None:
    """The newest day that has papers; None while there are none."""
    return Paper.objects.order_by("-day").values_list("day", flat=True).first()


def neighbours(day: date) -> Neighbours:
    """The days with papers before and after, whether or not this day has any."""
    days = Paper.objects.order_by("day").values_list("day", flat=True)
    return Neighbours(
        previous=days.filter(day__lt=day).last(), next=days.filter(day__gt=day).first()
    )


def papers_of_topic(slug: str) -> QuerySet[Paper]:
    """Papers published under the topic, newest day first."""
    blocks = Block.objects.filter(topics__has_key=slug, edition__kind=Edition.Kind.DAILY)
    return Paper.objects.filter(pk__in=blocks.values("paper_id"))


def recent_counts() -> Counter[str]:
    """Topic slug → papers published under it in the newest thirty days."""
    daily = Edition.objects.filter(kind=Edition.Kind.DAILY)
    newest = daily.order_by("-day").values_list("day", flat=True).first()
    if newest is None:
        return Counter()
    blocks = Block.objects.filter(
        edition__kind=Edition.Kind.DAILY,
        edition__day__gt=newest - timedelta(days=COUNTED_DAYS),
    )
    return Counter(
        slug for topics in blocks.values_list("topics", flat=True) for slug in topics
    )


def clean_query(text: str) -> str:
    """What was typed, on one line and capped. PostgreSQL takes no NUL."""
    printable = "".join(c if c.isprintable() else " " for c in text[:QUERY_LENGTH])
    return " ".join(printable.split())


def search(query: str, newest: date) -> QuerySet[Paper]:
    """Papers of the last year that have each word in title, abstract or authors."""
    found = Paper.objects.filter(day__gt=newest - timedelta(days=SEARCHED_DAYS))
    found = found.alias(names=Cast("authors", TextField()))
    for word in query.split()[:QUERY_WORDS]:
        anywhere = Q(title__icontains=word) | Q(abstract__icontains=word)
        if any(c.isalnum() for c in word):  # a bare [ or , would match the JSON itself
            anywhere |= name_contains(word)
        found = found.filter(anywhere)
    return found


def name_contains(word: str) -> Q:
    """SQLite keeps JSON with ASCII escapes, PostgreSQL with the characters."""
    plain, escaped = json.dumps(word, ensure_ascii=False), json.dumps(word)
    return Q(names__icontains=plain[1:-1]) | Q(names__icontains=escaped[1:-1])
