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


@dataclass(frozen=True, slots=True)
class Ranked:
    """For N readers and at most K picks: block positions and the topic that won.

    `picks` is N × K, best first, -1 where a reader has fewer; `topics` is N × K, the
    column of the reader's topic that fits the paper best, -1 for a reader who named
    none and gets what is trending.
    """

    picks: Ints
    topics: Ints


def popularity(upvotes: NDArray[np.int64]) -> Floats:
    """Upvotes (P) on a scale of 0 to 1: each doubling counts the same."""
    logs = np.log1p(upvotes).astype(np.float32)
    return logs / max(logs.max(initial=0), np.float32(1))


def rank(profiles: Floats, papers: Floats, popular: Floats, *, most: int) -> Ranked:
    """Rank papers (P × T topic weights) for readers (N × T, 1 for a wished topic).

    A reader without any topic gets all papers by popularity.
    """
    scores = profiles @ papers.T
    anything = ~profiles.any(axis=1)
    fits = (scores > 0) | anything[:, None]
    scores += popular * POPULARITY_WEIGHT
    scores[~fits] = -np.inf
    readers, count = scores.shape
    most = min(most, count)
    picks = np.full((readers, most), -1, dtype=np.int32)
    rows = np.arange(readers)
    for place in range(most):  # a few argmax passes beat a partition
        best = scores.argmax(axis=1)
        found = scores[rows, best] > -np.inf
        picks[found, place] = best[found]
        scores[rows, best] = -np.inf
    return Ranked(picks, winning_topics(profiles, papers, picks))


def winning_topics(profiles: Floats, papers: Floats, picks: Ints) -> Ints:
    """For each pick, the column of the reader's topic with the greatest weight."""
    if not picks.size:
        return picks.copy()
    weights = profiles[:, None, :] * papers[picks]
    topics = weights.argmax(axis=2).astype(np.int32)
    topics[(weights.max(axis=2) <= 0) | (picks < 0)] = -1
    return topics
