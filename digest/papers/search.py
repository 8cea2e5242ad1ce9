"""Search the papers by words of title, abstract or authors."""

import json
from datetime import date, timedelta

from django.db.models import Q, QuerySet, TextField
from django.db.models.functions import Cast

from digest.models import Paper

SEARCHED_DAYS = 365
QUERY_LENGTH = 200
QUERY_WORDS = 8


def clean_query(text: str) -> str:
    """Return the query on one line, capped, without NUL, which PostgreSQL rejects."""
    printable = "".join(c if c.isprintable() else " " for c in text[:QUERY_LENGTH])
    return " ".join(printable.split())


def search(query: str, newest: date) -> QuerySet[Paper]:
    """Return papers of the last year that have each word in title, abstract or authors."""
    found = Paper.objects.filter(day__gt=newest - timedelta(days=SEARCHED_DAYS))
    found = found.alias(names=Cast("authors", TextField()))
    for word in query.split()[:QUERY_WORDS]:
        anywhere = Q(title__icontains=word) | Q(abstract__icontains=word)
        if any(c.isalnum() for c in word):  # a bare [ or , would match JSON syntax
            anywhere |= name_contains(word)
        found = found.filter(anywhere)
    return found


def name_contains(word: str) -> Q:
    """Match a word in author names; SQLite stores JSON escaped, PostgreSQL does not."""
    plain, escaped = json.dumps(word, ensure_ascii=False), json.dumps(word)
    return Q(names__icontains=plain[1:-1]) | Q(names__icontains=escaped[1:-1])
