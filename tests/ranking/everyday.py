"""Sixty interests in everyday words and the papers that they want, of ten days.

For the ranker's test in CI and for the benchmark. everyday.json says where it comes from.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from digest.ranking.vectors import Direction, Projection, packed, unpacked

FILE = Path(__file__).with_name("everyday.json")
BEST = 5
Bools = NDArray[np.bool_]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Day:
    """One day's papers: their words, upvotes, and which wordings want them."""

    words: list[list[str]]
    upvotes: NDArray[np.int64]
    wanted: Bools  # wordings × papers

    def points(self, projection: Projection) -> Floats:
        points = np.stack([projection.point_of(words) for words in self.words])
        return unpacked(packed(points))


@cache
def read() -> tuple[list[str], list[Day]]:
    """The wordings, and the days in their order."""
    held = json.loads(FILE.read_text())
    wordings = held["wordings"]
    by_day: dict[str, list[dict]] = {}
    for paper in held["papers"]:
        by_day.setdefault(paper["day"], []).append(paper)
    return [wording["text"] for wording in wordings], [
        Day(
            [list(counted(paper["words"])) for paper in papers],
            np.array([paper["upvotes"] for paper in papers]),
            np.array(
                [[paper["id"] in w["wanted"] for paper in papers] for w in wordings],
            ),
        )
        for _, papers in sorted(by_day.items())
    ]


def counted(words: str) -> Iterator[str]:
    for word in words.split():
        name, _, count = word.partition(":")
        yield from [name] * int(count or 1)


def quality(
    interest: Callable[[str], Direction | None], projection: Projection
) -> tuple[float, float]:
    """nDCG@5 and recall@5 within a day, of the papers that rank() gives for the wordings."""
    wordings, days = read()
    points = [day.points(projection) for day in days]
    gains, recalls = [], []
    for place, text in enumerate(wordings):
        direction = interest(text)
        for day, where in zip(days, points, strict=True):
            wanted = day.wanted[place]
            if wanted.any():
                got = picks(day, where, direction)
                gains.append(ndcg(wanted[got], int(wanted.sum()), BEST))
                recalls.append(wanted[got].sum() / wanted.sum())
    return float(np.mean(gains)), float(np.mean(recalls))


def picks(day: Day, points: Floats, direction: Direction | None) -> list[int]:
    from digest.ranking.ranking import Closeness, popularity, rank

    nothing = np.full((1, len(points)), -np.inf, dtype=np.float32)
    close = direction.score(points)[None] if direction else nothing
    ranked = rank(
        np.zeros((1, 1), dtype=np.float32),
        np.zeros((len(points), 1), dtype=np.float32),
        popularity(day.upvotes),
        most=BEST,
        closeness=Closeness(close, nothing, np.zeros(1, dtype=np.int32)),
    )
    return [pick for pick in ranked.picks[0].tolist() if pick >= 0]


def ndcg(hits: Bools, wanted: int, most: int) -> float:
    """The gain of hits in their order, as a share of the greatest possible."""
    discounts = 1 / np.log2(np.arange(most) + 2)
    best = discounts[: min(wanted, most)].sum()
    return float((hits * discounts[: len(hits)]).sum() / best)
