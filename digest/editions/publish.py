"""Publish an edition: pick the day's papers, give them topics, render each once, freeze.

A published edition never changes: it keeps the upvotes and texts of that moment.
"""

import logging
from collections.abc import Sequence
from datetime import date, datetime, timedelta

from django.db import IntegrityError, transaction

from digest.editions.blocks import block
from digest.models import Block, Edition, Experiment, Paper
from digest.models.editions import first_day
from digest.papers import topics
from digest.papers.fullness import Fullness, fullness
from digest.papers.sources import newest_day
from subscribers import webhooks

logger = logging.getLogger(__name__)

# More papers than any reader is sent; the others are on the site only.
MOST_BLOCKS = 500


class NothingToPublish(Exception):
    """No paper is stored for that day."""


def publish(day: date, *, now: datetime, kind: str = Edition.Kind.DAILY) -> Edition:
    """Return the edition of that day (of the days that end on it); publish it if new.

    Raises NothingToPublish. Safe to run twice or concurrently: the first to commit wins, and
    every caller gets that edition.
    """
    if published := Edition.objects.filter(kind=kind, day=day).first():
        if not is_superseded(published):
            return published
        published.delete()
    papers = candidates(day, kind)
    is_few = kind == Edition.Kind.DAILY and fullness(day) is Fullness.FEW
    if not papers:
        raise NothingToPublish(f"no papers are stored for {day}: nothing to publish")
    blocks = render_all(papers)
    if not blocks:
        raise NothingToPublish(f"no paper of {day} can be rendered: see the log")
    running = Experiment.objects.filter(ended_at=None).order_by("-started_at")
    variant = running.values_list("variant", flat=True).first()
    try:
        with transaction.atomic():
            edition = Edition.objects.create(
                kind=kind,
                day=day,
                published_at=now,
                has_few=is_few,
                variant=variant or "",
            )
            for item in blocks:
                item.edition = edition
            Block.objects.bulk_create(blocks, batch_size=100)
            tell(edition, is_sample=papers[0].is_sample, now=now)
    except IntegrityError:  # edition_unique: another process published it meanwhile
        return Edition.objects.get(kind=kind, day=day)
    logger.info("published %s with %d papers", edition, len(blocks))
    return edition


def tell(edition: Edition, *, is_sample: bool, now: datetime) -> None:
    """Tell the operator's own systems, and owe the posts; a day of the past is not posted."""
    is_late = edition.day < now.date() - timedelta(days=1)
    is_news = edition.kind == Edition.Kind.DAILY and not is_late and not is_sample
    webhooks.tell_edition(edition.named, is_news=is_news, now=now)


def newest_stored(now: datetime) -> date | None:
    """Return the newest day with papers whose list is complete at `now`."""
    stored = Paper.objects.filter(day__lte=newest_day(now))
    return stored.order_by("-day").values_list("day", flat=True).first()


def is_superseded(edition: Edition) -> bool:
    """Return True for an unsent edition of samples whose day now has real papers."""
    return (
        edition.blocks.filter(paper__is_sample=True).exists()
        and not (edition.folded_at or edition.delivery_set.exists())
        and not candidates(edition.day, edition.kind)[0].is_sample
    )


def candidates(day: date, kind: str) -> Sequence[Paper]:
    """Return the papers of the edition's days, the listed first, most upvotes first.

    Samples are used only where there are no other papers.
    """
    papers = Paper.objects.filter(day__range=(first_day(kind, day), day))
    chosen = papers.filter(is_sample=False).exists()
    return list(
        papers.filter(is_sample=not chosen).order_by("-is_listed", "-upvotes", "arxiv_id")[
            :MOST_BLOCKS
        ]
    )


def render_all(papers: Sequence[Paper]) -> list[Block]:
    """Render each paper; log and leave out one that fails, so that the day goes on."""
    blocks: list[Block] = []
    for paper in papers:
        try:
            blocks.append(render_block(paper, len(blocks)))
        except Exception:
            logger.exception("paper %s cannot be rendered and is left out", paper)
    return blocks


def render_block(paper: Paper, position: int) -> Block:
    html, text = block(paper)
    return Block(
        paper=paper,
        position=position,
        title=paper.title,
        upvotes=paper.upvotes,
        topics=topics.assigned(paper),
        html=html,
        text=text,
    )
