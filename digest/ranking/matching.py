"""What a slice of readers and an edition have in common, and what the reasons for it name."""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import lru_cache, partial, reduce
from itertools import chain, pairwise, starmap, zip_longest
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

type Places = NDArray[np.intp]

# A paper is like a liked one from this cosine of their points on.
ALIKE = np.float32(0.5)
# So many of an edition's papers, those closest to a reader's likes, are compared with each
# liked paper: more than can come for their likes alone.
COMPARED = 8
# Bytes of directions that are scored at once: what they take stays in the processor's cache.
AT_ONCE = 500_000


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

    def first(self, readers: Places, papers: Places) -> Places:
        """Return which is the first phrase of each of some readers that their paper has."""
        found = np.zeros(len(readers), dtype=np.intp)
        for some in self.of[::-1, readers]:
            found = np.where(self.papers[some, papers], some, found)
        return found


@dataclass(slots=True)
class Found:
    """What a slice's readers have in common with an edition, and the names of it."""

    matches: ranking.InterestMatches | None = None
    closeness: ranking.Closeness | None = None
    phrases: PhraseHits | None = None
    # by which of `interests_of`: how close the papers are to it (N × P), -inf where none is
    interests: list[ranking.Floats] = field(default_factory=list)
    close: ranking.Bools | None = None  # N × P: close to one of them
    # the key of the liked paper that a paper is like (N × P), or 0
    likes: NDArray[np.uint32] | None = None

    def close_to(
        self, points: ranking.Floats, directions: Directions, shape: tuple[int, int]
    ) -> None:
        """Score the papers by readers' words and likes, of readers who have directions."""
        if self.closeness is None or self.close is None:
            self.closeness = nothing_close(shape)
            self.close = np.zeros(shape, dtype=np.bool_)
        liked = self.closeness.liked
        for place in range(MOST_INTERESTS):
            rows = np.flatnonzero(
                (directions.kind == Kind.WRITTEN) & (directions.of == place)
            )
            if len(rows):
                while len(self.interests) <= place:
                    self.interests.append(np.full(shape, -np.inf, dtype=np.float32))
                readers = directions.reader[rows]
                scores = scored(directions, rows, points)
                self.interests[place][readers] = scores
                self.close[readers] |= ranking.close_ones(scores)
        rows = np.flatnonzero(directions.kind == Kind.LIKED)
        liked[directions.reader[rows]] = scored(directions, rows, points)
        rows = np.flatnonzero(directions.kind == Kind.DISLIKED)
        liked[directions.reader[rows]] = -np.maximum(scored(directions, rows, points), 0)
        self.closeness.likes[:] += directions.likes
        self.like_one(directions, points, liked)

    def like_one(
        self, directions: Directions, points: ranking.Floats, liked: ranking.Floats
    ) -> None:
        """Mark the papers close to likes that are like a single liked paper.

        Of each reader the COMPARED closest papers are compared with their liked papers, which
        are laid out as readers × likes, all readers in one product.
        """
        rows = np.flatnonzero(directions.kind == Kind.LIKE)
        owners = directions.reader[rows]
        who = np.unique(owners)
        who = who[(liked[who] >= ranking.CLOSE_TO_LIKES).any(axis=1)]
        rows = rows[np.isin(owners, who)]
        if not len(rows):
            return
        owners = directions.reader[rows]
        owner = np.searchsorted(who, owners)
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
        if self.likes is None:
            self.likes = np.zeros(liked.shape, dtype=np.uint32)
        self.likes[who[reader], papers[reader, nth]] = which

    def nearest_interests(self, readers: Places, papers: Places) -> Places:
        """Return which of `interests_of` the papers are closest to, of readers who have some."""
        scores = [interest[readers, papers] for interest in self.interests]
        found: Places = np.argmax(scores, axis=0)
        return found

    def names(
        self,
        loaded: LaidOut,
        people: Sequence[Person],
        why: Why,
        readers: Places,
        papers: Places,
    ) -> tuple[Sequence[str], Places]:
        """Return what a reason of some papers of readers names, and which name is whose.

        Each name is looked up once; it is empty if the reason names nothing.
        """
        match why:
            case Why.WRITTEN | Why.NEAREST:
                nearest = self.nearest_interests(readers, papers)
                return each(readers, nearest, partial(text_of, people))
            case Why.AUTHOR:
                return each(readers, papers, partial(author_of, loaded, people))
            case Why.INSTITUTION:
                return loaded.institutions, papers
            case Why.KEYWORD if self.phrases is not None:
                return self.phrases.phrases, self.phrases.first(readers, papers)
            case Why.LIKED if self.likes is not None:
                keys, which = np.unique(self.likes[readers, papers], return_inverse=True)
                rows = Paper.objects.filter(pk__in=keys.tolist())
                titles = dict(rows.values_list("pk", "title"))
                return [titles[key] for key in keys.tolist()], which
            case Why.SEARCH:
                return each(readers, papers, partial(search_of, loaded, people))
        return [""], np.zeros_like(readers)


def each(
    readers: Places, others: Places, name: Callable[[int, int], str]
) -> tuple[Sequence[str], Places]:
    """Return the name of each different pair, and which is whose."""
    width = int(others.max(initial=0)) + 1
    keys, which = np.unique(readers * width + others, return_inverse=True)
    firsts, seconds = np.divmod(keys, width)
    return list(map(name, firsts.tolist(), seconds.tolist())), which


def text_of(people: Sequence[Person], reader: int, which: int) -> str:
    """Return one of a reader's texts; empty if the direction is of none that they have now."""
    texts = texts_of(people[reader].interests, people[reader].keywords)
    return texts[which] if which < len(texts) else ""


def author_of(loaded: LaidOut, people: Sequence[Person], reader: int, paper: int) -> str:
    return loaded.lexicon.author_of(paper, items(people[reader].watched_authors))


def search_of(loaded: LaidOut, people: Sequence[Person], reader: int, paper: int) -> str:
    searches = items(people[reader].searches)
    return next(text for text in searches if paper in loaded.searched.hits(text))


def found_in(
    loaded: LaidOut, people: Sequence[Person], *, until: datetime | None = None
) -> Found:
    """Look up the readers' words, names, votes and earlier papers in the edition.

    With `until` only papers that they had before that instant count as earlier ones.
    """
    found = Found()
    shape = (len(people), len(loaded.papers))
    seats = {person.id: seat for seat, person in enumerate(people) if person.id}
    had = [
        (seats[reader], position)
        for reader, position in sent_before(loaded.edition, list(seats), until=until)
    ]
    if had or any(person.wrote for person in people):
        look_up(found, loaded, people, np.zeros((4, *shape), dtype=np.bool_))
    if found.matches and had:
        found.matches.left_out[tuple(zip(*had, strict=True))] = True
    stored = [person.directions for person in people]
    for version in versions(stored):
        if (points := loaded.points[version]) is None:
            continue
        for places in parts(stored):
            if (directions := unpack(stored, version, places)) is not None:
                found.close_to(points, directions, shape)
    if close := found.closeness:
        written = reduce(np.maximum, found.interests or [close.written])
        alike = np.zeros(shape, np.bool_) if found.likes is None else found.likes > 0
        found.closeness = replace(close, written=written, alike=alike, close=found.close)
    return found


def nothing_close(shape: tuple[int, int]) -> ranking.Closeness:
    """Return the closeness of N × P for readers without words and likes.

    The likes are to be filled in, and `written` to be replaced.
    """
    nothing = np.float32(-np.inf)
    return ranking.Closeness(
        np.broadcast_to(nothing, shape),
        np.full(shape, nothing),
        np.zeros(shape[0], dtype=np.int32),
    )


def parts(stored: Sequence[bytes | None]) -> Iterator[range]:
    """Yield the places of all, in parts that are about as long as AT_ONCE together."""
    ends = np.cumsum([len(one or b"") for one in stored])
    cuts = np.searchsorted(ends, np.arange(AT_ONCE, ends[-1], AT_ONCE)).tolist()
    return starmap(range, pairwise([0, *cuts, len(stored)]))


def look_up(
    found: Found, loaded: LaidOut, people: Sequence[Person], marks: ranking.Bools
) -> None:
    """Mark the papers with the readers' words and names; `marks` is 4 × N × P."""
    lexicon = loaded.lexicon
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
    for marked, texts, find in (
        (matches.authors, lists(people, "watched_authors"), lexicon.by_each),
        (matches.left_out, lists(people, "muted_authors"), lexicon.by_each),
        (matches.institutions, lists(people, "watched_institutions"), lexicon.from_each),
        (matches.left_out, lists(people, "muted_institutions"), lexicon.from_each),
        (matches.searches, searches, loaded.searched.hits_of_each),
    ):
        mark(marked, texts, find)


def mark(
    marked: ranking.Bools,
    texts: Sequence[Sequence[str]],
    find: Callable[[Iterable[str]], Sequence[Collection[int]]],
) -> None:
    """Mark the papers (N × P) that one of each reader's texts finds."""
    found = find(chain.from_iterable(texts))
    if any(found):
        readers = np.repeat(np.arange(len(texts)), [len(some) for some in texts])
        papers = np.fromiter(chain.from_iterable(found), dtype=np.intp)
        marked[np.repeat(readers, [len(some) for some in found]), papers] = True


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


def scored(directions: Directions, rows: Places, points: ranking.Floats) -> ranking.Floats:
    """Return the scores of the edition's papers by some directions (rows × P)."""
    with np.errstate(invalid="ignore", over="ignore"):
        weights, offset = directions.weights(rows), directions.offset[rows, None]
        return finite(weights @ points.T - offset)


def finite(scores: ranking.Floats) -> ranking.Floats:
    """Return the scores with -inf for what damaged bytes gave: it makes no paper close."""
    sound = np.isfinite(scores)
    return scores if sound.all() else np.where(sound, scores, np.float32(-np.inf))


def closest(scores: ranking.Floats, count: int) -> Places:
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
    stored = list(map(attrgetter(name), people))
    if stored.count("[]") == len(stored):
        return [[]] * len(stored)
    found: list[list[str]] = DECODER.decode(f"[{','.join(stored)}]")
    if len(found) != len(people):
        raise ValueError(f"{len(people)} readers have {len(found)} lists")
    return found


@lru_cache(maxsize=4096)
def texts_of(interests: str, keywords: str) -> list[str]:
    """Return the texts that a reader's directions are of, in their order."""
    return interests_of(interests, items(keywords))
