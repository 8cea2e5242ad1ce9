"""Which papers each reader of a claimed slice gets: two queries and one matrix product."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from digest.deliveries.ledger import Claimed
from digest.deliveries.statements import among
from digest.editions import compose, ranking
from digest.editions.compose import Encoded, Pick, Reader
from digest.editions.encode import encode
from digest.editions.frames import keep, surroundings
from digest.models import Block, Edition
from subscribers.models import Subscriber, Subscription, Topic


@dataclass(frozen=True, slots=True)
class Ready:
    """A published edition made ready: encoded for the wire, laid out for the ranking."""

    encoded: Encoded
    columns: dict[int, int]  # topic id → column
    papers: ranking.Floats
    popular: ranking.Floats


@dataclass(frozen=True, slots=True)
class Digest:
    """One claimed row with what its reader gets."""

    row: Claimed
    reader: Reader
    picks: Sequence[Pick]


# A pick is the same object for every reader who has it.
pick = lru_cache(maxsize=65536)(Pick)


def digests(ready: Ready, rows: Sequence[Claimed]) -> Iterator[Digest]:
    """Rank the slice at once; two queries, whatever its size."""
    ids = [row.subscriber_id or 0 for row in rows]  # 0: erased meanwhile
    people = {
        pk: (address, token)
        for pk, address, token in Subscriber.objects.filter(pk__in=among(ids)).values_list(
            "pk", "email", "unsubscribe_token"
        )
    }
    ranked = ranking.rank(
        profiles(ready, ids), ready.papers, ready.popular, most=compose.MOST_PICKS
    )
    picks, topics = ranked.picks.tolist(), ranked.topics.tolist()
    for row, positions, columns in zip(rows, picks, topics, strict=True):
        address, token = people.get(row.subscriber_id or 0, ("", ""))
        chosen = [
            pick(position, None if column < 0 else column)
            for position, column in zip(positions, columns, strict=True)
            if position >= 0
        ]
        yield Digest(
            row, Reader(row.delivery_id, address, token), chosen if address else []
        )


def profiles(ready: Ready, ids: Sequence[int]) -> ranking.Floats:
    """What the readers wish, N × T: 1 where a topic was chosen."""
    matrix = np.zeros((len(ids), len(ready.columns)), dtype=np.float32)
    places = {pk: place for place, pk in enumerate(ids)}
    wishes = Subscription.objects.filter(subscriber__in=among(ids))
    for subscriber_id, topic_id in wishes.values_list("subscriber_id", "topic_id"):
        if (column := ready.columns.get(topic_id)) is not None:
            matrix[places[subscriber_id], column] = 1
    return matrix


@lru_cache(maxsize=8)
def load(edition_id: int) -> Ready:
    """Load a published edition once per process: it is frozen."""
    edition = Edition.objects.get(pk=edition_id)
    blocks: list[Block] = list(edition.blocks.order_by("position"))
    topics = list(Topic.objects.order_by("position").values_list("pk", "slug", "label"))
    around = surroundings(edition, topics=[(slug, label) for _, slug, label in topics])
    keep(edition, around)
    papers = np.zeros((len(blocks), len(topics)), dtype=np.float32)
    for place, block in enumerate(blocks):
        papers[place] = [block.topics.get(slug, 0) for _, slug, _ in topics]
    return Ready(
        encoded=encode(edition, blocks, around=around),
        columns={pk: column for column, (pk, _, _) in enumerate(topics)},
        papers=papers,
        popular=ranking.popularity(np.array([block.upvotes for block in blocks])),
    )
