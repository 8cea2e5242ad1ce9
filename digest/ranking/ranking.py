"""Rank the papers of an edition for readers, best first. Pure: arrays in, arrays out.

One matrix product ranks a whole slice of readers; nothing here loops over readers × papers.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]

# Popularity decides between papers of about equal fit; it never makes a paper fit.
# Closeness has many more steps than topics, so beside it a smaller weight is enough.
POPULARITY_WEIGHT = np.float32(0.5)
POPULARITY_BESIDE_CLOSENESS = np.float32(0.1)
# A keyword counts like a topic that fits wholly, a watched author for more.
KEYWORD_WEIGHT = np.float32(1)
AUTHOR_WEIGHT = np.float32(1.5)
# In a profile a chosen topic weighs 1, less or more by votes but never under this. A topic
# that only votes favour stays below it: it orders papers but does not select any.
LEAST_CHOSEN = np.float32(0.5)
# This many standard deviations of closeness count as much as a topic that fits wholly.
LIKE_A_TOPIC = np.float32(2)
# The least closeness of a paper that is close to written interests: on 98% of the days with
# a paper that the reader wants one reaches it; of twenty papers a day, two or three do.
CLOSE = np.float32(1)
# The same for likes, which are less reliable, and less so the fewer they are.
CLOSE_TO_LIKES = np.float32(2.2)
# n likes weigh 2n / (n + 3), where written interests weigh 1.
MOST_LIKE_WEIGHT, HALF_LIKE_WEIGHT = np.float32(2), np.float32(3)
# The most papers by likes alone, so that a digest consists mostly of the named interests.
MOST_LIKED = 3
# The fewest papers for a reader with written interests; the nearest, if none is close.
FEWEST = 3


@dataclass(frozen=True, slots=True)
class InterestMatches:
    """Papers with a reader's keywords, watched or muted authors, N × P each."""

    keywords: NDArray[np.bool_]
    authors: NDArray[np.bool_]
    muted: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Closeness:
    """How close papers are to readers' words and likes (N × P), in standard deviations.

    A reader without words, or without likes, has a row of -inf. `likes` (N) counts papers.
    """

    written: Floats
    liked: Floats
    likes: Ints

    def points(self) -> Floats:
        """Return the points that closeness adds to a score (N × P), never negative."""
        likes = self.likes[:, None].astype(np.float32)
        weight = MOST_LIKE_WEIGHT * likes / (likes + HALF_LIKE_WEIGHT)
        both: Floats = np.maximum(self.written, 0) + weight * np.maximum(self.liked, 0)
        return both / LIKE_A_TOPIC


@dataclass(frozen=True, slots=True)
class Ranked:
    """The picks of N readers, at most K each: block positions and the reason of each.

    `picks` is N × K, best first, -1 where a reader has fewer; `topics` is N × K, the
    column of the reader's topic that fits the paper best, -1 for a paper that is trending.
    The columns from T, the number of topics, are the values of Beside.
    """

    picks: Ints
    topics: Ints


class Beside(IntEnum):
    """Reasons for a paper other than topics, as columns after the topics'."""

    KEYWORD = 0  # it contains a keyword of the reader
    AUTHOR = 1  # an author that the reader watches
    LIKED = 2  # close to papers that the reader liked
    WRITTEN = 3  # close to what the reader wrote
    NEAREST = 4  # not close, but the nearest of the day


def popularity(upvotes: NDArray[np.int64]) -> Floats:
    """Return upvotes (P) on a scale of 0 to 1: each doubling counts the same."""
    logs = np.log1p(upvotes).astype(np.float32)
    return logs / max(logs.max(initial=0), np.float32(1))


def rank(
    profiles: Floats,
    papers: Floats,
    popular: Floats,
    *,
    most: int,
    matches: InterestMatches | None = None,
    closeness: Closeness | None = None,
) -> Ranked:
    """Rank papers (P × T topic weights) for readers (N × T, see LEAST_CHOSEN).

    A reader without topics and words gets all papers by popularity and votes.
    """
    chosen = np.where(profiles >= LEAST_CHOSEN, profiles, np.float32(0))
    scores = chosen @ papers.T
    brought: dict[Beside, NDArray[np.bool_]] = {}
    if matches:
        scores += matches.keywords * KEYWORD_WEIGHT + matches.authors * AUTHOR_WEIGHT
        brought[Beside.KEYWORD] = matches.keywords
        brought[Beside.AUTHOR] = matches.authors
    tie = np.full((len(profiles), 1), POPULARITY_WEIGHT)
    anything = ~chosen.any(axis=1, keepdims=True)
    if closeness:
        scores += closeness.points()
        brought[Beside.WRITTEN] = closeness.written >= CLOSE
        wrote = (closeness.written > -np.inf).any(axis=1, keepdims=True)
        anything &= ~wrote
        tie[wrote[:, 0] | (closeness.likes > 0)] = POPULARITY_BESIDE_CLOSENESS
    fits = anything | (chosen @ papers.T > 0)
    for papers_brought in brought.values():
        fits |= papers_brought
    scores += popular * tie
    if (leaning := profiles - chosen).any():
        scores += leaning @ papers.T
    muted = matches.muted if matches else np.zeros_like(fits)
    if closeness:
        liked = closeness.liked >= CLOSE_TO_LIKES
        brought[Beside.LIKED] = liked
        fits |= most_liked(scores, liked & ~fits & ~muted)
        near = nearest(closeness.written, fits & ~muted, ~muted & wrote)
        brought[Beside.NEAREST] = near
        fits |= near
    scores[~fits | muted] = -np.inf
    picks = best(scores, min(most, scores.shape[1]))
    return Ranked(picks, reasons(chosen, papers, picks, brought, closeness))


def best(scores: Floats, most: int) -> Ints:
    """Return the columns of the greatest scores (N × most), best first; -1 for -inf."""
    picks = np.full((len(scores), most), -1, dtype=np.int32)
    rows = np.arange(len(scores))
    for place in range(most):  # a few argmax passes beat a partition
        column = scores.argmax(axis=1)
        found = scores[rows, column] > -np.inf
        picks[found, place] = column[found]
        scores[rows, column] = -np.inf
    return picks


def most_liked(scores: Floats, liked: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Mark the MOST_LIKED best of each reader's liked papers (N × P)."""
    return the_best(np.where(liked, scores, -np.inf), np.full(len(scores), MOST_LIKED))


def nearest(
    written: Floats, fits: NDArray[np.bool_], allowed: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Mark the papers (N × P) nearest to the written interests that fill up to FEWEST."""
    missing = FEWEST - fits.sum(axis=1)
    return the_best(np.where(allowed & ~fits, written, -np.inf), missing)


def the_best(scores: Floats, counts: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Mark the `counts` (N) greatest scores of each row that are not -inf."""
    kept = np.zeros(scores.shape, dtype=np.bool_)
    picks = best(scores.copy(), min(max(int(counts.max(initial=0)), 0), scores.shape[1]))
    wanted = (picks >= 0) & (np.arange(picks.shape[1]) < counts[:, None])
    rows, places = wanted.nonzero()
    kept[rows, picks[rows, places]] = True
    return kept


def winning_topics(chosen: Floats, papers: Floats, picks: Ints) -> Ints:
    """Return, for each pick, the column of the reader's topic with the greatest weight."""
    if not picks.size:
        return picks.copy()
    weights = chosen[:, None, :] * papers[picks]
    topics = weights.argmax(axis=2)
    greatest = np.take_along_axis(weights, topics[:, :, None], axis=2)[:, :, 0]
    topics[(greatest <= 0) | (picks < 0)] = -1
    return topics.astype(np.int32)


def reasons(
    chosen: Floats,
    papers: Floats,
    picks: Ints,
    brought: dict[Beside, NDArray[np.bool_]],
    closeness: Closeness | None,
) -> Ints:
    """Return the column of each pick's reason, the strongest where there are several.

    A keyword or an author is certain and comes first; then a topic or the reader's words,
    whichever adds more to the score; then likes; then Beside.NEAREST.
    """
    topics = winning_topics(chosen, papers, picks)
    rows, found = np.arange(len(picks))[:, None], picks >= 0
    first = papers.shape[1]
    weights = (chosen[:, None, :] * papers[picks]).max(axis=2, initial=0)

    def say(reason: Beside, where: NDArray[np.bool_] | bool = True) -> None:
        if reason in brought:
            topics[found & brought[reason][rows, picks] & where] = first + reason

    unsaid = topics < 0
    say(Beside.NEAREST, unsaid)
    say(Beside.LIKED, unsaid)
    if closeness and picks.size:
        say(Beside.WRITTEN, closeness.written[rows, picks] / LIKE_A_TOPIC > weights)
    say(Beside.KEYWORD)
    say(Beside.AUTHOR)
    return topics
