"""Rank the papers of an edition for readers, best first. Pure: arrays in, arrays out.

One matrix product ranks a whole slice of readers; nothing here loops over readers × papers.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from digest.editions.reasons import MOST_REASONS, Why

Bools = NDArray[np.bool_]
Floats = NDArray[np.float32]
Ints = NDArray[np.int32]

# Popularity decides between papers of about equal fit; it never makes a paper fit.
# Closeness has many more steps than topics, so beside it a smaller weight is enough.
POPULARITY_WEIGHT = np.float32(0.5)
POPULARITY_BESIDE_CLOSENESS = np.float32(0.1)
# A keyword counts like a topic that fits wholly, as does an institution; an author or a search for more.
KEYWORD_WEIGHT = np.float32(1)
INSTITUTION_WEIGHT = np.float32(1)
AUTHOR_WEIGHT = np.float32(1.5)
SEARCH_WEIGHT = np.float32(1.5)
# In a profile a chosen topic weighs 1, less or more by votes but never under this. A topic
# that only votes favour stays below it: it orders papers but does not select any.
LEAST_CHOSEN = np.float32(0.5)
# This many standard deviations of closeness count as much as a topic that fits wholly.
LIKE_A_TOPIC = np.float32(2)
# A paper is close to a written interest from this closeness on, and from this share of that of
# the edition's closest: of twenty papers a day about two are. Beside a paper that is surely
# close the others seldom are wanted, and in a week more reach a number than in a day. On days
# with a paper that the reader wants nine in ten mails have one. With half the best, or from
# 1.5 on, recall@5 is 0.05 to 0.06 less; docs/decisions.md has what else was tried.
CLOSE, LEAST_OF_BEST = np.float32(1), np.float32(0.3)
# From here on a mail may say that a paper is close to what its reader wrote: of the recorded
# papers that reach it, 83% have the concept of the sentence in their labels, where of those
# that are close 14% have. Those between are named the nearest of the edition, which claims
# no more than the order that they are in.
SURELY_CLOSE = np.float32(7)
# The same for likes, which are less reliable, and less so the fewer they are.
CLOSE_TO_LIKES = np.float32(2.2)
# n likes weigh 2n / (n + 3), where written interests weigh 1.
MOST_LIKE_WEIGHT, HALF_LIKE_WEIGHT = np.float32(2), np.float32(3)
# The most that closeness to disliked papers counts, in standard deviations.
MOST_DISLIKED = np.float32(3)
# The most papers by likes alone, so that a digest consists mostly of the named interests.
MOST_LIKED = 3
# The fewest papers for a reader who wants trending ones where little matches.
FEWEST = 3
# A paper that only fills up comes after every other.
BELOW_ALL = np.float32(100)
# In a general list each earlier paper of the same field counts this much against one.
SAME_FIELD = np.float32(0.15)
# Papers that are equally popular keep their places in such a list.
ONE_PLACE = np.float32(1e-4)
# Papers whose points have a greater cosine are near-duplicates: two versions of one text.
# Of 2,365 papers of five months no two of one week reach 0.86.
SAME_PAPER = np.float32(0.9)
# How surely a reason is the reader's own: what is certain is said first.
CERTAIN = {Why.AUTHOR: 30.0, Why.SEARCH: 25.0, Why.INSTITUTION: 20.0, Why.KEYWORD: 10.0}
LEAST_CERTAIN = 0.001


class Tuning(NamedTuple):
    """The weights of what a score consists of beside a topic that fits wholly, which is 1."""

    keyword: np.float32 = KEYWORD_WEIGHT
    author: np.float32 = AUTHOR_WEIGHT
    closeness: np.float32 = np.float32(1) / LIKE_A_TOPIC  # of a standard deviation
    popularity: np.float32 = POPULARITY_WEIGHT
    beside_closeness: np.float32 = POPULARITY_BESIDE_CLOSENESS


USUAL = Tuning()


@dataclass(frozen=True, slots=True)
class InterestMatches:
    """Papers with a reader's keywords, authors, institutions or searches, N × P each.

    `left_out` are those of muted names, and those that the reader got before. `searching` (N)
    are the readers who keep a search: what trends does not come to them without a wish.
    """

    keywords: Bools
    authors: Bools
    institutions: Bools
    left_out: Bools
    searches: Bools
    searching: Bools

    def weighed(self, tuning: "Tuning") -> dict[Why, tuple[Bools, np.float32]]:
        """Return what brings papers, with what it adds to their scores."""
        return {
            Why.KEYWORD: (self.keywords, tuning.keyword),
            Why.AUTHOR: (self.authors, tuning.author),
            Why.INSTITUTION: (self.institutions, INSTITUTION_WEIGHT),
            Why.SEARCH: (self.searches, SEARCH_WEIGHT),
        }


@dataclass(frozen=True, slots=True)
class Closeness:
    """How close papers are to readers' words and likes (N × P), in standard deviations.

    A reader without words, or without likes, has a row of -inf. `likes` (N) counts papers;
    where it is negative, so many are disliked, none is liked, and `liked` is negative for
    papers that are close to those. `alike` marks papers that are like a single liked one, and
    `close` those that are close to one of several interests: see `close_ones`.
    """

    written: Floats
    liked: Floats
    likes: Ints
    alike: Bools | None = None
    close: Bools | None = None

    def points(self, weight: np.float32) -> Floats:
        """Return the points that closeness adds to a score (N × P)."""
        if not self.likes.any():
            found: Floats = np.maximum(self.written * weight, 0)
            return found
        return (np.maximum(self.written, 0) + self.liked_points()) * weight

    def liked_points(self) -> Floats:
        """Return the part of the likes; negative only where a reader disliked alone."""
        if not self.likes.any():
            return np.zeros_like(self.liked)
        count = np.abs(self.likes)[:, None].astype(np.float32)
        weight = MOST_LIKE_WEIGHT * count / (count + HALF_LIKE_WEIGHT)
        least = np.where(self.likes < 0, -MOST_DISLIKED, np.float32(0))[:, None]
        counted = np.where(self.likes[:, None] == 0, np.float32(0), self.liked)
        found: Floats = weight * np.maximum(counted, least)
        return found

    def brought(self) -> dict[Why, Bools]:
        """Return the papers that are close enough to be picked for it alone."""
        liked = self.liked >= CLOSE_TO_LIKES
        if self.alike is not None:
            liked &= self.alike
        close = close_ones(self.written) if self.close is None else self.close
        surely = self.written >= SURELY_CLOSE
        return {Why.WRITTEN: surely, Why.NEAREST: close & ~surely, Why.LIKED: liked}


@dataclass(frozen=True, slots=True)
class Wishes:
    """Which readers (N) want trending papers that match none of their interests.

    `some` get up to FEWEST papers in all, and where enough match, one for a change; `half`
    get half of their mail.
    """

    some: Bools
    half: Bools


@dataclass(frozen=True, slots=True)
class Ranked:
    """The picks of N readers, at most K each: block positions and the reasons of each.

    `picks` is N × K, best first, -1 where a reader has fewer; `topics` is N × K, the column
    of the reader's topic that fits the paper best, or -1. `reasons` is N × K × 2, values of
    Why, strongest first, -1 for none; a paper without a reason is trending. `scores` is
    N × K, what each pick was ranked by; -inf where there is none.
    """

    picks: Ints
    scores: Floats
    topics: Ints
    reasons: NDArray[np.int8]


def least_close(scores: Floats) -> Floats:
    """Return the least closeness of a paper that is close (rows × 1), by all those of a row."""
    best = scores.max(axis=1, keepdims=True, initial=-np.inf)
    least: Floats = np.maximum(LEAST_OF_BEST * best, CLOSE)
    return least


def close_ones(scores: Floats) -> Bools:
    """Mark the papers (rows × P) that are close to the written interest of each row."""
    close: Bools = scores >= least_close(scores)
    return close


def popularity(upvotes: NDArray[np.int64]) -> Floats:
    """Return upvotes (P) on a scale of 0 to 1: each doubling counts the same."""
    logs = np.log1p(upvotes).astype(np.float32)
    return logs / max(logs.max(initial=0), np.float32(1))


def mixed(papers: Floats, popular: Floats) -> Floats:
    """Return popularity (P) for a list that mixes fields, on a scale of 0 to 1.

    The most popular is first; each next one has the most popularity left after what the
    papers before it took from its topics.
    """
    taken = np.zeros(papers.shape[1], dtype=np.float32)
    left, order = popular.astype(np.float32).copy(), np.empty(len(popular), dtype=int)
    for place in range(len(popular)):
        order[place] = np.argmax(left - papers @ taken)
        left[order[place]] = -np.inf
        taken += SAME_FIELD * papers[order[place]]
    scale = np.empty(len(popular), dtype=np.float32)
    scale[order] = np.sort(popular)[::-1] - np.arange(len(popular)) * ONE_PLACE
    return scale


def near_duplicates(points: Floats) -> Bools | None:
    """Mark the pairs of papers (P × P) that say the same; None if there are none.

    A paper whose point is all zeros is like no other.
    """
    pairs: Bools = points @ points.T > SAME_PAPER
    return pairs if pairs.sum() > np.diagonal(pairs).sum() else None


def rank(
    profiles: Floats,
    papers: Floats,
    popular: Floats,
    *,
    most: Ints | int,
    matches: InterestMatches | None = None,
    closeness: Closeness | None = None,
    wishes: Wishes | None = None,
    general: Floats | None = None,
    duplicates: Bools | None = None,
    tuning: Tuning = USUAL,
) -> Ranked:
    """Rank papers (P × T topic weights) for readers (N × T, see LEAST_CHOSEN).

    `most` (N) is the number of papers that a reader wants at most. A reader without topics
    and words gets all papers, by `general` (P) or popularity, and votes. Of `duplicates`
    (P × P) a reader gets one.
    """
    most = np.broadcast_to(most, len(profiles))
    chosen = np.where(profiles >= LEAST_CHOSEN, profiles, np.float32(0))
    scores = chosen @ papers.T
    fits = scores > 0
    anything = ~chosen.any(axis=1, keepdims=True)
    tie = np.full((len(profiles), 1), tuning.popularity)
    brought: dict[Why, Bools] = {}
    left_out = matches.left_out if matches else np.zeros_like(fits)
    if matches:
        for why, (papers_brought, weight) in matches.weighed(tuning).items():
            if papers_brought.any():
                scores += papers_brought * weight
                brought[why] = papers_brought
        anything &= ~matches.searching[:, None]
    if closeness:
        scores += closeness.points(tuning.closeness)
        brought |= closeness.brought()
        wrote = (closeness.written > -np.inf).any(axis=1, keepdims=True)
        anything &= ~wrote
        tie[wrote[:, 0] | (closeness.likes > 0)] = tuning.beside_closeness
    fits |= anything
    for why, papers_brought in brought.items():
        if why is not Why.LIKED:
            fits |= papers_brought
    liked_by = popular if general is None else general
    scores += np.where(anything, liked_by, popular) * tie
    if (leaning := profiles - chosen).any():
        scores += leaning @ papers.T
    if closeness:
        fits |= most_liked(scores, brought[Why.LIKED] & ~fits & ~left_out)
        near = nearest(closeness.written, fits & ~left_out, ~left_out & wrote)
        brought[Why.NEAREST] |= near
        fits |= near
    fits &= ~left_out
    if wishes and (wishes.some | wishes.half).any():
        wishes = Wishes(wishes.some & ~anything[:, 0], wishes.half & ~anything[:, 0])
        fits, filling = filled_up(scores, fits, left_out, most, wishes, liked_by)
        brought |= filling
    scores[~fits] = -np.inf
    picks, won = best(scores, min(int(most.max(initial=0)), scores.shape[1]), duplicates)
    picks[np.arange(picks.shape[1]) >= most[:, None]] = -1
    topics = winning_topics(chosen, papers, picks)
    whys = reasons(chosen, papers, picks, topics, brought, closeness)
    return Ranked(picks, won, topics, whys)


def filled_up(
    scores: Floats,
    fits: Bools,
    left_out: Bools,
    most: Ints,
    wishes: Wishes,
    popular: Floats,
) -> tuple[Bools, dict[Why, Bools]]:
    """Add trending papers, after all others, for readers who wish for them.

    Changes the scores. Returns which papers fit now, and why those that were added.
    """
    some, half = wishes.some, wishes.half
    wished = (some | half)[:, None]
    room = np.where(half, most - most // 2, np.where(most > FEWEST, most - 1, most))
    kept = fits & ~wished | the_best(np.where(fits & wished, scores, -np.inf), room)
    found = kept.sum(axis=1)
    enough = found >= FEWEST
    missing = np.where(half, most - found, np.where(enough, 1, FEWEST - found))
    free = ~fits & ~left_out & wished
    added = the_best(
        np.where(free, popular, np.float32(-np.inf)), np.minimum(missing, most - found)
    )
    scores[added] -= BELOW_ALL
    return kept | added, {
        Why.TRENDING: added & (some & ~enough)[:, None],
        Why.EXPLORED: added & (some & enough)[:, None],
    }


def best(scores: Floats, most: int, duplicates: Bools | None = None) -> tuple[Ints, Floats]:
    """Return the columns of the greatest scores and the scores themselves, best first.

    Both are N × most; where the score is -inf the column is -1. Changes the scores. A
    near-duplicate of a column that was taken is left out.
    """
    picks = np.full((len(scores), most), -1, dtype=np.int32)
    won = np.full((len(scores), most), -np.inf, dtype=np.float32)
    rows = np.arange(len(scores))
    for place in range(most):  # a few argmax passes beat a partition
        column = scores.argmax(axis=1)
        won[:, place] = scores[rows, column]
        found = won[:, place] > -np.inf
        picks[found, place] = column[found]
        scores[rows, column] = -np.inf
        if duplicates is not None:
            scores[duplicates[column] & found[:, None]] = -np.inf
    return picks, won


def most_liked(scores: Floats, liked: Bools) -> Bools:
    """Mark the MOST_LIKED best of each reader's liked papers (N × P)."""
    if not liked.any():
        return liked
    return the_best(np.where(liked, scores, -np.inf), np.full(len(scores), MOST_LIKED))


def nearest(written: Floats, fits: Bools, allowed: Bools) -> Bools:
    """Mark the paper (N × P) nearest to the written interests of a reader whom none fits."""
    found = np.zeros_like(fits)
    none = np.flatnonzero(~fits.any(axis=1) & allowed.any(axis=1))
    scores = np.where(allowed[none], written[none], -np.inf)
    found[none] = the_best(scores, np.ones_like(none))
    return found


def the_best(scores: Floats, counts: NDArray[np.int64]) -> Bools:
    """Mark the `counts` (N) greatest scores of each row that are not -inf."""
    kept = np.zeros(scores.shape, dtype=np.bool_)
    picks, _ = best(scores.copy(), min(max(int(counts.max(initial=0)), 0), scores.shape[1]))
    wanted = (picks >= 0) & (np.arange(picks.shape[1]) < counts[:, None])
    rows, places = wanted.nonzero()
    kept[rows, picks[rows, places]] = True
    return kept


def winning_topics(chosen: Floats, papers: Floats, picks: Ints) -> Ints:
    """Return, for each pick, the column of the reader's topic with the greatest weight."""
    if not picks.size or not chosen.any():
        return np.full_like(picks, -1)
    weights = papers[picks]
    weights *= chosen[:, None, :]
    topics = weights.argmax(axis=2)
    greatest = np.take_along_axis(weights, topics[:, :, None], axis=2)[:, :, 0]
    topics[(greatest <= 0) | (picks < 0)] = -1
    return topics.astype(np.int32)


def reasons(
    chosen: Floats,
    papers: Floats,
    picks: Ints,
    topics: Ints,
    brought: dict[Why, Bools],
    closeness: Closeness | None,
) -> NDArray[np.int8]:
    """Return the strongest reasons of each pick (N × K × 2), -1 for none.

    What is certain comes first: an author, an institution, a keyword. Then topic, words
    and likes by what they add to the score.
    """
    found = np.full((*picks.shape, MOST_REASONS), -1, dtype=np.int8)
    found[..., 0][topics >= 0] = Why.TOPIC
    if not brought or not picks.size:
        return found
    rows, taken = np.arange(len(picks))[:, None], picks >= 0
    strengths = np.zeros((*picks.shape, len(Why)), dtype=np.float32)
    fit = chosen[rows, topics] * papers[picks, topics]
    strengths[..., Why.TOPIC] = np.where(topics >= 0, fit, 0)
    points: dict[Why, Floats] = {}
    if closeness:
        points[Why.WRITTEN] = points[Why.NEAREST] = closeness.written
        points[Why.LIKED] = closeness.liked_points()
    for why, which in brought.items():
        strength = (
            np.maximum(points[why][rows, picks] / LIKE_A_TOPIC, LEAST_CERTAIN)
            if why in points
            else CERTAIN.get(why, LEAST_CERTAIN)
        )
        strengths[..., why] = np.where(which[rows, picks], strength, 0)
    strengths[~taken] = 0
    for place in range(MOST_REASONS):
        strongest = strengths.argmax(axis=2)[..., None]
        weight = np.take_along_axis(strengths, strongest, axis=2)
        found[..., place] = np.where(weight > 0, strongest, -1)[..., 0]
        np.put_along_axis(strengths, strongest, 0, axis=2)
    return found
