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
    versions,
)
from digest.ranking.interests import phrases
from digest.ranking.loaded import LaidOut
from digest.ranking.sent_before import sent_before

# A paper is like a liked one from this cosine of their points on.
ALIKE = np.float32(0.5)
# So many of an edition's papers, those closest to a reader's likes, are compared with each
# liked paper: more than can come for their likes alone.
COMPARED = 8


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


DECODER = json.JSONDecoder()
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
    # reader → their keywords with the papers that have them
    keywords: dict[int, list[tuple[str, frozenset[int]]]] = field(default_factory=dict)
    # (reader, paper) → which of `interests_of`, and the key of the nearest liked paper
    written: ranking.Ints | None = None
    likes: dict[tuple[int, int], int] = field(default_factory=dict)
    titles: dict[int, str] = field(default_factory=dict)

    def close_to(
        self, points: ranking.Floats, directions: Directions, shape: tuple[int, int]
    ) -> None:
        """Score the papers by readers' words and likes, of readers who have directions."""
        others = self.closeness or ranking.nothing_close(shape)
        written, liked = others.written, others.liked
        if self.written is None:
            self.written = np.zeros(shape, dtype=np.int32)
        for place in range(MOST_INTERESTS):
            rows = np.flatnonzero(
                (directions.kind == Kind.WRITTEN) & (directions.of == place)
            )
            if not len(rows):
                continue
            readers, scores = directions.reader[rows], scored(directions, rows, points)
            nearer = scores > written[readers]
            written[readers] = np.where(nearer, scores, written[readers])
            self.written[readers] = np.where(nearer, place, self.written[readers])
        rows = np.flatnonzero(directions.kind == Kind.LIKED)
        liked[directions.reader[rows]] = scored(directions, rows, points)
        rows = np.flatnonzero(directions.kind == Kind.DISLIKED)
        liked[directions.reader[rows]] = -np.maximum(scored(directions, rows, points), 0)
        alike = self.like_one(directions, points, liked)
        if others.alike is not None:
            alike |= others.alike
        likes = others.likes + directions.likes
        self.closeness = ranking.Closeness(written, liked, likes, alike)

    def like_one(
        self, directions: Directions, points: ranking.Floats, liked: ranking.Floats
    ) -> ranking.Bools:
        """Mark the papers close to likes that are like a single liked paper.

        Of each reader the COMPARED closest papers are compared with their liked papers, which
        are laid out as readers × likes, all readers in one product.
        """
        alike = np.zeros(liked.shape, dtype=np.bool_)
        rows = np.flatnonzero(directions.kind == Kind.LIKE)
        owners = directions.reader[rows]
        close = (liked >= ranking.CLOSE_TO_LIKES).any(axis=1)
        rows, owners = rows[close[owners]], owners[close[owners]]
        if not len(rows):
            return alike
        who, owner = np.unique(owners, return_inverse=True)
        seat = np.arange(len(rows)) - np.searchsorted(owners, who)[owner]
        packed = np.zeros((len(who), seat.max() + 1, points.shape[1]), np.int8)
        scale = np.zeros(packed.shape[:2], np.float32)
        packed[owner, seat], scale[owner, seat] = (
            directions.packed[rows],
            directions.scale[rows],
        )
        papers = closest(liked[who], COMPARED)
        with np.errstate(invalid="ignore", over="ignore"):
            near_to = packed.astype(np.float32) @ points[papers].transpose(0, 2, 1)
            scores = finite(near_to * scale[:, :, None])
        near = liked[who[:, None], papers] >= ranking.CLOSE_TO_LIKES
        reader, nth = (near & (scores.max(axis=1) >= ALIKE)).nonzero()
        keys = np.zeros(scale.shape, dtype=np.uint32)
        keys[owner, seat] = directions.of[rows]
        which = keys[reader, scores.argmax(axis=1)[reader, nth]]
        readers, places = who[reader], papers[reader, nth]
        alike[readers, places] = True
        pairs = zip(readers.tolist(), places.tolist(), strict=True)
        self.likes |= dict(zip(pairs, which.tolist(), strict=True))
        return alike

    def name_likes(self, picks: ranking.Ints, reasons: NDArray[np.int8]) -> None:
        """Read the titles of the liked papers that reasons name, with one query."""
        rows, places, _ = (reasons == Why.LIKED).nonzero()
        pairs = zip(rows.tolist(), picks[rows, places].tolist(), strict=True)
        keys = {self.likes[pair] for pair in pairs if pair in self.likes}
        if keys:
            known = Paper.objects.filter(pk__in=keys)
            self.titles = dict(known.values_list("pk", "title"))

    def interests_at(self, picks: ranking.Ints) -> list[list[int]]:
        """Return which of `interests_of` each pick is closest to (N × K)."""
        if self.written is None or not picks.size:
            return np.zeros_like(picks).tolist()  # type: ignore[no-any-return]
        found: list[list[int]] = np.take_along_axis(self.written, picks, axis=1).tolist()
        return found

    def name(
        self,
        loaded: LaidOut,
        person: Person,
        pair: tuple[int, int],
        why: Why,
        interest: int,
    ) -> str:
        """Return what a reason of a (reader, paper) names; empty if it names nothing.

        `interest` is which of `interests_of` the paper is closest to.
        """
        reader, paper = pair
        match why:
            case Why.WRITTEN | Why.NEAREST:
                return texts_of(person.interests, person.keywords)[interest]
            case Why.AUTHOR:
                return loaded.lexicon.author_of(paper, items(person.watched_authors))
            case Why.INSTITUTION:
                return loaded.institutions[paper]
            case Why.KEYWORD:
                return next(word for word, some in self.keywords[reader] if paper in some)
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
        if had:
            found.matches.left_out[tuple(zip(*had, strict=True))] = True
    stored = [person.directions for person in people]
    for version in versions(stored):
        points, directions = loaded.points[version], unpack(stored, version)
        if points is not None and directions is not None:
            found.close_to(points, directions, shape)
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
        if papers := lexicon.with_phrase(phrase):
            matches.keywords[place] |= lexicon.mask(papers)
            found.keywords.setdefault(place, []).append((phrase, papers))
    if some := lexicon.by(items(person.watched_authors)):
        matches.authors[place, list(some)] = True
    if some := lexicon.by(items(person.muted_authors)):
        matches.left_out[place, list(some)] = True
    for name in items(person.watched_institutions):
        matches.institutions[place] |= lexicon.mask(lexicon.from_institution(name))
    for name in items(person.muted_institutions):
        matches.left_out[place] |= lexicon.mask(lexicon.from_institution(name))


def scored(
    directions: Directions, rows: NDArray[np.intp], points: ranking.Floats
) -> ranking.Floats:
    """Return the scores of the edition's papers by some directions (rows × P)."""
    with np.errstate(invalid="ignore", over="ignore"):
        weights, offset = directions.weights(rows), directions.offset[rows, None]
        return finite(weights @ points.T - offset)


def finite(scores: ranking.Floats) -> ranking.Floats:
    """Return the scores with -inf for what damaged bytes gave: it makes no paper close."""
    sound = np.isfinite(scores)
    return scores if sound.all() else np.where(sound, scores, np.float32(-np.inf))


def closest(scores: ranking.Floats, count: int) -> NDArray[np.intp]:
    """Return the columns of the `count` greatest scores of each row, in any order."""
    count = min(count, scores.shape[1])
    return np.argpartition(-scores, count - 1, axis=1)[:, :count]


def items(stored: str) -> list[str]:
    """Return a stored list of texts."""
    return [] if stored == "[]" else DECODER.raw_decode(stored)[0]


@lru_cache(maxsize=4096)
def texts_of(interests: str, keywords: str) -> list[str]:
    """Return the texts that a reader's directions are of, in their order."""
    return interests_of(interests, items(keywords))
