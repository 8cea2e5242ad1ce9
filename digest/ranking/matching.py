"""What a slice of readers and an edition have in common, and what the reasons for it name."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from digest.editions.reasons import Why
from digest.models import Paper
from digest.ranking import ranking
from digest.ranking.directions import (
    MOST_INTERESTS,
    Directions,
    Kind,
    interests_of,
    unpack,
)
from digest.ranking.interests import phrases
from digest.ranking.loaded import LaidOut
from digest.ranking.sent_before import sent_before

# A paper is like a liked one from this cosine of their points on.
ALIKE = np.float32(0.5)


class Person(NamedTuple):
    """The fields of a subscriber that a digest depends on, named like the columns."""

    id: int
    email: str
    unsubscribe_token: str
    language: str
    length: str
    most_papers: int
    trending: int
    profile: bytes
    directions: bytes | None
    interests: str
    keywords: str  # JSON, as are the next four
    watched_authors: str
    muted_authors: str
    watched_institutions: str
    muted_institutions: str
    searches: str

    @property
    def wrote(self) -> bool:
        return self[9:] != NOTHING


NOTHING = ("", "[]", "[]", "[]", "[]", "[]", "[]")
NOBODY = Person(0, "", "", "", "", 0, 0, b"", b"", *NOTHING)
# A sample reader with all that a form can store: an error for it is an error for every row.
ANYBODY = Person(
    id=0,
    email="a@example.org",
    unsubscribe_token="a",  # noqa: S106
    language="en",
    length="short",
    most_papers=3,
    trending=1,
    profile=b"\x7f",
    directions=b"",
    interests="a",
    keywords='["a"]',
    watched_authors='["a"]',
    muted_authors='["b"]',
    watched_institutions='["a"]',
    muted_institutions='["b"]',
    searches='["a"]',
)


@dataclass(slots=True)
class Found:
    """What a slice's readers have in common with an edition, and the names of it."""

    matches: ranking.InterestMatches | None = None
    closeness: ranking.Closeness | None = None
    keywords: dict[tuple[int, int], str] = field(default_factory=dict)
    # (reader, paper) → which of `interests_of`, and the key of the nearest liked paper
    written: ranking.Ints | None = None
    likes: dict[tuple[int, int], int] = field(default_factory=dict)
    titles: dict[int, str] = field(default_factory=dict)

    def close_to(
        self, loaded: LaidOut, directions: Directions, shape: tuple[int, int]
    ) -> None:
        """Score the papers by readers' words and likes."""
        with np.errstate(invalid="ignore", over="ignore"):
            scores = directions.weights @ loaded.points.T - directions.offset[:, None]
        # Damaged bytes can decode to NaN or infinity; they make no paper close.
        scores = np.where(np.isfinite(scores), scores, np.float32(-np.inf))
        written, liked = (np.full(shape, -np.inf, dtype=np.float32) for _ in range(2))
        self.written = np.zeros(shape, dtype=np.int32)
        for place in range(MOST_INTERESTS):
            rows = np.flatnonzero(
                (directions.kind == Kind.WRITTEN) & (directions.of == place)
            )
            readers = directions.reader[rows]
            nearer = scores[rows] > written[readers]
            written[readers] = np.where(nearer, scores[rows], written[readers])
            self.written[readers] = np.where(nearer, place, self.written[readers])
        rows = np.flatnonzero(directions.kind == Kind.LIKED)
        liked[directions.reader[rows]] = scores[rows]
        rows = np.flatnonzero(directions.kind == Kind.DISLIKED)
        liked[directions.reader[rows]] = -np.maximum(scores[rows], 0)
        alike = self.like_one(directions, scores, liked)
        self.closeness = ranking.Closeness(written, liked, directions.likes, alike)

    def like_one(
        self, directions: Directions, scores: ranking.Floats, liked: ranking.Floats
    ) -> ranking.Bools:
        """Mark the papers close to likes that are like a single liked paper."""
        rows = np.flatnonzero(directions.kind == Kind.LIKE)
        owners = directions.reader[rows]
        alike = np.zeros(liked.shape, dtype=np.bool_)
        candidates = liked >= ranking.CLOSE_TO_LIKES
        for reader in np.flatnonzero(candidates.any(axis=1)).tolist():
            mine = rows[
                np.searchsorted(owners, reader) : np.searchsorted(owners, reader, "right")
            ]
            if not len(mine):
                continue
            papers = np.flatnonzero(candidates[reader])
            near = scores[mine[:, None], papers]
            nearest, papers = near.argmax(axis=0), papers[near.max(axis=0) >= ALIKE]
            of = directions.of[mine[nearest[near.max(axis=0) >= ALIKE]]]
            alike[reader, papers] = True
            pairs = zip(papers.tolist(), of.tolist(), strict=True)
            self.likes |= {(reader, paper): key for paper, key in pairs}
        return alike

    def name_likes(self, picks: ranking.Ints, reasons: NDArray[np.int8]) -> None:
        """Read the titles of the liked papers that reasons name, with one query."""
        rows, places, _ = (reasons == Why.LIKED).nonzero()
        pairs = zip(rows.tolist(), picks[rows, places].tolist(), strict=True)
        keys = {self.likes[pair] for pair in pairs if pair in self.likes}
        if keys:
            known = Paper.objects.filter(pk__in=keys)
            self.titles = dict(known.values_list("pk", "title"))

    def name(self, loaded: LaidOut, person: Person, pair: tuple[int, int], why: Why) -> str:
        """Return what a reason of a (reader, paper) names; empty if it names nothing."""
        _, paper = pair
        match why:
            case Why.AUTHOR:
                return loaded.lexicon.author_of(paper, items(person.watched_authors))
            case Why.INSTITUTION:
                return loaded.institutions[paper]
            case Why.KEYWORD:
                return self.keywords[pair]
            case Why.WRITTEN | Why.NEAREST if self.written is not None:
                texts = texts_of(person.interests, person.keywords)
                return texts[int(self.written[pair])]
            case Why.LIKED:
                return self.titles[self.likes[pair]]
            case Why.SEARCH:
                texts = items(person.searches)
                return next(one for one in texts if paper in loaded.searched.hits(one))
        return ""


def found_in(
    loaded: LaidOut, people: Sequence[Person], *, until: datetime | None = None
) -> Found:
    """Look up the readers' words, names, votes and earlier papers in the edition.

    With `until` only papers that they had before that instant count as earlier ones.
    """
    found = Found()
    shape = (len(people), len(loaded.papers))
    writers = [(place, person) for place, person in enumerate(people) if person.wrote]
    places = {person.id: place for place, person in enumerate(people) if person.id}
    had = [
        (places[reader], position)
        for reader, position in sent_before(loaded.edition, list(places), until=until)
    ]
    if writers or had:
        keeping = np.array([person.searches != "[]" for person in people])
        fields = (*np.zeros((5, *shape), dtype=np.bool_), keeping)
        found.matches = ranking.InterestMatches(*fields)
        for place, person in writers:
            look_up(found, found.matches, loaded, place, person)
            for text in items(person.searches):
                found.matches.searches[place, list(loaded.searched.hits(text))] = True
        for pair in had:
            found.matches.left_out[pair] = True
    directions = unpack([person.directions for person in people], loaded.version)
    if directions is not None:
        found.close_to(loaded, directions, shape)
    return found


def look_up(
    found: Found,
    matches: ranking.InterestMatches,
    loaded: LaidOut,
    place: int,
    person: Person,
) -> None:
    """Mark the papers with a reader's words and names."""
    lexicon = loaded.lexicon
    for phrase in [*items(person.keywords), *phrases(person.interests)]:
        for paper in lexicon.with_phrase(phrase):
            matches.keywords[place, paper] = True
            found.keywords.setdefault((place, paper), phrase)
    if watched := items(person.watched_authors):
        matches.authors[place, list(lexicon.by(watched))] = True
    if muted := items(person.muted_authors):
        matches.left_out[place, list(lexicon.by(muted))] = True
    for name in items(person.watched_institutions):
        matches.institutions[place, list(lexicon.from_institution(name))] = True
    for name in items(person.muted_institutions):
        matches.left_out[place, list(lexicon.from_institution(name))] = True


def items(stored: str) -> list[str]:
    """Return a stored list of texts."""
    return [] if stored == "[]" else json.loads(stored)


@lru_cache(maxsize=4096)
def texts_of(interests: str, keywords: str) -> list[str]:
    """Return the texts that a reader's directions are of, in their order."""
    return interests_of(interests, items(keywords))
