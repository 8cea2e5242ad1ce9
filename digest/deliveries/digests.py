"""Which papers each reader of a claimed slice gets: one query and one matrix product.

Per reader nothing is made but what the mail needs; readers × papers is numpy's.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from django.db import connection

from digest.deliveries.ledger import Claimed
from digest.deliveries.statements import id_list
from digest.editions import ranking
from digest.editions.compose import Encoded, Pick, Reader
from digest.editions.encode import encode
from digest.editions.frames import keep, surroundings
from digest.editions.interests import Lexicon, phrases
from digest.models import Block, Edition
from subscribers.models import Topic
from subscribers.profiles import CHOSEN

# The columns after the topics': why a reader gets a paper that no topic brought.
BESIDE_TOPICS = [("", "Your keywords"), ("", "An author you watch")]
BESIDE_TOPICS += [("", "Like papers you liked")]


class Picks(dict[int, Pick]):
    """By place in a table of positions × columns: the same object for all who have it."""

    def __init__(self, columns: int) -> None:
        self.columns = columns

    def __missing__(self, place: int) -> Pick:
        position, column = divmod(place, self.columns)
        self[place] = Pick(position, column - 1 if column else None)
        return self[place]


@dataclass(frozen=True, slots=True)
class Ready:
    """A published edition made ready: encoded for the wire, laid out for the ranking."""

    encoded: Encoded
    columns: dict[int, int]  # topic id → column
    papers: ranking.Floats
    popular: ranking.Floats
    lexicon: Lexicon
    picks: Picks


class Person(NamedTuple):
    """What of a subscriber a digest depends on; the names are the columns'."""

    id: int
    email: str
    unsubscribe_token: str
    language: str
    most_papers: int
    profile: bytes
    interests: str
    keywords: str  # JSON, as are the next two
    watched_authors: str
    muted_authors: str

    @property
    def wrote(self) -> bool:
        return self[6:] != NOTHING


NOTHING = ("", "[]", "[]", "[]")
NOBODY = Person(0, "", "", "", 0, b"", *NOTHING)


class Digest(NamedTuple):
    """One claimed row with what its reader gets."""

    row: Claimed
    reader: Reader
    picks: Sequence[Pick]


def digests(ready: Ready, rows: Sequence[Claimed]) -> Iterator[Digest]:
    """Rank the slice at once. An erased reader has an empty address and no picks."""
    people = readers([row.subscriber_id or 0 for row in rows])
    ranked = ranking.rank(
        profiles(ready, people),
        ready.papers,
        ready.popular,
        most=max([person.most_papers for person in people], default=0),
        wishes=wishes(ready, people),
    )
    places = ranked.picks * ready.picks.columns + ranked.topics + 1
    counts = (ranked.picks >= 0).sum(axis=1)
    pick = ready.picks.__getitem__
    for row, person, chosen, count in zip(
        rows, people, places.tolist(), counts.tolist(), strict=True
    ):
        reader = Reader(
            row.delivery_id, person.email, person.unsubscribe_token, person.language
        )
        chosen = chosen[: min(count, person.most_papers)]
        yield Digest(row, reader, list(map(pick, chosen)))


def readers(ids: Sequence[int]) -> list[Person]:
    """In this order, NOBODY for who is not there. Plain rows: a model object costs more."""
    chosen, values = id_list(ids)
    sql = (
        f"SELECT {', '.join(Person._fields)} FROM subscribers_subscriber WHERE id {chosen}"  # noqa: S608
    )
    with connection.cursor() as cursor:
        cursor.execute(sql, [values])
        found = {row[0]: Person._make(row) for row in cursor.fetchall()}
    return [found.get(pk, NOBODY) for pk in ids]


def wishes(ready: Ready, people: Sequence[Person]) -> ranking.Wishes | None:
    """What readers wrote beside their topics, looked up in the edition; None for nothing."""
    writers = [(place, person) for place, person in enumerate(people) if person.wrote]
    if not writers:
        return None
    shape = (len(people), len(ready.papers))
    keywords, authors, muted = (np.zeros(shape, dtype=np.bool_) for _ in range(3))
    wrote = np.zeros(len(people), dtype=np.bool_)
    lexicon = ready.lexicon
    for place, person in writers:
        wanted = [*json.loads(person.keywords), *phrases(person.interests)]
        watched = json.loads(person.watched_authors)
        for phrase in wanted:
            keywords[place, list(lexicon.with_phrase(phrase))] = True
        authors[place, list(lexicon.by(watched))] = True
        muted[place, list(lexicon.by(json.loads(person.muted_authors)))] = True
        wrote[place] = bool(wanted or watched)
    return ranking.Wishes(keywords, authors, muted, wrote)


def profiles(ready: Ready, people: Sequence[Person]) -> ranking.Floats:
    """N × T, 1 for a chosen topic without votes: stored bytes, cut or filled to a width."""
    width = ready.papers.shape[1]
    stored = b"".join([person.profile.ljust(width, b"\0")[:width] for person in people])
    matrix = np.frombuffer(stored, dtype=np.int8).reshape(len(people), width)
    return matrix * np.float32(1 / CHOSEN)


@lru_cache(maxsize=8)
def load(edition_id: int) -> Ready:
    """Load a published edition once per process: it is frozen."""
    edition = Edition.objects.get(pk=edition_id)
    blocks: list[Block] = list(edition.blocks.order_by("position").select_related("paper"))
    topics = {topic.column: topic for topic in Topic.objects.all()}
    width = max(topics, default=-1) + 1
    labels = [
        (topics[column].slug, topics[column].label) if column in topics else ("", "")
        for column in range(width)
    ]
    labels += BESIDE_TOPICS
    around = keep(edition, surroundings(edition, topics=labels))
    papers = np.zeros((len(blocks), width), dtype=np.float32)
    for place, block in enumerate(blocks):
        for column, topic in topics.items():
            papers[place, column] = block.topics.get(topic.slug, 0)
    return Ready(
        encoded=encode(edition, blocks, around=around),
        columns={topic.pk: column for column, topic in topics.items()},
        papers=papers,
        popular=ranking.popularity(np.array([block.upvotes for block in blocks])),
        lexicon=Lexicon(
            [f"{block.title}\n{block.paper.abstract}" for block in blocks],
            [block.paper.authors for block in blocks],
        ),
        picks=Picks(len(labels) + 1),
    )
