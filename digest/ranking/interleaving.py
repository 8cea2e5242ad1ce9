"""Compare two rankings by readers' votes: interleave them, and count whose papers they like.

Each reader's digest is drafted from both (team draft, Radlinski et al. 2008): the team with
fewer papers is next, by lot where both have as many, and takes its best paper that is left.
So neither has better places, and a vote on a paper is a vote for its team. Nothing is
measured but votes: no pixel, no link. The ledger has each pick's team.
"""

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from digest.editions.picks import parse_picks
from digest.models import Block, Delivery, Edition, Vote, folded
from digest.ranking.ranking import Bools, Ints, Ranked, Tuning

TEAMS = "ab"  # the usual ranking, and the variant
# What can be compared with the usual weights. A name that was used stays.
VARIANTS = {
    "closer": Tuning(closeness=np.float32(1)),  # what was written counts twice
    "names": Tuning(keyword=np.float32(2), author=np.float32(3)),
    "popular": Tuning(popularity=np.float32(1), beside_closeness=np.float32(0.5)),
}
SURE = 1.96  # standard deviations for 95%


def interleaved(
    usual: Ranked,
    variant: Ranked,
    most: Ints,
    seeds: Sequence[str],
    duplicates: Bools | None = None,
) -> tuple[Ranked, NDArray[np.int8]]:
    """Draft the picks of N readers from two rankings; return them and their teams (N × K).

    A reader's `seed` decides the lots, so that a repeated hand-over has the same picks.
    """
    both = (usual, variant)
    picks = np.full_like(usual.picks, -1)
    scores, topics = np.full_like(usual.scores, -np.inf), np.full_like(usual.topics, -1)
    reasons, teams = np.full_like(usual.reasons, -1), np.zeros(picks.shape, dtype=np.int8)
    for reader, seed in enumerate(seeds):
        lists = [one.picks[reader].tolist() for one in both]
        drafted = draft(lists, int(most[reader]), random.Random(seed), duplicates)  # noqa: S311
        for place, (team, rank) in enumerate(drafted):
            of = both[team]
            picks[reader, place] = of.picks[reader, rank]
            scores[reader, place] = of.scores[reader, rank]
            topics[reader, place] = of.topics[reader, rank]
            reasons[reader, place] = of.reasons[reader, rank]
            teams[reader, place] = team
    return Ranked(picks, scores, topics, reasons), teams


def draft(
    lists: Sequence[Sequence[int]],
    most: int,
    chance: random.Random,
    duplicates: Bools | None = None,
) -> Iterator[tuple[int, int]]:
    """Yield (team, rank in its list) for each place; -1 in a list is no paper."""
    taken: set[int] = set()
    counts = [0, 0]
    for _ in range(most):
        left = [
            next(
                (rank for rank, one in enumerate(of) if one >= 0 and one not in taken), None
            )
            for of in lists
        ]
        team = counts[0] > counts[1] if counts[0] != counts[1] else chance.random() < 0.5
        if (rank := left[team]) is None and (rank := left[team := not team]) is None:
            return
        paper = lists[team][rank]
        taken |= {paper}
        if duplicates is not None:
            taken |= set(np.flatnonzero(duplicates[paper]).tolist())
        counts[team] += 1
        yield int(team), rank


@dataclass(frozen=True)
class Credit:
    """How many readers' votes were for more papers of a variant, or of the usual ranking."""

    variant: int
    usual: int
    equal: int
    votes: int

    @property
    def share(self) -> float:
        """Return the variant's share of the readers who preferred one."""
        decided = self.variant + self.usual
        return self.variant / decided if decided else 0.5

    @property
    def interval(self) -> tuple[float, float]:
        """Return the share's interval of 95% (Wilson 1927); 0 to 1 without readers."""
        n = self.variant + self.usual
        if not n:
            return 0.0, 1.0
        middle = (self.share + SURE**2 / (2 * n)) / (1 + SURE**2 / n)
        spread = sqrt(self.share * (1 - self.share) / n + SURE**2 / (4 * n**2))
        half = SURE * spread / (1 + SURE**2 / n)
        return max(middle - half, 0.0), min(middle + half, 1.0)


def credit(variant: str) -> Credit:
    """Count the votes on papers of editions with a variant, as they are now.

    A reader counts once, however many votes they gave: more for a team's papers than less.
    Five queries at most.
    """
    editions = Edition.objects.filter(variant=variant).values("pk")
    rows = Block.objects.filter(edition__in=editions)
    blocks = rows.values_list("edition", "position", "paper")
    papers = {(edition, position): paper for edition, position, paper in blocks}
    cast = Vote.objects.filter(paper__in=rows.values("paper"))
    votes = {
        (reader, paper): value
        for reader, paper, value in cast.values_list("subscriber", "paper", "value")
    }
    sent = Delivery.objects.filter(
        edition__in=editions, subscriber__in=cast.values("subscriber")
    )
    balance, counted = Counter[int](), 0
    found = sent.values_list("edition", "subscriber", "picks")
    closed = Edition.objects.filter(variant=variant).exclude(folded_at=None)
    voters = {reader for reader, _ in votes}
    old = folded.folded(list(closed.values_list("pk", flat=True)), voters)
    kept = ((row.edition_id, row.subscriber_id, row.picks) for row in old)
    for edition, reader, picks in chain(found.iterator(), kept):
        stored = parse_picks(picks)
        if stored is None or reader is None:
            continue
        for pick in stored.picks:
            value = votes.get((reader, papers.get((edition, pick.position), 0)), 0)
            if value and pick.team:
                balance[reader] += value if pick.team == TEAMS[1] else -value
                counted += 1
    return Credit(
        variant=sum(value > 0 for value in balance.values()),
        usual=sum(value < 0 for value in balance.values()),
        equal=sum(value == 0 for value in balance.values()),
        votes=counted,
    )
