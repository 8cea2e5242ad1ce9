"""Votes: a reader asks for more or less like a paper of their digest.

A vote moves the reader's leaning to the paper's topics, chosen ones or not; ranking.py
says what that does to the next digest. What is stored follows from the votes alone, so
that taking one back leaves nothing of it behind.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from digest import signing
from digest.editions import picks
from digest.models import Block, Delivery, Paper, Vote
from subscribers import preferences
from subscribers.models import Topic
from subscribers.subscriptions import locked

# The newest count; what somebody liked years ago no longer does.
MOST_COUNTED = 300
# So many papers wholly of a topic bring half of the most that votes can do.
HALF_WAY = 3


class NoSuchPick(Exception):
    """No mail of that name, or it did not hold that paper."""


@dataclass(frozen=True, slots=True)
class Picked:
    """One paper in one reader's digest; subscriber_id None: the reader was erased."""

    subscriber_id: int | None
    paper: Paper


def picked(name: str, position: int) -> Picked:
    """By the name of a mail's page and the block's position. Raises NoSuchPick."""
    delivery_id = signing.read(signing.Purpose.PAGE, name)
    found = Delivery.objects.filter(pk=delivery_id or 0).first()
    was = picks.read(found.picks) if found else None
    if not (found and was) or position not in {pick.position for pick in was.picks}:
        raise NoSuchPick
    blocks = Block.objects.filter(edition=found.edition_id, position=position)
    if (block := blocks.select_related("paper").first()) is None:
        raise NoSuchPick
    return Picked(found.subscriber_id, block.paper)


@transaction.atomic
def cast(subscriber_id: int, paper: Paper, value: Vote.Value, *, now: datetime) -> None:
    """The last word counts, one per reader and paper; an erased reader has none."""
    reader = locked(subscriber_id)
    if reader is None:
        return
    Vote.objects.update_or_create(
        subscriber=reader, paper=paper, defaults={"value": value, "at": now}
    )
    preferences.follow_votes(reader, leanings(subscriber_id))


@transaction.atomic
def take_back(subscriber_id: int, paper: Paper) -> None:
    """As if that vote had never been."""
    reader = locked(subscriber_id)
    if reader is None:
        return
    Vote.objects.filter(subscriber=reader, paper=paper).delete()
    preferences.follow_votes(reader, leanings(subscriber_id))


def of(subscriber_id: int) -> Sequence[Vote]:
    """A reader's votes with their papers, newest first."""
    votes = Vote.objects.filter(subscriber=subscriber_id).select_related("paper")
    return list(votes.order_by("-at", "-pk"))


def leanings(subscriber_id: int) -> dict[int, int]:
    """Topic column → leaning, as votes and papers' topics have it now."""
    votes = Vote.objects.filter(subscriber=subscriber_id).order_by("-at", "-pk")
    values = dict(votes.values_list("paper_id", "value")[:MOST_COUNTED])
    columns = dict(Topic.objects.values_list("slug", "column"))
    sums: dict[int, float] = defaultdict(float)
    for paper_id, topics in topics_of(list(values)).items():
        for slug in topics.keys() & columns.keys():
            sums[columns[slug]] += values[paper_id] * topics[slug]
    return {column: leaning(total) for column, total in sums.items()}


def topics_of(papers: Sequence[int]) -> dict[int, dict[str, float]]:
    """Paper id → topic weights as first published: no later edition changes them."""
    blocks = Block.objects.filter(paper__in=papers).order_by("paper_id", "-pk")
    return dict(blocks.values_list("paper_id", "topics"))


def leaning(total: float) -> int:
    """A sum of votes times topic weights as a leaning: each further vote does less."""
    return round(preferences.MOST_LEANING * total / (abs(total) + HALF_WAY))
