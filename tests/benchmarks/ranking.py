"""How well the ranking finds what a reader wants, on recorded days (PAPERS_DATA).

Each concept is a sentence that a reader might write and a pattern of the source's own
machine-made keywords, which no ranker sees: a paper that has one is wanted. The papers of
a day are ranked by the product's own functions; figures are means over all days with a
wanted paper. The shipped projection was fitted on papers before the days that are ranked.
"""

import json
import os
import re
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.figures import Figure

FILE = "hf_daily_dev_2026-01_2026-05.jsonl"
MOST, BEST = 10, 5
LIKES = (1, 3, 5, 10, 20)
Floats = NDArray[np.float32]

CONCEPTS = [
    ("how diffusion models learn to generate video",
     r"video (generation|diffusion|synthesis)|text-to-video|image-to-video"),
    ("making language models answer faster by guessing several tokens ahead",
     r"speculative decoding|draft model|multi-token prediction"),
    ("shrinking the memory that attention needs for long prompts",
     r"kv cache|key-value cache|cache (compression|eviction)"),
    ("robots that follow instructions using camera images",
     r"vision-language-action|\bvla\b"),
    ("checking chains of reasoning step by step with learned verifiers",
     r"process reward|verifier|step-level reward|process supervision"),
    ("agents that click and type in graphical user interfaces",
     r"gui agent|gui automation|gui grounding|computer[- ]use|mobile agent"),
    ("reconstructing 3D scenes from photos with Gaussian primitives",
     r"gaussian splatting|3d gaussian"),
    ("fixing bugs in real code repositories automatically",
     r"swe-bench|software engineering|program repair|issue resolution|code repair"),
    ("training reasoning with rewards that can be checked automatically",
     r"verifiable reward|rlvr"),
    ("when a model tricks its reward instead of solving the task",
     r"reward hack|reward over-?optimization"),
    ("retrieval that feeds documents to a language model before it answers",
     r"retrieval-augmented|\brag\b"),
    ("speech recognition and transcription in many languages",
     r"speech recognition|\basr\b|transcription"),
    ("synthesising natural sounding voices from text",
     r"text-to-speech|speech synthesis|\btts\b|voice cloning"),
    ("editing pictures by written instructions",
     r"image editing|instruction-based editing"),
    ("sparse and linear replacements for the attention mechanism",
     r"sparse attention|linear attention|state space model|mamba"),
    ("routing tokens to many small expert networks",
     r"mixture[- ]of[- ]experts|\bmoe\b|expert routing"),
    ("forgetting of old tasks when a network keeps learning new ones",
     r"catastrophic forgetting|continual learning|lifelong learning"),
    ("language models that write by denoising instead of left to right",
     r"diffusion language model|masked diffusion|discrete diffusion|diffusion llm"),
    ("simulating the world so that agents can plan inside the simulation",
     r"world model"),
    ("several language model agents that cooperate and talk to each other",
     r"multi-agent"),
    ("making small models from large ones by imitating their outputs",
     r"distillation"),
    ("fewer bits for weights and activations",
     r"quantiz|low-bit|fp4|int8|int4"),
    ("understanding which neurons or circuits cause a behaviour",
     r"interpretab|sparse autoencoder|circuit|attribution graph|activation patching"),
    ("attacks that make chat models ignore their safety rules",
     r"jailbreak|red[- ]team|adversarial attack|prompt injection|safety alignment"),
    ("invented facts in model answers and how to detect them",
     r"hallucinat|factuality"),
    ("research assistants that search the web over many steps",
     r"deep research|search agent|web agent|agentic search|browsecomp"),
    ("answering questions about long videos",
     r"video understanding|video question answering|long video|video reasoning"),
    ("predicting proteins and molecules with generative models",
     r"protein|molecul|drug"),
    ("proving theorems in formal languages such as Lean",
     r"theorem|lean 4|formal (verification|proof|math)|autoformal"),
    ("medical images and clinical text",
     r"medical|clinical|radiolog|patholog"),
]  # fmt: skip


@dataclass
class Day:
    """The papers of one day: topic weights, popularity, points, and who wants which."""

    topics: Floats  # P × T
    popular: Floats  # (P,)
    points: Floats  # P × DIMENSIONS
    wanted: NDArray[np.bool_]  # concepts × P


def run() -> list[Figure]:
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "digest.settings")
    django.setup()
    from digest.ranking.vectors import Direction, shipped

    days = read(Path(os.environ["PAPERS_DATA"]) / FILE)
    begin = time.process_time()
    written = [shipped().interest(sentence) for sentence, _ in CONCEPTS]
    each = (time.process_time() - begin) / len(CONCEPTS) * 1000
    sentences = [one for one in written if isinstance(one, Direction)]
    ticked = [favourites(days, place) for place in range(len(CONCEPTS))]
    nothing = [np.zeros_like(one) for one in ticked]
    figures = [Figure("CPU of a sentence, ms", [each], at_most=60)]
    figures += quality("upvotes alone", days, nothing, None)
    figures += quality("topics alone", days, ticked, None)
    figures += quality("a sentence", days, nothing, sentences, (0.72, 0.82, 0.02))
    figures += quality("a sentence and topics", days, ticked, sentences, (0.75, 0.85, 0.02))
    return [*figures, *liking(days)]


def read(path: Path) -> list[Day]:
    from digest.papers.topics import assign, definitions
    from digest.ranking.ranking import popularity
    from digest.ranking.vectors import shipped

    slugs = [topic.slug for topic in definitions()]
    by_day = defaultdict(list)
    for line in path.read_text().splitlines():
        by_day[json.loads(line)["day"]].append(json.loads(line))
    days = []
    for _, papers in sorted(by_day.items()):
        weights = [
            assign(one["title"], one["abstract"], categories=[], keywords=[])
            for one in papers
        ]
        keywords = [" | ".join(one.get("ai_keywords", [])).lower() for one in papers]
        days.append(
            Day(
                np.array([[one.get(slug, 0) for slug in slugs] for one in weights], "f4"),
                popularity(np.array([one["upvotes"] for one in papers])),
                np.stack(
                    [shipped().paper(one["title"], one["abstract"]) for one in papers]
                ),
                np.array(
                    [
                        [re.search(pattern, words) is not None for words in keywords]
                        for _, pattern in CONCEPTS
                    ]
                ),
            )
        )
    return days


def favourites(days: Sequence[Day], concept: int) -> Floats:
    """A profile with the two topics that most papers of the concept have."""
    sums = sum(day.topics.T @ day.wanted[concept] for day in days)
    chosen = np.zeros_like(sums, dtype=np.float32)
    chosen[np.argsort(sums)[-2:]] = 1
    return np.asarray(chosen, dtype=np.float32)


def picks(
    day: Day, profile: Floats, written: object, liked: object, likes: int
) -> list[int]:
    """The picks of one reader, by the product's ranking."""
    from digest.ranking.ranking import Closeness, rank
    from digest.ranking.vectors import Direction

    shape = (1, len(day.points))
    scores = [
        one.score(day.points)[None]
        if isinstance(one, Direction)
        else np.full(shape, -np.inf, dtype=np.float32)
        for one in (written, liked)
    ]
    close = Closeness(scores[0], scores[1], np.array([likes]))
    ranked = rank(
        profile[None],
        day.topics,
        day.popular,
        most=MOST,
        closeness=close if written or liked else None,
    )
    return [pick for pick in ranked.picks[0].tolist() if pick >= 0]


def quality(
    name: str,
    days: Sequence[Day],
    profiles: Sequence[Floats],
    written: Sequence[object] | None,
    promised: tuple[float, float, float] | None = None,
) -> list[Figure]:
    gains, recalls, silent = [], [], []
    for concept, profile in enumerate(profiles):
        for day in days:
            wanted = day.wanted[concept]
            if not wanted.any():
                continue
            got = picks(day, profile, written[concept] if written else None, None, 0)
            gains.append(ndcg(wanted[got[:BEST]], int(wanted.sum()), BEST))
            recalls.append(wanted[got[:BEST]].sum() / wanted.sum())
            silent.append(not got)
    least = promised or (None, None, None)
    return [
        Figure(f"nDCG@{BEST} within a day: {name}", [mean(gains)], at_least=least[0]),
        Figure(f"recall@{BEST} within a day: {name}", [mean(recalls)], at_least=least[1]),
        Figure(f"wanted days without a mail: {name}", [mean(silent)], at_most=least[2]),
    ]


def liking(days: Sequence[Day], readers: int = 80) -> list[Figure]:
    """nDCG@10 over the later half's papers for readers of two concepts, by their likes."""
    from digest.ranking.vectors import shipped

    middle = len(days) * 3 // 5
    early = np.concatenate([day.points for day in days[:middle]])
    late = np.concatenate([day.points for day in days[middle:]])
    wants = [np.concatenate([d.wanted for d in part], axis=1) for part in (
        days[:middle], days[middle:])]  # fmt: skip
    figures = []
    for likes in LIKES:
        chance, gains = np.random.default_rng(likes), []
        for _ in range(readers):
            pair = chance.choice(len(CONCEPTS), 2, replace=False)
            before, after = (want[pair].any(axis=0) for want in wants)
            if before.sum() < likes:
                continue
            liked = chance.choice(np.flatnonzero(before), likes, replace=False)
            scores = shipped().direction(early[liked]).score(late)
            best = np.argsort(-scores)[:MOST]
            gains.append(ndcg(after[best], int(after.sum()), MOST))
        figures.append(Figure(f"nDCG@{MOST} of later papers: {likes} likes", [mean(gains)]))
    return figures


def ndcg(hits: NDArray[np.bool_], wanted: int, most: int) -> float:
    discounts = 1 / np.log2(np.arange(most) + 2)
    best = discounts[: min(wanted, most)].sum()
    return float((hits * discounts[: len(hits)]).sum() / best)


def mean(values: Sequence[float]) -> float:
    return float(np.mean(values))
