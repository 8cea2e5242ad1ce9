"""What a benchmark found, as numbers: a value for each round, beside what is promised."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.benchmarks.machine import middle, table

COLUMNS = ["number", "wanted", "measured: median (least – greatest)", "met"]


@dataclass(frozen=True, slots=True)
class Figure:
    """One row of the table. Its median is held against the promise; no promise, no verdict."""

    name: str
    values: Sequence[float]
    at_most: float | None = None
    at_least: float | None = None

    @property
    def promised(self) -> bool:
        return self.at_most is not None or self.at_least is not None

    @property
    def met(self) -> bool:
        if not self.values:
            return False
        found = middle(self.values)
        low = -float("inf") if self.at_least is None else self.at_least
        high = float("inf") if self.at_most is None else self.at_most
        return low <= found <= high

    def row(self) -> list[str]:
        low, high = self.at_least, self.at_most
        wanted = [f"≥ {low:,g}"] if low is not None else []
        wanted += [f"≤ {high:,g}"] if high is not None else []
        verdict = ("yes" if self.met else "**no**") if self.promised else ""
        return [self.name, " and ".join(wanted), self.measured(), verdict]

    def measured(self) -> str:
        if not self.values:
            return "nothing"
        words = [short(value) for value in (min(self.values), max(self.values))]
        found = short(middle(self.values))
        return found if len(self.values) == 1 else f"{found} ({words[0]} – {words[1]})"


def short(value: float) -> str:
    """Three digits that mean something: 0.0123, 1.23, 123, 12,345."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    if abs(value) >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if abs(value) >= 0.1 or not value else f"{value:.2g}"


def ratios[T](ours: Iterable[T], theirs: Iterable[T], of: str) -> list[float]:
    """Round by round: the quotient of one attribute, ours to theirs."""
    pairs = zip(ours, theirs, strict=True)
    return [getattr(one, of) / getattr(other, of) for one, other in pairs]


def figures_table(figures: Iterable[Figure]) -> str:
    return table(COLUMNS, [figure.row() for figure in figures])


def write(path: Path, figures: Iterable[Figure]) -> None:
    path.write_text(json.dumps([asdict(figure) for figure in figures]))


def read(path: Path) -> list[Figure]:
    """The figures of a part. Raises OSError, ValueError where it has left none."""
    return [Figure(**fields) for fields in json.loads(path.read_text())]
