"""What the proof must show, and how it is printed: one line per figure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One promise measured: what was wanted, what was found, and whether that is enough."""

    part: str
    name: str
    wanted: str
    found: str
    holds: bool


def at_most(part: str, name: str, found: float, limit: float, *, unit: str = "") -> Figure:
    limits = "0" if not limit else f"{limit:g} at most"
    return Figure(part, name, limits + unit, f"{found:.6g}{unit}", found <= limit)


def at_least(part: str, name: str, found: float, limit: float, *, unit: str = "") -> Figure:
    return Figure(
        part, name, f"{limit:g} at least{unit}", f"{found:.6g}{unit}", found >= limit
    )


def nothing_wrong(part: str, wrong: Sequence[str]) -> Figure:
    """The invariants, with the first that broke."""
    found = f"{len(wrong)}: {wrong[0]}" if wrong else "0"
    return Figure(part, "broken invariants", "0", found, not wrong)


def table(figures: Iterable[Figure]) -> str:
    """The report, aligned; a figure that misses is marked."""
    rows = [("part", "figure", "wanted", "found", "")]
    rows += [
        (one.part, one.name, one.wanted, one.found, "" if one.holds else "MISSED")
        for one in figures
    ]
    widths = [max(len(row[place]) for row in rows) for place in range(3)]
    return "\n".join(
        "  ".join(
            [*(f"{text:{width}}" for text, width in zip(row, widths, strict=False)), row[3]]
        )
        + (f"  {row[4]}" if row[4] else "")
        for row in rows
    )
