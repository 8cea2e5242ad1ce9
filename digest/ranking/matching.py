"""What a slice of readers and an edition have in common, and what the reasons for it name."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache, partial
from itertools import zip_longest
from operator import attrgetter
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
from digest.ranking.interests import Lexicon, phrases
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


@dataclass(frozen=True, slots=True)
class PhraseHits:
    """The phrases of readers that some paper of an edition has, each looked up once."""

    phrases: Sequence[str]  # the first stands for none
    papers: ranking.Bools  # phrases × P
    of: ranking.Ints  # slots × N: the phrases of each reader in their order, then zeros

    def marked(self) -> ranking.Bools:
        """Mark the papers with a phrase of each reader (N × P)."""
        found = np.zeros((self.of.shape[1], self.papers.shape[1]), dtype=np.bool_)
        for some in self.of:
            found |= self.papers[some]
        return found

    def first(self, readers: NDArray[np.intp], papers: NDArray[np.intp]) -> list[str]:
        """Return the first phrase of each of some readers that their paper has."""
        found = np.zeros(len(readers), dtype=np.int32)
        for some in self.of[::-1, readers]:
            found = np.where(self.papers[some, papers], some, found)
        return [self.phrases[one] for one in found.tolist()]


@dataclass(slots=True)
class Found:
    """What a slice's readers have in common with an edition, and the names of it."""

    matches: ranking.InterestMatches | None = None
    closeness: ranking.Closeness | None = None
    phrases: PhraseHits | None = None
    # by which of `interests_of`: how close the papers are to it (N × P), -inf where none is
    interests: list[ranking.Floats] = field(default_factory=list)
    # the key of the liked paper that a paper is like (N × P), or 0
    likes: NDArray[np.uint32] | None = None

    def close_to(
        self, points: ranking.Floats, directions: Directions, shape: tuple[int, int]
    ) -> None:
        """Score the papers by readers' words and likes, of readers who have directions."""
        others = self.closeness or ranking.nothing_close(shape)
        liked = others.liked
        for place in range(MOST_INTERESTS):
            rows = np.flatnonzero(
                (directions.kind == Kind.WRITTEN) & (directions.of == place)
            )
            if len(rows):
                while len(self.interests) <= place:
                    self.interests.append(np.full(shape, -np.inf, dtype=np.float32))
                readers = directions.reader[rows]
                self.interests[place][readers] = scored(directions, rows, points)
        written = np.max(self.interests, axis=0) if self.interests else others.written
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
        packed = np.zeros((len(who), seat.max() + 1, points.shape[1]), np.float32)
        scale = np.zeros(packed.shape[:2], np.float32)
        packed[owner, seat] = directions.packed[rows]
        scale[owner, seat] = directions.scale[rows]
        papers = closest(liked[who], COMPARED)
        with np.errstate(invalid="ignore", over="ignore"):
            near_to = packed @ points[papers].transpose(0, 2, 1)
            scores = finite(near_to * scale[:, :, None])
        near = liked[who[:, None], papers] >= ranking.CLOSE_TO_LIKES
        reader, nth = (near & (scores.max(axis=1) >= ALIKE)).nonzero()
        keys = np.zeros(scale.shape, dtype=np.uint32)
        keys[owner, seat] = directions.of[rows]
        which = keys[reader, scores.argmax(axis=1)[reader, nth]]
        readers, places = who[reader], papers[reader, nth]
        alike[readers, places] = True
        if self.likes is None:
            self.likes = np.zeros(liked.shape, dtype=np.uint32)
        self.likes[readers, places] = which
        return alike

    def nearest_interests(
        self, readers: NDArray[np.intp], papers: NDArray[np.intp]
    ) -> NDArray[np.intp]:
        """Return which of `interests_of` the papers are closest to, of readers who have some."""
        scores = [interest[readers, papers] for interest in self.interests]
        found: NDArray[np.intp] = np.argmax(scores, axis=0)
        return found

    def names(
        self,
        loaded: LaidOut,
        people: Sequence[Person],
        why: Why,
        pairs: tuple[NDArray[np.intp], NDArray[np.intp]],
    ) -> list[str]:
        """Return what a reason of some (readers, papers) names; empty if it names nothing."""
        readers, papers = (places.tolist() for places in pairs)
        match why:
            case Why.WRITTEN | Why.NEAREST:
                texts = {
                    one: texts_of(people[one].interests, people[one].keywords)
                    for one in set(readers)
                }
                which = self.nearest_interests(*pairs).tolist()
                return [
                    texts[one][place] for one, place in zip(readers, which, strict=True)
                ]
            case Why.AUTHOR:
                watched = [items(people[one].watched_authors) for one in readers]
                return list(map(loaded.lexicon.author_of, papers, watched))
            case Why.INSTITUTION:
                return [loaded.institutions[one] for one in papers]
            case Why.KEYWORD if self.phrases is not None:
                return self.phrases.first(*pairs)
            case Why.LIKED if self.likes is not None:
                keys = self.likes[pairs].tolist()
                titles = Paper.objects.filter(pk__in=set(keys)).values_list("pk", "title")
                return list(map(dict(titles).__getitem__, keys))
            case Why.SEARCH:
                hits = loaded.searched.hits
                return [
                    next(
                        text for text in items(people[one].searches) if paper in hits(text)
                    )
                    for one, paper in zip(readers, papers, strict=True)
                ]
        return [""] * len(readers)


def found_in(
    loaded: LaidOut, people: Sequence[Person], *, until: datetime | None = None
) -> Found:
    """Look up the readers' words, names, votes and earlier papers in the edition.

    With `until` only papers that they had before that instant count as earlier ones.
    """
    found = Found()
    shape = (len(people), len(loaded.papers))
    places = {person.id: place for place, person in enumerate(people) if person.id}
    had = [
        (places[reader], position)
        for reader, position in sent_before(loaded.edition, list(places), until=until)
    ]
    if had or any(person.wrote for person in people):
        look_up(found, loaded, people, np.zeros((4, *shape), dtype=np.bool_))
    if found.matches and had:
        found.matches.left_out[tuple(zip(*had, strict=True))] = True
    stored = [person.directions for person in people]
    for version in versions(stored):
        points, directions = loaded.points[version], unpack(stored, version)
        if points is not None and directions is not None:
            found.close_to(points, directions, shape)
    return found


def look_up(
    found: Found, loaded: LaidOut, people: Sequence[Person], marks: ranking.Bools
) -> None:
    """Mark the papers with the readers' words and names; `marks` is 4 × N × P."""
    lexicon = loaded.lexicon
    from_one = partial(any_of, lexicon.from_institution)
    searches = lists(people, "searches")
    asked = [
        [*keywords, *phrases(person.interests)]
        for keywords, person in zip(lists(people, "keywords"), people, strict=True)
    ]
    found.phrases = phrase_hits(lexicon, asked)
    found.matches = matches = ranking.InterestMatches(
        keywords=found.phrases.marked(),
        authors=marks[0],
        institutions=marks[1],
        left_out=marks[2],
        searches=marks[3],
        searching=np.array([one != [] for one in searches]),
    )
    for mark, texts, find in (
        (matches.authors, lists(people, "watched_authors"), lexicon.by),
        (matches.left_out, lists(people, "muted_authors"), lexicon.by),
        (matches.institutions, lists(people, "watched_institutions"), from_one),
        (matches.left_out, lists(people, "muted_institutions"), from_one),
        (matches.searches, searches, partial(any_of, loaded.searched.hits)),
    ):
        for place, some in enumerate(texts):
            if some and (papers := find(some)):
                mark[place, list(papers)] = True


def phrase_hits(lexicon: Lexicon, asked: Sequence[Sequence[str]]) -> PhraseHits:
    """Look up the phrases that each reader asks for."""
    hits = {
        phrase: papers
        for phrase in {phrase for some in asked for phrase in some}
        if (papers := lexicon.with_phrase(phrase))
    }
    places = {phrase: place for place, phrase in enumerate(hits, start=1)}
    of = [[places[phrase] for phrase in some if phrase in places] for some in asked]
    having = np.zeros((len(hits) + 1, len(lexicon.texts)), dtype=np.bool_)
    for place, papers in enumerate(hits.values(), start=1):
        having[place, list(papers)] = True
    slots = np.array(list(zip_longest(*of, fillvalue=0)), dtype=np.int32)
    return PhraseHits(["", *hits], having, slots.reshape(-1, len(asked)))


def any_of(find: Callable[[str], Iterable[int]], texts: Iterable[str]) -> set[int]:
    return set().union(*map(find, texts))


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


def lists(people: Sequence[Person], name: str) -> list[list[str]]:
    """Return the list of texts that each reader has in the field of this name.

    All are decoded at once. Raises ValueError if one is damaged.
    """
    found: list[list[str]] = DECODER.decode(f"[{','.join(map(attrgetter(name), people))}]")
    if len(found) != len(people):
        raise ValueError(f"{len(people)} readers have {len(found)} lists")
    return found


@lru_cache(maxsize=4096)
def texts_of(interests: str, keywords: str) -> list[str]:
    """Return the texts that a reader's directions are of, in their order."""
    return interests_of(interests, items(keywords))
