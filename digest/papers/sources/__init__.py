"""The sources of papers: one file each, and one line here.

Nothing is stored here; a source reads, and ingest.py stores.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import BinaryIO, Protocol

from digest.papers.download import NotYetPublished, RateLimited, SourceError
from digest.papers.records import Batch, PaperRecord, Rejected
from digest.papers.sources import arxiv, daily_papers, saved_page
from digest.papers.turns import Clock, turn

__all__ = ["FILES", "SOURCES", "NotYetPublished", "RateLimited", "SourceError"]

PRIMARY, ARXIV = "daily-papers", "arxiv"

COMPLETE_HOUR = 8  # UTC; a day's list is nearly complete by then


class FetchDay(Protocol):
    """Return the papers of a day, or None if they are still those that had `etag`.

    Raises SourceError.
    """

    def __call__(self, day: date, *, etag: str = "") -> Batch | None: ...


type ReadFile = Callable[[BinaryIO, date], Iterator[PaperRecord | Rejected]]


@dataclass(frozen=True, slots=True)
class Source:
    """What asks a source, and the manners that it wants (see turns.py)."""

    fetch_day: FetchDay
    lease: timedelta = timedelta(0)  # above zero: one connection at a time, for so long
    pause: timedelta = timedelta(0)  # between two requests


# First the one whose list makes a day; the others fill its gaps.
SOURCES = {
    PRIMARY: Source(daily_papers.fetch_day),
    ARXIV: Source(arxiv.fetch_day, lease=arxiv.LEASE, pause=arxiv.PAUSE),
}
# How a kind of file begins, and what reads it.
FILES: list[tuple[re.Pattern[bytes], ReadFile]] = [
    (daily_papers.START, daily_papers.read_file),
    (saved_page.START, saved_page.read_file),
]


def in_turn(name: str, clock: Clock) -> AbstractContextManager[None]:
    """Hold a source's turn while the block asks it. Raises RateLimited."""
    source = SOURCES[name]
    return turn(name, clock, lease=source.lease, pause=source.pause)


def newest_day(now: datetime) -> date:
    """Return the newest day whose list is complete at `now` (aware)."""
    return (now - timedelta(hours=COMPLETE_HOUR)).date()


def read_file(path: Path, *, day: date) -> Iterator[PaperRecord | Rejected]:
    """Yield the papers of a file of any known kind.

    `day` applies to entries that name none, and its year to dates without one. Raises
    SourceError, at the first step.
    """
    try:
        with path.open("rb") as file:
            start = file.read(4096)
            file.seek(0)
            read = next((read for begins, read in FILES if begins.search(start)), None)
            if read is None:
                raise SourceError(
                    f"{path} is no JSON array, no JSON Lines and no saved page"
                )
            yield from read(file, day)
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror}") from None
