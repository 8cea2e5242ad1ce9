"""The plain texts that qmail and Exim send back instead of a report (RFC 3464).

Read only from the first line on, so that no quoted mail and no paper's text is taken for
one. flufl.bounce and sisimai know their shapes from the servers' sources.
"""

import re
from collections.abc import Iterator

from anymail.signals import EventType

MOST_LINES = 200
# https://cr.yp.to/proto/qsbmf.txt
QMAIL = "hi. this is the"
RECIPIENT = re.compile(r"<[^<>\s]{1,320}>:")
# deliver.c of Exim, and of those who built on it.
EXIM = "this message was created automatically by"
EXIM_LIST = re.compile(r"address(?:\(?es\)?)? failed:|failed addresses follow:")
EXIM_END = ("------", "--- ", "-- ")


def read(text: str, *, is_exims: bool = False) -> Iterator[tuple[str, str]]:
    """Yield (event, words) for each recipient that the text is about.

    `is_exims`: a head field that only Exim writes says so, whatever words it was given.
    """
    lines = [line.rstrip() for line in text.strip().splitlines()[:MOST_LINES]]
    beginning = lines[0].lower() if lines else ""
    if beginning.startswith(QMAIL):
        yield from of_qmail(lines)
    elif is_exims or beginning.startswith(EXIM):
        yield from of_exim(lines, is_final=is_exims)


def of_qmail(lines: list[str]) -> Iterator[tuple[str, str]]:
    """Read QSBMF: paragraphs that begin with a recipient, up to one that begins with -."""
    words: list[str] | None = None
    for line in [*lines, "-"]:
        begins = RECIPIENT.match(line)
        if words is not None and (begins or not line or line.startswith("-")):
            yield EventType.BOUNCED, " ".join(words)
            words = None
        if begins:
            words = line[begins.end() :].split()
        elif line.startswith("-"):
            return
        elif words is not None:
            words += line.split()


def of_exim(lines: list[str], *, is_final: bool) -> Iterator[tuple[str, str]]:
    """Read what stands below "failed:"; a warning says that it "has not yet been" sent."""
    ends = (n for n, line in enumerate(lines) if n and line.startswith(EXIM_END))
    letter = " ".join(" ".join(lines[: next(ends, len(lines))]).split())
    lower = letter.lower()
    if failed := EXIM_LIST.search(lower):
        yield EventType.BOUNCED, letter[failed.end() :].strip()
    elif "has not yet been delivered" in lower:
        yield EventType.DEFERRED, ""
    elif is_final:
        yield EventType.BOUNCED, letter
