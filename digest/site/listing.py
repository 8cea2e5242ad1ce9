"""Render a day's list of papers, again only when one of its stored values has changed."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from django.template.loader import render_to_string
from django.utils.translation import get_language

from digest.models import Paper
from digest.site.cards import Card

COLUMNS = [column.attname for column in Paper._meta.concrete_fields]


@dataclass(frozen=True)
class Shown:
    """Cards that compare by their stored values."""

    fingerprint: bytes
    cards: Sequence[Card] = field(compare=False)


def listing(cards: Sequence[Card]) -> str:
    """Return safe HTML in the active language; cached, being most of the work of a page."""
    stored = [
        (
            [getattr(card.paper, name) for name in COLUMNS],
            [(topic.slug, str(topic)) for topic in card.topics],
        )
        for card in cards
    ]
    seen = repr((get_language(), stored)).encode()
    return rendered(Shown(hashlib.blake2b(seen).digest(), cards))


@lru_cache(maxsize=8)
def rendered(shown: Shown) -> str:
    return render_to_string("digest/_papers.html", {"cards": shown.cards})
