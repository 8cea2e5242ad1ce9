"""Which papers of an edition a reader gets, best first. Pure: arrays in, arrays out.

A whole slice of readers is ranked by one matrix product; nothing here loops over
readers × papers.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]

# Popularity decides between papers of about equal fit, it does not make one fit.
POPULARITY_WEIGHT = np.float32(0.5)
# A keyword counts like a topic that fits wholly, a watched author for more.
KEYWORD_WEIGHT = np.float32(1)
AUTHOR_WEIGHT = np.float32(1.5)
# In a profile a chosen topic weighs 1, less or more by votes but never under this;
# what votes alone lean to stays below it.
LEAST_CHOSEN = np.float32(0.5)
# Leanings that add up to this bring a paper of no chosen topic: about three votes for
# papers wholly of its topic.
LIKED_ENOUGH = np.float32(0.2)
# So many of them at most: a digest stays one of the reader's topics.
MOST_LIKED = 3


@dataclass(frozen=True, slots=True)
class InterestMatches:
    """Beside topics, N × P each: papers with a reader's keywords, watched or muted authors."""

    keywords: NDArray[np.bool_]
    authors: NDArray[np.bool_]
    muted: NDArray[np.bool_]
    # Readers (N) who wished for something beside topics, found today or not.
    any: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Ranked:
    """For N readers and at most K picks: block positions and the topic that won.

    `picks` is N × K, best first, -1 where a reader has fewer; `topics` is N × K, the
    column of the reader's topic that fits the paper best, -1 for a reader who named
    none and gets what is trending. Beyond the T topics: T says a keyword, T + 1 a
    watched author, T + 2 votes for papers like it.
    """

    picks: Ints
    topics: Ints


def popularity(upvotes: NDArray[np.int64]) -> Floats:
    """Upvotes (P) on a scale of 0 to 1: each doubling counts the same."""
    logs = np.log1p(upvotes).astype(np.float32)
    return logs / max(logs.max(initial=0), np.float32(1))


def rank(
    profiles: Floats,
    papers: Floats,
    popular: Floats,
    *,
    most: int,
    matches: InterestMatches | None = None,
) -> Ranked:
    """Rank papers (P × T topic weights) for readers (N × T, see LEAST_CHOSEN).

    A reader who wished for nothing gets all papers by popularity and votes.
    """
    chosen = np.where(profiles >= LEAST_CHOSEN, profiles, np.float32(0))
    scores = chosen @ papers.T
    fits = scores > 0
    anything = ~chosen.any(axis=1)
    if matches:
        scores += matches.keywords * KEYWORD_WEIGHT + matches.authors * AUTHOR_WEIGHT
        fits |= matches.keywords | matches.authors
        anything &= ~matches.any
    fits |= anything[:, None]
    scores += popular * POPULARITY_WEIGHT
    liked = None
    if (leaning := profiles - chosen).any():
        votes = leaning @ papers.T
        liked = votes >= LIKED_ENOUGH
        scores += votes
        fits |= most_liked(scores, liked & ~fits)
    if matches:
        fits &= ~matches.muted
    scores[~fits] = -np.inf
    picks = best(scores, min(most, scores.shape[1]))
    topics = winning_topics(chosen, papers, picks)
    beside(topics, picks, papers.shape[1], liked=liked, matches=matches)
    return Ranked(picks, topics)


def best(scores: Floats, most: int) -> Ints:
    """The columns of the greatest scores (N × most), best first; -1 for -inf."""
    picks = np.full((len(scores), most), -1, dtype=np.int32)
    rows = np.arange(len(scores))
    for place in range(most):  # a few argmax passes beat a partition
        column = scores.argmax(axis=1)
        found = scores[rows, column] > -np.inf
        picks[found, place] = column[found]
        scores[rows, column] = -np.inf
    return picks


def most_liked(scores: Floats, liked: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Of each reader's liked papers (N × P) the MOST_LIKED best."""
    kept = np.zeros_like(liked)
    picks = best(np.where(liked, scores, -np.inf), min(MOST_LIKED, scores.shape[1]))
    rows, places = (picks >= 0).nonzero()
    kept[rows, picks[rows, places]] = True
    return kept


def winning_topics(chosen: Floats, papers: Floats, picks: Ints) -> Ints:
    """For each pick, the column of the reader's topic with the greatest weight."""
    if not picks.size:
        return picks.copy()
    weights = chosen[:, None, :] * papers[picks]
    topics = weights.argmax(axis=2)
    greatest = np.take_along_axis(weights, topics[:, :, None], axis=2)[:, :, 0]
    topics[(greatest <= 0) | (picks < 0)] = -1
    return topics.astype(np.int32)


def beside(
    topics: Ints,
    picks: Ints,
    first: int,
    *,
    liked: NDArray[np.bool_] | None,
    matches: InterestMatches | None,
) -> None:
    """Write into `topics` the reasons beside topics, from column `first` on.

    Votes only where nothing that the reader named brought the paper.
    """
    rows, found = np.arange(len(picks))[:, None], picks >= 0
    if liked is not None:
        topics[found & liked[rows, picks] & (topics < 0)] = first + 2
    if matches:
        topics[found & matches.keywords[rows, picks]] = first
        topics[found & matches.authors[rows, picks]] = first + 1
