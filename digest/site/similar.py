"""Find the papers that are most like one, by the points of the projection that ranks.

The projection has the points of past papers. Those of newer papers are computed when
they are first needed: a millisecond each, for the newest ones of the same topics.
"""

from datetime import date
from functools import lru_cache
from typing import Literal

import numpy as np

from digest.models import Block, Paper
from digest.ranking.projections import by_version, current
from digest.ranking.vectors import Floats, document, shipped

SHOWN = 6
NEWEST = 150  # papers whose points are computed, at most
LEAST_FIT = 0.25  # cosine; below it, papers share a few common words
type Order = Literal["fit", "date"]


def similar_papers(paper: Paper, *, order: Order = "fit") -> list[Paper]:
    """Return the nearest papers, nearest first or newest first. Four queries."""
    projection = current()
    here = point(projection.version, paper)
    if not here.any():
        return []
    near_background, _ = projection.nearest(document(paper.title, paper.abstract))
    ids = [projection.past.ids[place] for place in near_background]
    candidates = {
        each.pk: each
        for each in [*Paper.objects.filter(arxiv_id__in=ids), *newest_like(paper)]
        if each.pk != paper.pk
    }
    fits = {
        pk: float(point(projection.version, each) @ here) for pk, each in candidates.items()
    }
    near = sorted((pk for pk in fits if fits[pk] >= LEAST_FIT), key=lambda pk: -fits[pk])
    found = [candidates[pk] for pk in near[:SHOWN]]
    return sorted(found, key=newest_first) if order == "date" else found


def newest_first(paper: Paper) -> tuple[int, int]:
    return -date.toordinal(paper.day), -paper.upvotes


def newest_like(paper: Paper) -> list[Paper]:
    """Return the newest papers that share a topic; of all topics if it has none."""
    found = Paper.objects.order_by("-day", "-upvotes")
    weights: dict[str, float] = (
        Block.objects.filter(paper=paper).values_list("topics", flat=True).first() or {}
    )
    if weights:
        best = max(weights, key=lambda slug: weights[slug])
        blocks = Block.objects.filter(topics__has_key=best)
        found = found.filter(pk__in=blocks.values("paper_id"))
    return list(found[:NEWEST])


def point(version: str, paper: Paper) -> Floats:
    """Return a paper's point, of about length 1; all zeros if it has no known word."""
    packed = np.frombuffer(
        packed_point(version, paper.title, paper.abstract), dtype=np.int8
    )
    return packed.astype(np.float32) / np.float32(127)


@lru_cache(maxsize=10_000)
def packed_point(version: str, title: str, abstract: str) -> bytes:
    projection = by_version(version) or shipped()
    return np.round(projection.paper(title, abstract) * 127).astype(np.int8).tobytes()
