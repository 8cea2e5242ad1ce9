"""What votes are worth: simulated readers on recorded days (PAPERS_DATA), no database.

Each reader wants papers of two keywords and has chosen the two topics that most of these
have. In the first half of the days they vote on what their digests bring: more for what
they want, less for the best of the rest. The other half says how good their digests are,
with their votes and without.
"""

import json
import os
import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tests.benchmarks.figures import Figure

FILE = "hf_daily_dev_2026-01_2026-05.jsonl"
LIKES = (3, 10, 20, 40)
MOST, BEST, MOST_ALONE = 10, 5, 3

type Score = tuple[float, float]


@dataclass
class Days:
    """Per day: topic weights (P × T), popularity (P), keywords of each paper."""

    papers: list[np.ndarray] = field(default_factory=list)
    popular: list[np.ndarray] = field(default_factory=list)
    keywords: list[list[frozenset[str]]] = field(default_factory=list)


def run(*, readers: int = 100) -> list[Figure]:
    """nDCG@5 within a day, by number of likes; and picks a day that votes alone brought."""
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "digest.settings")
    django.setup()
    days = read(Path(os.environ["PAPERS_DATA"]) / FILE)
    counts = Counter(word for day in days.keywords for words in day for word in words)
    wanted = sorted(word for word, count in counts.items() if 25 <= count <= 150)
    chance = random.Random(1)
    found = defaultdict(list)
    for _ in range(readers):
        for likes, pair in life(days, set(chance.sample(wanted, 2))).items():
            found[likes].append(pair)
    return [figure for likes in LIKES for figure in figures(likes, found[likes])]


def figures(likes: int, pairs: Sequence[tuple[Score, Score]]) -> list[Figure]:
    plain, voted = (np.mean(scores, axis=0) for scores in zip(*pairs, strict=True))
    who = f"{len(pairs)} readers, {likes} likes each"
    return [
        Figure(f"nDCG@5 without votes, {who}", [float(plain[0])]),
        Figure(f"nDCG@5 with votes, {who}", [float(voted[0])], at_least=float(plain[0])),
        Figure(f"picks a day by votes alone, {who}", [float(voted[1])], at_most=MOST_ALONE),
    ]


def read(path: Path) -> Days:
    from digest.papers.topics import assign, definitions
    from digest.ranking.ranking import popularity

    slugs = [topic.slug for topic in definitions()]
    by_day = defaultdict(list)
    for line in path.read_text().splitlines():
        paper = json.loads(line)
        by_day[paper["day"]].append(paper)
    days = Days()
    for _, papers in sorted(by_day.items()):
        weights = [
            assign(paper["title"], paper["abstract"], categories=[],
                   keywords=paper.get("ai_keywords", [])) for paper in papers
        ]  # fmt: skip
        days.papers.append(
            np.array([[one.get(slug, 0) for slug in slugs] for one in weights], "float32")
        )
        days.popular.append(popularity(np.array([paper["upvotes"] for paper in papers])))
        days.keywords.append(
            [frozenset(map(str.lower, paper.get("ai_keywords", []))) for paper in papers]
        )
    return days


def life(days: Days, keywords: set[str]) -> dict[int, tuple[Score, Score]]:
    """Number of likes → scores without and with the votes, at the moment of the last."""
    wants = [np.array([bool(w & keywords) for w in day], "float") for day in days.keywords]
    half = len(wants) // 2
    sums = sum(day.T @ want for day, want in zip(days.papers[:half], wants, strict=False))
    chosen = [int(column) for column in np.argsort(sums)[::-1][:2]]
    totals, likes = np.zeros(len(sums)), 0
    plain = score(days, wants, profile(chosen, 0 * totals), range(half, len(wants)))
    found = {}
    for day in range(half):
        picks, _ = digest(days, day, profile(chosen, totals))
        good = [pick for pick in picks if wants[day][pick]]
        bad = [pick for pick in picks if not wants[day][pick]][:1]
        totals = totals + days.papers[day][good].sum(0) - days.papers[day][bad].sum(0)
        for count in range(likes + 1, likes + len(good) + 1):
            if count in LIKES:
                weights = profile(chosen, totals)
                found[count] = (plain, score(days, wants, weights, range(half, len(wants))))
        likes += len(good)
    return found


def profile(chosen: Sequence[int], totals: np.ndarray) -> np.ndarray:
    from digest.ranking.votes import leaning
    from subscribers import preferences

    stored = preferences.profile(
        chosen, {column: leaning(total) for column, total in enumerate(totals)}
    )
    dense = np.frombuffer(stored.ljust(len(totals), b"\0"), dtype=np.int8)
    return dense[None] * np.float32(1 / preferences.CHOSEN)


def digest(days: Days, day: int, weights: np.ndarray) -> tuple[list[int], int]:
    """The picks, and how many of them votes alone brought."""
    from digest.ranking.ranking import rank

    ranked = rank(weights, days.papers[day], days.popular[day], most=MOST)
    alone = int((ranked.topics == weights.shape[1] + 2).sum())
    return [pick for pick in ranked.picks[0].tolist() if pick >= 0], alone


def score(
    days: Days, wants: Sequence[np.ndarray], weights: np.ndarray, which: range
) -> Score:
    gains, brought = [], []
    discounts = 1 / np.log2(np.arange(BEST) + 2)
    for day in which:
        picks, alone = digest(days, day, weights)
        brought.append(alone)
        if wants[day].any():
            hits = wants[day][picks[:BEST]]
            best = discounts[: int(wants[day].sum())].sum()
            gains.append(float((hits * discounts[: len(hits)]).sum() / best))
    return float(np.mean(gains)), float(np.mean(brought))
