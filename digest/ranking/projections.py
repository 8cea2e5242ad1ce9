"""Which projection ranks: the shipped one, or one refitted to this installation's papers.

A refitted projection is a row, so that all processes have the same. What is computed with a
projection carries its version, and is ranked with it: after a refit the directions of readers
follow bit by bit, and until theirs has followed each reader is ranked as before.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import lru_cache
from io import BytesIO

import numpy as np
from django.db.models import F

from digest.models import Block, Edition, Paper, StoredProjection
from digest.ranking import sentences
from digest.ranking.vectors import (
    SENTENCE_SCALE,
    SHIPPED_VERSION,
    Bytes,
    Floats,
    Past,
    Projection,
    fit,
    given,
    packed,
    read,
    shipped,
)
from subscribers.models import Topic

logger = logging.getLogger(__name__)

# Fewer papers find less than the shipped projection does; more, of years ago, add little.
LEAST_PAPERS, MOST_PAPERS = 4000, 10_000
EVERY = timedelta(days=30)
KEPT = 4  # versions: readers' directions follow to the newest within days
# Of a fit are asked the topics with so many papers among the newest ones.
TOPIC_PAPERS, NEWEST_PAPERS = 10, 1500
# How much worse a refitted projection may find them.
TOLERANCE = 0.01


class NotAdopted(Exception):
    """No projection was fitted, or it ranks worse; the message says why."""


def current() -> Projection:
    """Return the projection that ranks from now on. One query."""
    return by_version(newest_version()) or shipped()


def newest_version() -> str:
    """Return the version that was adopted last; the shipped one where none was."""
    adopted = StoredProjection.objects.exclude(adopted_at=None).order_by("-adopted_at")
    return adopted.values_list("version", flat=True).first() or SHIPPED_VERSION


@lru_cache(maxsize=3)
def by_version(version: str) -> Projection | None:
    """Return a projection, read once per process; None for one that is not kept."""
    if version == SHIPPED_VERSION:
        return shipped()
    rows = StoredProjection.objects.filter(version=version)
    content = rows.values_list("content", flat=True).first()
    return read(BytesIO(content)) if content else None


class PointsByVersion(dict[str, Floats | None]):
    """The points of some papers by each projection that is asked for; None if unknown."""

    def __init__(self, texts: Sequence[tuple[str, str]]) -> None:
        self.texts = texts  # (title, abstract)

    def __missing__(self, version: str) -> Floats | None:
        projection = by_version(version)
        self[version] = points_of(projection, self.texts) if projection else None
        return self[version]


def points_of(projection: Projection, texts: Sequence[tuple[str, str]]) -> Floats:
    """Return the points of papers (P × DIMENSIONS)."""
    points = [projection.paper(title, abstract) for title, abstract in texts]
    width = projection.matrix.shape[1]
    return np.array(points, dtype=np.float32).reshape(len(texts), width)


def is_due(now: datetime) -> bool:
    """Return True if a month has passed since the last fit, and there are papers enough."""
    if StoredProjection.objects.filter(fitted_at__gt=now - EVERY).exists():
        return False
    return Paper.objects.filter(is_sample=False).count() >= LEAST_PAPERS


def refit(now: datetime, *, least: int = LEAST_PAPERS) -> StoredProjection:
    """Fit a projection to the newest papers, store it and adopt it. Minutes of CPU.

    Nothing is stored before it is whole; the same papers give the same version, so that it
    may run twice. Raises NotAdopted, also for a fit that finds topics' papers worse than the
    present one: it is stored, but does not rank.
    """
    papers = newest_papers()
    if len(papers) < least:
        raise NotAdopted(
            f"{len(papers)} papers are stored; with fewer than {least} the shipped "
            "projection ranks better"
        )
    present = current()
    fitted = fit(papers)
    past = replace(fitted.past, sentences=encoded(papers, present.past))
    fitted = replace(fitted, read_past=given(past))
    was, now_is = topics_found(present), topics_found(fitted)
    row, _ = StoredProjection.objects.update_or_create(
        version=fitted.version,
        defaults={"fitted_at": now, "topics_found": now_is},
        create_defaults={
            "fitted_at": now,
            "papers": len(papers),
            "topics_found": now_is,
            "content": fitted.content(),
        },
    )
    drop_old(present.version, row.version)
    if now_is < was - TOLERANCE:
        raise NotAdopted(
            f"{row.version} finds the topics' papers worse ({now_is:.3f}, now {was:.3f})"
        )
    adopt(row.version, now=now)
    row.refresh_from_db()
    return row


def newest_papers() -> list[tuple[str, str, str]]:
    """Return (arXiv id, title, abstract) of the newest papers, oldest first."""
    papers = Paper.objects.filter(is_sample=False).exclude(abstract="")
    rows = papers.order_by("-day", "pk").values_list("arxiv_id", "title", "abstract")
    return list(rows[:MOST_PAPERS])[::-1]


def encoded(papers: Sequence[tuple[str, str, str]], known: Past) -> Bytes | None:
    """Return the papers' points by sentence embeddings; None where they are not installed.

    Those that are known are taken from there.
    """
    encode = sentences.encode()
    if encode is None:
        return None
    have = known.sentences if known.sentences is not None else np.zeros((0, 0), np.int8)
    places = dict(zip(known.ids, have, strict=False))
    new = [paper for paper in papers if paper[0] not in places]
    points = packed(
        encode([readable(title, text) for _, title, text in new]), SENTENCE_SCALE
    )
    places |= dict(zip((arxiv_id for arxiv_id, _, _ in new), points, strict=True))
    return np.stack([places[arxiv_id] for arxiv_id, _, _ in papers])


def readable(title: str, abstract: str) -> str:
    """Return a paper as the sentence embeddings read it."""
    return f"{title}. {abstract}"


def topics_found(projection: Projection) -> float:
    """Return how surely the names of topics rank their papers before others: mean AUC.

    Topics are assigned by patterns, which know nothing of the projection. 0.5 is chance, and
    what is returned where there is nothing to ask.
    """
    blocks = Block.objects.filter(edition__kind=Edition.Kind.DAILY).order_by("-pk")
    rows = list(blocks.values_list("topics", "title", "paper__abstract")[:NEWEST_PAPERS])
    points = points_of(projection, [(title, abstract) for _, title, abstract in rows])
    found = []
    for topic in Topic.objects.all():
        wanted = np.array([weights.get(topic.slug, 0) > 0 for weights, _, _ in rows])
        direction = projection.interest(f"{topic.label}. {topic.description}")
        if direction and TOPIC_PAPERS <= wanted.sum() < len(rows):
            found.append(area(direction.score(points), wanted))
    return float(np.mean(found)) if found else 0.5


def area(scores: Floats, wanted: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> float:
    """Return the area under the ROC curve: how often a wanted one is before another."""
    ranks = np.empty(len(scores))
    ranks[np.argsort(scores)] = np.arange(1, len(scores) + 1)
    hits, others = wanted.sum(), (~wanted).sum()
    return float((ranks[wanted].sum() - hits * (hits + 1) / 2) / (hits * others))


def adopt(version: str, *, now: datetime) -> None:
    """Let a stored projection, or the shipped one, rank from now on.

    Of the others the newest are kept. Raises NotAdopted for one that is not kept.
    """
    if by_version(version) is None:
        raise NotAdopted(f"no projection {version} is stored")
    StoredProjection.objects.update_or_create(
        version=version,
        defaults={"adopted_at": now, "refreshed_to": 0},
        create_defaults={"adopted_at": now, "fitted_at": now},
    )
    drop_old(version)
    logger.info("the projection %s ranks from now on", version)


def drop_old(*versions: str) -> None:
    """Delete all projections but these, the shipped one, and KEPT others.

    Those that ranked last come first: readers have directions by them until they followed.
    """
    others = StoredProjection.objects.exclude(version__in=[*versions, SHIPPED_VERSION])
    latest = others.order_by(F("adopted_at").desc(nulls_last=True), "-fitted_at")
    kept = list(latest.values_list("pk", flat=True)[:KEPT])
    others.exclude(pk__in=kept).delete()
