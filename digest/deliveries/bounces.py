"""What a bounce says about an address, and when bounces or complaints are too many. Pure.

Scoring as Mailman's: a point a day at most, forgotten after a week of silence, and an
address that has collected enough is written to no more.
"""

import re
from collections.abc import Iterable
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


def alarm(*, accepted: int, bounced: int, complained: int) -> str | None:
    """Why an edition should go no further: over 5 % bounces or 0.3 % complaints."""
    if bounced >= FEWEST_BOUNCES and bounced > 0.05 * accepted:
        return f"{bounced} of {accepted} mails bounced"
    if complained >= FEWEST_COMPLAINTS and complained > 0.003 * accepted:
        return f"{complained} of {accepted} mails were reported as spam"
    return None
