"""Why a paper is in a reader's digest, and how a ledger row stores it. Pure.

phrases.py has the words for each reason.
"""

import re
from collections.abc import Sequence
from enum import IntEnum
from functools import lru_cache
from typing import NamedTuple

# Two reasons say why; more would hide the title.
MOST_REASONS = 2
LONGEST_NAME = 80
STORED = re.compile(r"(\d{1,2}) ([^\n]*)")
# Control characters, those that turn the direction of text, and the marks of phrases.py.
UNFIT = re.compile(
    "[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufdd0-\ufdef]+"
)


class Why(IntEnum):
    """What brought a paper into a digest. Ledger rows hold the values: never renumber."""

    TOPIC = 0  # a chosen topic
    AUTHOR = 1  # an author that the reader watches
    INSTITUTION = 2  # an institution that they watch
    KEYWORD = 3  # it contains a keyword
    WRITTEN = 4  # surely close to what the reader wrote
    LIKED = 5  # close to papers that they liked
    NEAREST = 6  # among the nearest of the edition to what they wrote, be it close or not
    TRENDING = 7  # it fills up, as little fits the reader's interests
    EXPLORED = 8  # outside the reader's interests, for a change
    SEARCH = 9  # a search that the reader keeps finds it


class Reason(NamedTuple):
    """A reason with what it names: a keyword, an author, the reader's words, a title."""

    why: Why
    name: str = ""


@lru_cache(maxsize=4096)
def named(why: Why, name: str = "") -> Reason:
    """Return the reason with its name on one line of at most LONGEST_NAME characters."""
    if len(name) <= LONGEST_NAME and name.isprintable() and name == " ".join(name.split()):
        return Reason(why, name)
    line = " ".join(UNFIT.sub(" ", name).split())
    if len(line) > LONGEST_NAME:
        head, _, _ = line[:LONGEST_NAME].rpartition(" ")
        line = f"{head or line[: LONGEST_NAME - 1]}…"
    return Reason(why, line)


def format_reasons(reasons: Sequence[Reason]) -> str:
    """Return one line for each reason, each with a line break before it."""
    return "".join(f"\n{reason.why:d} {reason.name}" for reason in reasons)


def parse_reason(line: str) -> Reason:
    """Parse a line of `format_reasons`. Raises ValueError."""
    if not (found := STORED.fullmatch(line)):
        raise ValueError("not a stored reason")
    return Reason(Why(int(found[1])), found[2])
