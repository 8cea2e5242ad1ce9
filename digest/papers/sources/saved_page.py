"""A page of the daily papers, saved or copied from a browser as text.

    page  := header, its date "Apr 17", paper*
    paper := TITLE, ABSTRACT, [meta]          paragraphs, with blank lines between them
    meta  := "• 9 authors", or "nvidia NVIDIA" where the organization is known
             "·"
             "Dec 10, 2025", or without the year if it is the page's; then the comments

The page names no arXiv ids: a paper has the id of its title until another source tells
(see ingest.known_by_title). Its date is the day of all its papers.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import date
from typing import BinaryIO

from digest.papers.download import SourceError
from digest.papers.records import (
    BadEntry,
    PaperRecord,
    Rejected,
    named,
    parse_entry,
    shown,
    title_id,
)

MOST_BYTES = 8 * 2**20  # a page has about a hundred papers, in less than 1 MB
MONTHS = (
    "Jan",
    "Feb",
    "Mar",
    "Apr",
    "May",
    "Jun",
    "Jul",
    "Aug",
    "Sep",
    "Oct",
    "Nov",
    "Dec",
)
DATE = re.compile(
    rf"({'|'.join(MONTHS)}) ([0-9]{{1,2}})(?:, ([0-9]{{4}}))?(?: ([0-9]{{1,9}}))?"
)
AUTHORS = re.compile(r"• ([0-9]{1,6}) authors?")
# How a file of it begins: text, with the page's name on a line of its own.
START = re.compile(rb"\A[^\0]*^Daily Papers[ \t]*\r?$[^\0]*\Z", re.MULTILINE)
BLANK = re.compile(r"\n[ \t]*\n")


def read_file(file: BinaryIO, day: date) -> Iterator[PaperRecord | Rejected]:
    """Yield the papers of the page; its date is the newest such one up to `day`.

    Raises SourceError, at the first step.
    """
    content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise SourceError(f"{file.name} is too large for a saved page")
    text = content.decode(errors="replace").replace("\r\n", "\n")
    paragraphs = [part.strip() for part in BLANK.split(text) if part.strip()]
    start = next((n for n, part in enumerate(paragraphs) if DATE.fullmatch(part)), None)
    if start is None:
        raise SourceError(f"{file.name} has no date like Apr 17 above its papers")
    page_day = _day(paragraphs[start], day)
    number = 0
    for texts, meta in _groups(paragraphs[start + 1 :]):
        if len(texts) % 2:
            place = f"the text {shown(texts[0])}"
            yield Rejected(place, "a title has no abstract, or an abstract no title")
            continue
        for at in range(0, len(texts), 2):
            number += 1
            is_last = at + 2 == len(texts)
            yield _paper(
                texts[at], texts[at + 1], meta if is_last else [], page_day, number
            )


def _groups(paragraphs: Sequence[str]) -> Iterator[tuple[list[str], list[str]]]:
    """Yield titles and abstracts in turns, up to a meta paragraph, and its lines.

    Only the last of them has that meta: some papers have none.
    """
    texts: list[str] = []
    for paragraph in paragraphs:
        lines = [line.strip() for line in paragraph.split("\n")]
        if len(lines) == 3 and lines[1] == "·":
            yield texts, lines
            texts = []
        else:
            texts.append(paragraph)
    if texts:
        yield texts, []


def _paper(
    title: str, abstract: str, meta: Sequence[str], day: date, number: int
) -> PaperRecord | Rejected:
    entry: dict[str, object] = {
        "title": title,
        "abstract": abstract,
        "day": day.isoformat(),
    }
    if meta:
        first, _, last = meta
        if found := AUTHORS.fullmatch(first):
            entry["author_count"] = found[1]
        else:
            slug, _, name = first.partition(" ")
            entry["organization"] = name or slug
        if found := DATE.fullmatch(last):
            entry["num_comments"] = found[4] or 0
            if submitted := _calendar_day(found, day.year):
                entry["published_at"] = submitted.isoformat()
    try:
        return parse_entry(entry | {"id": title_id(title)}, day=None)
    except BadEntry as error:
        return Rejected(named(entry, f"paper {number}"), str(error))


def _day(written: str, newest: date) -> date:
    """Return the page's own date; without a year it is the newest one up to `newest`."""
    if found := DATE.fullmatch(written):
        for years in range(9):  # February 29 may be eight years back
            told = _calendar_day(found, newest.year - years)
            if told and (found[3] or told <= newest):
                return told
    raise SourceError(f"the page's date {shown(written)} is in no calendar")


def _calendar_day(found: re.Match[str], year: int) -> date | None:
    try:
        return date(int(found[3] or year), MONTHS.index(found[1]) + 1, int(found[2]))
    except ValueError:
        return None
