"""Select the papers of each reader of a slice with one query and one matrix product.

Per reader it builds only the values that the mail needs; numpy does readers × papers.
"""

import json
import logging
import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from django.db import connection

from digest.editions.compose import Pick, Reader
from digest.ranking import ranking
from digest.ranking.directions import Kind, unpack
from digest.ranking.interests import phrases
from digest.ranking.loaded import LoadedEdition
from digest.sql import id_list
from subscribers.addresses import LONGEST
from subscribers.preferences import CHOSEN

logger = logging.getLogger(__name__)


class Person(NamedTuple):
    """The fields of a subscriber that a digest depends on, named like the columns."""

    id: int
    email: str
    unsubscribe_token: str
    language: str
    length: str
    most_papers: int
    profile: bytes
    directions: bytes | None
    interests: str
    keywords: str  # JSON, as are the next two
    watched_authors: str
    muted_authors: str

    @property
    def wrote(self) -> bool:
        return self[8:] != NOTHING


NOTHING = ("", "[]", "[]", "[]")
NOBODY = Person(0, "", "", "", "", 0, b"", b"", *NOTHING)
# A sample reader with all that a form can store: an error for it is an error for every row.
ANYBODY = Person(
    0, "a@example.org", "a", "en", "short", 3, b"\x7f", b"", "a", '["a"]', '["a"]', '["b"]'
)
UNREADABLE = "the reader's row cannot be read"
# Accepted as exactly one address by headers, an envelope and a provider's API. Forms accept
# less; the transport handles letters beyond ASCII.
ADDRESS = re.compile(r"[^\s\x00-\x1f\x7f()<>\[\],:;@\\\"]+@[^\s\x00-\x1f\x7f()<>,:;@\\\"]+")
TOKEN = re.compile(r"[A-Za-z0-9_-]{1,22}")


class Digest(NamedTuple):
    """One reader's picks of an edition, for the delivery that `reader` names.

    `fault` explains why no mail can be made for the reader; then there are no picks.
    """

    reader: Reader
    picks: Sequence[Pick]
    fault: str = ""


def select(
    loaded: LoadedEdition, owed: Sequence[tuple[int, int | None]]
) -> Sequence[Digest]:
    """Rank the slice; return a digest per (delivery id, subscriber id), in order.

    An erased subscriber (id None or unknown) has an empty address and no picks.
    """
    people = readers([subscriber_id or 0 for _, subscriber_id in owed])
    return sound(loaded, [pk for pk, _ in owed], people)


def sound(
    loaded: LoadedEdition, delivery_ids: Sequence[int], people: Sequence[Person]
) -> Sequence[Digest]:
    """Rank people; a row that cannot be read gets a fault and stops no other row.

    On an error the slice is halved until one row is left. Raises an error that the sample
    reader ANYBODY meets too, as no row causes it.
    """
    try:
        return ranked(loaded, delivery_ids, people)
    except Exception as error:
        if len(people) == 1:
            ranked(loaded, delivery_ids, [ANYBODY])
            name = type(error).__name__
            logger.error("delivery %d: %s (%s)", *delivery_ids, UNREADABLE, name)
            return [Digest(Reader(delivery_ids[0], "", ""), (), UNREADABLE)]
    half = len(people) // 2
    return [
        *sound(loaded, delivery_ids[:half], people[:half]),
        *sound(loaded, delivery_ids[half:], people[half:]),
    ]


def ranked(
    loaded: LoadedEdition, delivery_ids: Sequence[int], people: Sequence[Person]
) -> Sequence[Digest]:
    found = ranking.rank(
        profiles(loaded, people),
        loaded.papers,
        loaded.popular,
        most=max([person.most_papers for person in people], default=0),
        matches=matches(loaded, people),
        closeness=closeness(loaded, people),
    )
    places = found.picks * loaded.picks.columns + found.topics + 1
    counts = (found.picks >= 0).sum(axis=1)
    pick = loaded.picks.__getitem__
    digests = []
    for delivery_id, person, chosen, count in zip(
        delivery_ids, people, places.tolist(), counts.tolist(), strict=True
    ):
        fault = fault_of(person)
        reader = Reader(
            delivery_id,
            "" if fault else person.email,
            person.unsubscribe_token,
            person.language,
            person.length,
        )
        most = 0 if fault else min(count, person.most_papers)
        digests.append(Digest(reader, list(map(pick, chosen[:most])), fault))
    return digests


def fault_of(person: Person) -> str:
    """Return why the reader can get no mail, or ''. Raises TypeError for non-text."""
    if person is NOBODY:
        return ""
    if not ADDRESS.fullmatch(person.email) or len(person.email) > LONGEST:
        return "the reader's address cannot be written to"
    if not TOKEN.fullmatch(person.unsubscribe_token):
        return "the reader's link to unsubscribe is broken"
    return ""


def readers(ids: Sequence[int]) -> list[Person]:
    """Return a row per id, in order; NOBODY for a missing one.

    Plain rows cost less than model objects.
    """
    chosen, values = id_list(ids)
    sql = (
        f"SELECT {', '.join(Person._fields)} FROM subscribers_subscriber WHERE id {chosen}"  # noqa: S608
    )
    with connection.cursor() as cursor:
        cursor.execute(sql, [values])
        found = {row[0]: Person._make(row) for row in cursor.fetchall()}
    return [found.get(pk, NOBODY) for pk in ids]


def matches(
    loaded: LoadedEdition, people: Sequence[Person]
) -> ranking.InterestMatches | None:
    """Look up the readers' keywords and authors in the edition; None if there are none."""
    writers = [(place, person) for place, person in enumerate(people) if person.wrote]
    if not writers:
        return None
    shape = (len(people), len(loaded.papers))
    keywords, authors, muted = (np.zeros(shape, dtype=np.bool_) for _ in range(3))
    lexicon = loaded.lexicon
    for place, person in writers:
        wanted = [*json.loads(person.keywords), *phrases(person.interests)]
        watched = json.loads(person.watched_authors)
        for phrase in wanted:
            keywords[place, list(lexicon.with_phrase(phrase))] = True
        authors[place, list(lexicon.by(watched))] = True
        muted[place, list(lexicon.by(json.loads(person.muted_authors)))] = True
    return ranking.InterestMatches(keywords, authors, muted)


def closeness(loaded: LoadedEdition, people: Sequence[Person]) -> ranking.Closeness | None:
    """Score the papers by readers' words and likes; None if no reader has any."""
    found = unpack([person.directions for person in people], loaded.version)
    if found is None:
        return None
    with np.errstate(invalid="ignore", over="ignore"):
        scores = found.weights @ loaded.points.T - found.offset[:, None]
    # Damaged bytes can decode to NaN or infinity; they make no paper close.
    scores = np.where(np.isfinite(scores), scores, np.float32(-np.inf))
    shape = (len(people), len(loaded.points))
    written, liked = (np.full(shape, -np.inf, dtype=np.float32) for _ in range(2))
    for kind, best in ((Kind.WRITTEN, written), (Kind.LIKED, liked)):
        rows = np.flatnonzero(found.kind == kind)
        np.maximum.at(best, found.reader[rows], scores[rows])
    return ranking.Closeness(written, liked, found.likes)


def profiles(loaded: LoadedEdition, people: Sequence[Person]) -> ranking.Floats:
    """Return the stored profiles, cut or padded to N × T.

    1 is a chosen topic without votes.
    """
    width = loaded.papers.shape[1]
    stored = b"".join([person.profile.ljust(width, b"\0")[:width] for person in people])
    matrix = np.frombuffer(stored, dtype=np.int8).reshape(len(people), width)
    return matrix * np.float32(1 / CHOSEN)
