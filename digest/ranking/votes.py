"""Votes: a reader asks for more or less like a paper of their digest.

A vote changes the reader's leaning towards the paper's topics, chosen or not; ranking.py
applies it to the next digest. The stored leanings are computed from the votes alone, so
that a vote taken back leaves no trace.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from digest import signing
from digest.editions import picks
from digest.editions.reasons import Reason
from digest.models import Block, Paper, Vote, folded
from subscribers import preferences
from subscribers.models import Subscriber, Topic
from subscribers.subscriptions import locked

# Only the newest votes count; those of years ago no longer do.
MOST_COUNTED = 300
# This many votes on papers wholly of a topic reach half of the greatest leaning.
HALF_WAY = 3


class NoSuchPick(Exception):
    """No mail has that name, or it did not contain that paper."""


@dataclass(frozen=True, slots=True)
class Picked:
    """One paper in one reader's digest; subscriber_id is None for an erased reader."""

    subscriber_id: int | None
    paper: Paper
    has_left: bool = False
    topics: Sequence[str] = ()  # slugs of the paper's
    reasons: Sequence[Reason] = ()  # that the mail named
    language: str = ""  # the reader's


def picked(name: str, position: int) -> Picked:
    """Find a pick by the mail page's name and the block's position. Raises NoSuchPick."""
    delivery_id = signing.read(signing.Purpose.PAGE, name)
    found = folded.find(delivery_id or 0)
    was = picks.parse_picks(found.picks) if found else None
    shown = {pick.position: pick for pick in was.picks} if was else {}
    if not found or position not in shown:
        raise NoSuchPick
    blocks = Block.objects.filter(edition=found.edition_id, position=position)
    if (block := blocks.select_related("paper").first()) is None:
        raise NoSuchPick
    reader = found.subscriber
    has_left = reader is not None and reader.state == Subscriber.State.UNSUBSCRIBED
    language = reader.language if reader is not None else ""
    reasons = shown[position].reasons
    topics = list(block.topics)
    return Picked(found.subscriber_id, block.paper, has_left, topics, reasons, language)


@transaction.atomic
def cast(subscriber_id: int, paper: Paper, value: Vote.Value, *, now: datetime) -> None:
    """Store the reader's vote, replacing an earlier one; ignore an erased reader."""
    reader = locked(subscriber_id)
    if reader is None:
        return
    Vote.objects.update_or_create(
        subscriber=reader, paper=paper, defaults={"value": value, "at": now}
    )
    preferences.follow_votes(reader, leanings(subscriber_id))


@transaction.atomic
def take_back(subscriber_id: int, paper: Paper) -> None:
    """Delete the reader's vote on a paper and its effect on the leanings."""
    reader = locked(subscriber_id)
    if reader is None:
        return
    Vote.objects.filter(subscriber=reader, paper=paper).delete()
    preferences.follow_votes(reader, leanings(subscriber_id))


def of(subscriber_id: int) -> Sequence[Vote]:
    """Return a reader's votes with their papers, newest first."""
    votes = Vote.objects.filter(subscriber=subscriber_id).select_related("paper")
    return list(votes.order_by("-at", "-pk"))


def leanings(subscriber_id: int) -> dict[int, int]:
    """Return topic column → leaning, computed from the current votes and topics."""
    votes = Vote.objects.filter(subscriber=subscriber_id).order_by("-at", "-pk")
    values = dict(votes.values_list("paper_id", "value")[:MOST_COUNTED])
    columns = dict(Topic.objects.values_list("slug", "column"))
    sums: dict[int, float] = defaultdict(float)
    for paper_id, topics in topics_of(list(values)).items():
        for slug in topics.keys() & columns.keys():
            sums[columns[slug]] += values[paper_id] * topics[slug]
    return {column: leaning(total) for column, total in sums.items()}


def topics_of(papers: Sequence[int]) -> dict[int, dict[str, float]]:
    """Return paper id → topic weights as first published; later editions change nothing."""
    blocks = Block.objects.filter(paper__in=papers).order_by("paper_id", "-pk")
    return dict(blocks.values_list("paper_id", "topics"))


def leaning(total: float) -> int:
    """Return the leaning for a sum of votes × topic weights; later votes add less."""
    return round(preferences.MOST_LEANING * total / (abs(total) + HALF_WAY))
