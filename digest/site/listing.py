"""Render a day's list of papers, again only when one of its stored values has changed."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from django.template.loader import render_to_string

from digest.models import Paper
from digest.site.cards import Card

COLUMNS = [column.attname for column in Paper._meta.concrete_fields]


@dataclass(frozen=True)
class Shown:
    """Cards that compare by their stored values."""

    fingerprint: bytes
    cards: Sequence[Card] = field(compare=False)


def listing(cards: Sequence[Card]) -> str:
    """Return safe HTML; cached, as rendering it is most of the work of a day's page."""
    stored = [
        (
            [getattr(card.paper, name) for name in COLUMNS],
            [(topic.slug, topic.label) for topic in card.topics],
        )
        for card in cards
    ]
    return rendered(Shown(hashlib.blake2b(repr(stored).encode()).digest(), cards))


@lru_cache(maxsize=8)
def rendered(shown: Shown) -> str:
    return render_to_string("digest/_papers.html", {"cards": shown.cards})
