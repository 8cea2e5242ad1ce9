"""Texts as points in a space of meanings (LSA), and interests as directions in it.

Pure: numpy and files only. A Projection turns a text's words into a point. It contains
past papers as points, the background. The past papers nearest to a written interest, read
with all of its words and without each of them, are found, and their mean against the mean
of all is the direction that ranks a day's papers:

    w = (Σ + 10 · mean variance · I)⁻¹ (mean of the nearest − mean of the background)

where the nearer papers count more. That is linear discriminant analysis in closed form: no
training loop, about a millisecond. Likes become a direction by the same formula, told apart
from recent papers instead: on recorded days that finds a tenth more.
"""

import hashlib
import io
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from digest.papers.words import stems

Floats = NDArray[np.float32]
Halves = NDArray[np.float16]
Bytes = NDArray[np.int8]

SHIPPED = Path(__file__).with_name("projection.npz")
SHIPPED_VERSION = "d1bf3392"  # by which it need not be read to be told from another
MOST_WORDS = 8190
DIMENSIONS = 256
RARE = 3  # words in fewer papers are left out
TITLE_COUNTS = 2  # times that a title's words count
NEAREST = 30
# Where both are known, meaning decides before words: the former finds everyday wordings, the
# latter the words of a field.
MEANING = 4
# What the last of the nearest counts, and how much more those before it, in deviations.
LEAST_NEAR = np.float32(0.3)
# A text is also read without each of its words, if it has no more than these.
MOST_LEFT_OUT = 20
BLOCK = 512  # rows
RIDGE = 10.0
# What somebody liked is surer than the papers nearest to words, and surer the more they are:
# n likes have a ridge of 10 / n.
MOST_RIDGE_OF_LIKES, RIDGE_OF_ONE_LIKE = 3.0, 10.0
# A signed byte for each coordinate of a point costs less than .003 nDCG.
POINT_SCALE = np.float32(1 / 127)
SENTENCE_SCALE = np.float32(0.3 / 127)  # no coordinate of a sentence's point is greater

# Turns texts into points by their meaning (n × any), see sentences.py.
Encode = Callable[[Sequence[str]], Floats]


@dataclass(frozen=True)
class Direction:
    """A scoring of papers: (point · weights − offset), in standard deviations.

    0 is an average paper of the crowd, and about 2 a paper close to the interest.
    """

    weights: Floats  # (DIMENSIONS,)
    offset: float

    def score(self, points: Floats) -> Floats:
        """Score papers (P × DIMENSIONS). Returns (P,)."""
        return points @ self.weights - np.float32(self.offset)


@dataclass(frozen=True, eq=False)
class Crowd:
    """Papers that wanted ones are told apart from, as points (n × DIMENSIONS)."""

    points: Floats

    @cached_property
    def mean(self) -> Floats:
        mean: Floats = self.points.mean(axis=0)
        return mean

    @cached_property
    def spread(self) -> tuple[Floats, Floats]:
        """Return the variances along the axes of the covariance, and these as columns."""
        variances, axes = np.linalg.eigh(np.cov(self.points.T))
        return variances.astype(np.float32), axes.astype(np.float32)

    def direction(self, wanted: Floats, *, ridge: float) -> Direction:
        """Return the direction from an average paper to a wanted point (DIMENSIONS,).

        The `ridge` is in mean variances: the greater, the less the covariance counts.
        """
        variances, axes = self.spread
        damped = variances + np.float32(ridge) * variances.mean()
        weights = axes @ ((wanted - self.mean) @ axes / damped)
        scores = self.points @ weights
        deviation = float(scores.std()) or 1.0
        return Direction(
            (weights / np.float32(deviation)).astype(np.float32),
            float(scores.mean()) / deviation,
        )

    def liking(self, liked: Floats, disliked: Floats | None = None) -> Direction:
        """Return the direction to liked papers, away from disliked ones (n × DIMENSIONS)."""
        wanted = liked.mean(axis=0)
        if disliked is not None and len(disliked):
            away = len(disliked) / (len(disliked) + len(liked))
            wanted = wanted - np.float32(away) * (disliked.mean(axis=0) - self.mean)
        ridge = min(MOST_RIDGE_OF_LIKES, RIDGE_OF_ONE_LIKE / len(liked))
        return self.direction(wanted, ridge=ridge)


@dataclass(frozen=True, eq=False)
class Past:
    """The papers that a projection was fitted on: its background."""

    ids: Sequence[str]  # of arXiv
    titles: Sequence[str]
    packed: Bytes  # papers × DIMENSIONS
    sentences: Bytes | None = None  # papers × any, by an Encode, in SENTENCE_SCALE


@dataclass(frozen=True, eq=False)
class Projection:
    """Words with their vectors, and past papers, read when asked for: a sender needs none."""

    words: Sequence[str]
    idf: Floats  # (words,)
    matrix: Halves  # words × DIMENSIONS: each process has it, so in half the bytes
    read_past: Callable[[], Past]

    @cached_property
    def past(self) -> Past:
        return self.read_past()

    @cached_property
    def columns(self) -> dict[str, int]:
        return {word: column for column, word in enumerate(self.words)}

    @cached_property
    def version(self) -> str:
        """Return a hash of the projection; points of different versions do not compare."""
        hashed = hashlib.blake2b(digest_size=4)
        for rows in in_blocks(self.matrix):
            hashed.update(rows.tobytes())
        return hashed.hexdigest()

    @cached_property
    def background(self) -> Crowd:
        return Crowd(unpacked(self.past.packed))

    def point(self, text: str) -> Floats:
        """Return a text's point, of length 1; all zeros if it has no known word."""
        return self.point_of(stems(text))

    def point_of(self, words: Iterable[str]) -> Floats:
        """Return the point of stemmed words."""
        columns, weights = weighted(self.columns, self.idf, words)
        if not columns:
            return np.zeros(self.matrix.shape[1], dtype=np.float32)
        return unit(weights.astype(np.float32) @ self.matrix[columns].astype(np.float32))

    def paper(self, title: str, abstract: str) -> Floats:
        """Return a paper's point, as in the background."""
        return unpacked(packed(self.point(document(title, abstract))))

    def readings(self, words: Sequence[str]) -> Floats:
        """Return the points of words, and of the same without each of them (n × DIMENSIONS).

        A paper that is near for one word alone is far without it. None if no word is known.
        """
        known = list(dict.fromkeys(word for word in words if word in self.columns))
        left_out = known if len(known) <= MOST_LEFT_OUT else []
        readings = [list(words)] + [
            [word for word in words if word != one] for one in left_out
        ]
        points = np.stack([self.point_of(reading) for reading in readings])
        return points[points.any(axis=1)]

    def nearest(self, text: str, encode: Encode | None = None) -> tuple[list[int], Floats]:
        """Return the places of the background's papers nearest to a text, and their weights.

        Nearest first; none if no word of the text is known. With `encode` its meaning counts
        beside its words.
        """
        readings = self.readings(stems(text))
        if not len(readings):
            return [], np.zeros(0, dtype=np.float32)
        scores = standardized(readings @ self.background.points.T)
        scores = standardized(scores.min(axis=0))
        if encode and (points := self.past.sentences) is not None:
            scores += MEANING * standardized(product(points, encode([text])[0]))
        order = greatest(scores, NEAREST)
        weights = scores[order] - scores[order[-1]] + LEAST_NEAR
        return order.tolist(), weights / weights.sum()

    def interest(self, text: str, encode: Encode | None = None) -> Direction | None:
        """Return the direction of a written interest; None if no word of it is known."""
        near, weights = self.nearest(text, encode)
        if not near:
            return None
        return self.background.direction(
            weights @ self.background.points[near], ridge=RIDGE
        )

    def content(self) -> bytes:
        """Return a compressed .npz with the matrix in half precision."""
        held, past = io.BytesIO(), self.past
        np.savez_compressed(
            held,
            allow_pickle=False,
            words=np.array("\n".join(self.words)),
            idf=self.idf.astype(np.float16),
            matrix=self.matrix,
            ids=np.array("\n".join(past.ids)),
            titles=np.array("\n".join(past.titles)),
            packed=past.packed,
            **({} if past.sentences is None else {"sentences": past.sentences}),
        )
        return held.getvalue()


def read(file: Path | io.BytesIO) -> Projection:
    """Read what `content` returned. Raises OSError, ValueError, KeyError."""
    with np.load(file, allow_pickle=False) as held:
        # In memory the papers take less than the file.
        later = partial(read_past, file) if isinstance(file, Path) else given(past_of(held))
        return Projection(
            words=str(held["words"]).split("\n"),
            idf=held["idf"].astype(np.float32),
            matrix=held["matrix"].astype(np.float16, copy=False),
            read_past=later,
        )


def read_past(file: Path) -> Past:
    with np.load(file, allow_pickle=False) as held:
        return past_of(held)


def past_of(held: Mapping[str, NDArray[Any]]) -> Past:
    return Past(
        ids=str(held["ids"]).split("\n"),
        titles=str(held["titles"]).split("\n"),
        packed=held["packed"],
        sentences=held.get("sentences"),
    )


def given(past: Past) -> Callable[[], Past]:
    return lambda: past


@lru_cache(maxsize=1)
def shipped() -> Projection:
    """Return the projection that comes with the project."""
    return read(SHIPPED)


def document(title: str, abstract: str) -> str:
    return " ".join([title] * TITLE_COUNTS + [abstract])


def weighted(
    columns: dict[str, int], idf: Floats, words: Iterable[str]
) -> tuple[list[int], NDArray[np.float64]]:
    """Return the columns of the known words and their weights: (1 + log count) · idf."""
    counts = Counter(columns[word] for word in words if word in columns)
    places = sorted(counts)
    return places, (1 + np.log([counts[place] for place in places])) * idf[places]


def unit(vector: Floats) -> Floats:
    length = np.float32(np.linalg.norm(vector))
    return vector / length if length else vector


def standardized(scores: Floats) -> Floats:
    """Return scores (n, or any × n) in standard deviations from the mean of their row."""
    found: Floats = scores - scores.mean(axis=-1, keepdims=True)
    found /= found.std(axis=-1, keepdims=True) + np.float32(1e-9)
    return found


def product(points: Bytes, point: Floats) -> Floats:
    """Return points @ point, in blocks that stay in the processor's cache."""
    return np.concatenate([block @ point for block in in_blocks(points)])


def in_blocks(table: Bytes | Halves) -> Iterator[Floats]:
    """Yield some rows after the other, in single precision."""
    for place in range(0, len(table), BLOCK):
        yield table[place : place + BLOCK].astype(np.float32)


def greatest(scores: Floats, count: int) -> NDArray[np.intp]:
    """Return the places of the greatest scores, the greatest first."""
    count = min(count, len(scores))
    places = np.argpartition(-scores, count - 1)[:count]
    return places[np.argsort(-scores[places], kind="stable")]


def packed(points: Floats, scale: np.float32 = POINT_SCALE) -> Bytes:
    return np.clip(np.round(points / scale), -127, 127).astype(np.int8)


def unpacked(points: Bytes) -> Floats:
    return points.astype(np.float32) * POINT_SCALE


def fit(papers: Sequence[tuple[str, str, str]], *, seed: int = 1) -> Projection:
    """Fit a projection to (arXiv id, title, abstract) of past papers.

    It is a truncated singular value decomposition of their weighted words by a few passes of
    subspace iteration; the same papers and seed give the same projection.
    """
    documents = [stems(document(title, abstract)) for _, title, abstract in papers]
    frequency = Counter(word for words in documents for word in set(words))
    common = [word for word, count in frequency.most_common(MOST_WORDS) if count >= RARE]
    words = sorted(common)
    columns = {word: column for column, word in enumerate(words)}
    idf = np.array(
        [np.log(1 + len(papers) / frequency[word]) for word in words], dtype=np.float32
    )
    table = Table([weighted(columns, idf, one) for one in documents], len(words))
    matrix = half(leading(table, min(DIMENSIONS, len(words), len(papers)), seed))
    points = table @ matrix
    points /= np.linalg.norm(points, axis=1, keepdims=True) + np.float32(1e-9)
    past = Past(
        ids=[arxiv_id for arxiv_id, _, _ in papers],
        titles=[" ".join(title.split()) for _, title, _ in papers],
        packed=packed(points),
    )
    return Projection(
        words=words,
        idf=half(idf),
        matrix=matrix.astype(np.float16),
        read_past=given(past),
    )


class Table:
    """The weights of words in documents, a row each of length 1.

    It is stored sparsely and multiplied in dense blocks of rows, so that the memory does not
    grow with documents × words.
    """

    ROWS = 256

    def __init__(
        self, rows: Sequence[tuple[list[int], NDArray[np.float64]]], columns: int
    ) -> None:
        self.rows = [
            (np.array(places, dtype=np.int32), unit(weights.astype(np.float32)))
            for places, weights in rows
        ]
        self.shape = (len(rows), columns)

    def blocks(self) -> Iterator[Floats]:
        for start in range(0, len(self.rows), self.ROWS):
            rows = self.rows[start : start + self.ROWS]
            block = np.zeros((len(rows), self.shape[1]), dtype=np.float32)
            for row, (places, weights) in enumerate(rows):
                block[row, places] = weights
            yield block

    def __matmul__(self, right: Floats) -> Floats:
        found: Floats = np.concatenate([block @ right for block in self.blocks()])
        return found

    def squared(self, right: Floats) -> Floats:
        """Return tableᵀ · table · right."""
        found = np.zeros_like(right)
        for block in self.blocks():
            found += block.T @ (block @ right)
        return found


def half(values: Floats) -> Floats:
    """Round to half precision, as saved, so that a fitted projection equals the one read."""
    return values.astype(np.float16).astype(np.float32)


def leading(table: Table, count: int, seed: int, passes: int = 4) -> Floats:
    """Return the leading right singular vectors (columns × count) of a table."""
    chance = np.random.default_rng(seed)
    wide = min(count + 20, *table.shape)
    basis = chance.standard_normal((table.shape[1], wide)).astype(np.float32)
    for _ in range(passes):
        basis, _ = np.linalg.qr(table.squared(basis))
    _, _, rotation = np.linalg.svd(table @ basis, full_matrices=False)
    found: Floats = (basis @ rotation.T)[:, :count].astype(np.float32)
    return found
