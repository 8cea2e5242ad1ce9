"""Which papers each reader of a claimed slice gets: two queries and one matrix product."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from digest.deliveries.ledger import Claimed
from digest.deliveries.statements import among
from digest.editions import ranking
from digest.editions.compose import Encoded, Pick, Reader
from digest.editions.encode import encode
from digest.editions.frames import keep, surroundings
from digest.editions.interests import Lexicon, phrases
from digest.models import Block, Edition
from subscribers.models import Subscriber, Subscription, Topic


@dataclass(frozen=True, slots=True)
class Ready:
    """A published edition made ready: encoded for the wire, laid out for the ranking."""

    encoded: Encoded
    columns: dict[int, int]  # topic id → column
    papers: ranking.Floats
    popular: ranking.Floats
    lexicon: Lexicon


class Person(NamedTuple):
    """What of a subscriber a digest depends on; the names are the model's."""

    pk: int
    email: str
    unsubscribe_token: str
    language: str
    most_papers: int
    interests: str
    keywords: list[str]
    watched_authors: list[str]
    muted_authors: list[str]


@dataclass(frozen=True, slots=True)
class Digest:
    """One claimed row with what its reader gets."""

    row: Claimed
    reader: Reader
    picks: Sequence[Pick]


# The columns after the topics': why a reader gets a paper that no topic brought.
BESIDE_TOPICS = [("", "Your keywords"), ("", "An author you watch")]
# A pick is the same object for every reader who has it.
pick = lru_cache(maxsize=65536)(Pick)


def digests(ready: Ready, rows: Sequence[Claimed]) -> Iterator[Digest]:
    """Rank the slice at once; two queries, whatever its size."""
    ids = [row.subscriber_id or 0 for row in rows]  # 0: erased meanwhile
    found = Subscriber.objects.filter(pk__in=among(ids))
    people = {
        person.pk: person
        for person in map(Person._make, found.values_list(*Person._fields))
    }
    ranked = ranking.rank(
        profiles(ready, ids),
        ready.papers,
        ready.popular,
        most=max([person.most_papers for person in people.values()], default=0),
        wishes=wishes(ready, [people.get(pk) for pk in ids]),
    )
    picks, topics = ranked.picks.tolist(), ranked.topics.tolist()
    for row, positions, columns in zip(rows, picks, topics, strict=True):
        person = people.get(row.subscriber_id or 0)
        if person is None:
            yield Digest(row, Reader(row.delivery_id, "", ""), [])
            continue
        chosen = [
            pick(position, None if column < 0 else column)
            for position, column in zip(positions, columns, strict=True)
            if position >= 0
        ]
        reader = Reader(
            row.delivery_id, person.email, person.unsubscribe_token, person.language
        )
        yield Digest(row, reader, chosen[: person.most_papers])


def wishes(ready: Ready, people: Sequence[Person | None]) -> ranking.Wishes | None:
    """What readers wrote beside their topics, looked up in the edition; None for nothing."""
    writers = [
        (place, person)
        for place, person in enumerate(people)
        if person
        and (
            person.interests
            or person.keywords
            or person.watched_authors
            or person.muted_authors
        )
    ]
    if not writers:
        return None
    shape = (len(people), len(ready.papers))
    keywords, authors, muted = (np.zeros(shape, dtype=np.bool_) for _ in range(3))
    wrote = np.zeros(len(people), dtype=np.bool_)
    lexicon = ready.lexicon
    for place, person in writers:
        wanted = [*person.keywords, *phrases(person.interests)]
        for phrase in wanted:
            keywords[place, list(lexicon.with_phrase(phrase))] = True
        authors[place, list(lexicon.by(person.watched_authors))] = True
        muted[place, list(lexicon.by(person.muted_authors))] = True
        wrote[place] = bool(wanted or person.watched_authors)
    return ranking.Wishes(keywords, authors, muted, wrote)


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
    blocks: list[Block] = list(edition.blocks.order_by("position").select_related("paper"))
    topics = list(Topic.objects.order_by("position").values_list("pk", "slug", "label"))
    labels = [*((slug, label) for _, slug, label in topics), *BESIDE_TOPICS]
    around = surroundings(edition, topics=labels)
    keep(edition, around)
    papers = np.zeros((len(blocks), len(topics)), dtype=np.float32)
    for place, block in enumerate(blocks):
        papers[place] = [block.topics.get(slug, 0) for _, slug, _ in topics]
    return Ready(
        encoded=encode(edition, blocks, around=around),
        columns={pk: column for column, (pk, _, _) in enumerate(topics)},
        papers=papers,
        popular=ranking.popularity(np.array([block.upvotes for block in blocks])),
        lexicon=Lexicon(
            [f"{block.title}\n{block.paper.abstract}" for block in blocks],
            [block.paper.authors for block in blocks],
        ),
    )
