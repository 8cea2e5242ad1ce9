"""What a bounce says about an address, and when bounces or complaints are too many. Pure.

Scoring as Mailman's: a point a day at most, forgotten after a week of silence, and an
address that has collected enough is written to no more.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta

ENOUGH = 5
STALE = timedelta(days=7)

NO_SUCH_ADDRESS = re.compile(r"\b5\.(?:1\.[0-36]|2\.1)\b")
POLICY = re.compile(r"\b5\.7\.\d+\b")

# Fewer than these say nothing about the rest.
FEWEST_BOUNCES = 20
FEWEST_COMPLAINTS = 3


def score(days: Iterable[date]) -> int:
    """Points of an address whose mail bounced on these days, as of the last of them."""
    points, last = 0, None
    for day in sorted(set(days)):
        points = points + 1 if last and day - last <= STALE else 1
        last = day
    return points


@dataclass(frozen=True)
class FeedbackCounts:
    """Of an edition: mails that were accepted, that bounced, that were reported as spam."""

    accepted: int
    bounced: int = 0
    complained: int = 0

    def complaints_above(self, share: float) -> bool:
        enough = self.complained >= FEWEST_COMPLAINTS
        return enough and self.complained > share * self.accepted


def most_that_matter(bounced: int, complained: int) -> int:
    """With so many accepted mails neither an alarm nor a warning is due."""
    return max(20 * bounced, 1000 * complained) + 1


def alarm(counts: FeedbackCounts) -> str | None:
    """Why an edition should go no further: over 5 % bounces or 0.3 % complaints."""
    if counts.bounced >= FEWEST_BOUNCES and counts.bounced > 0.05 * counts.accepted:
        return f"{counts.bounced} of {counts.accepted} mails bounced"
    return complaints(counts) if counts.complaints_above(0.003) else None


def warning(counts: FeedbackCounts) -> str | None:
    """What to look at before it is too late: over 0.1 % complaints."""
    return complaints(counts) if counts.complaints_above(0.001) else None


def complaints(counts: FeedbackCounts) -> str:
    return f"{counts.complained} of {counts.accepted} mails were reported as spam"
