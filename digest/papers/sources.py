"""Read papers from the daily-papers API over HTTP, or from a file of its responses.

Nothing is stored here. A broken response anywhere in a day fails that whole day, so the
last good state stays. The server is untrusted: size, time, pages and redirects are
bounded. Format: https://huggingface.co/docs/hub/api (daily papers).
"""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlencode, urlsplit

from django.conf import settings

from digest.papers.download import (
    NotYetPublished,
    RateLimited,
    SourceError,
    download,
    session_until,
)
from digest.papers.records import BadEntry, PaperRecord, Rejected, named, parse_entry, shown

__all__ = [
    "Batch",
    "NotYetPublished",
    "PaperRecord",
    "RateLimited",
    "Rejected",
    "SourceError",
    "fetch_day",
    "newest_day",
    "read_file",
]

PAGE_SIZE = 100
PAGES = 20
# A day has about a hundred papers, in less than 1 MB and 50,000 values.
MOST_BYTES = 8 * 2**20  # of all pages, after decompression
MOST_ENTRIES = PAGES * PAGE_SIZE
MOST_VALUES = 250_000  # of one page; at most some 250 bytes of memory each
DEADLINE = 60.0  # seconds for all pages together
BOM = b"\xef\xbb\xbf"
COMPLETE_HOUR = 8  # UTC; a day's list is nearly complete by then


@dataclass(frozen=True, slots=True)
class Batch:
    """The entries of a whole day, each paper once."""

    records: tuple[PaperRecord, ...]
    rejected: tuple[Rejected, ...]


def newest_day(now: datetime) -> date:
    """Return the newest day whose list is complete at `now` (aware)."""
    return (now - timedelta(hours=COMPLETE_HOUR)).date()


def fetch_day(day: date) -> Batch:
    """Return all papers that the source lists for `day` (UTC). Raises SourceError."""
    deadline = time.monotonic() + DEADLINE
    records: dict[str, PaperRecord] = {}
    rejected: list[Rejected] = []
    left = MOST_BYTES
    with session_until(deadline) as session:
        session.headers["User-Agent"] = (
            f"DailyPapers/{settings.RELEASE} (+{settings.SITE_URL})"
        )
        for page in range(PAGES):
            query = {"date": day.isoformat(), "limit": PAGE_SIZE, "p": page}
            url = f"{_endpoint()}?{urlencode(query)}"
            body = download(session, url, most=left, deadline=deadline)
            left -= len(body)
            entries, known = _array(body), len(records)
            if len(entries) > MOST_ENTRIES:
                raise SourceError(f"the paper source lists more than {MOST_ENTRIES} papers")
            for number, entry in enumerate(entries, page * PAGE_SIZE + 1):
                try:
                    record = parse_entry(entry, day=day)
                    records.setdefault(record.arxiv_id, record)
                except BadEntry as error:
                    rejected.append(Rejected(named(entry, f"entry {number}"), str(error)))
            # A server that ignores `p` repeats a page; stop at a page without new papers.
            if len(entries) < PAGE_SIZE or (page and len(records) == known):
                break
    return Batch(tuple(records.values()), tuple(rejected))


def _endpoint() -> str:
    base = str(settings.SOURCE_URL).rstrip("/")
    base = base.removesuffix("/daily_papers").removesuffix("/api")
    try:
        usable = urlsplit(base).scheme in {"http", "https"} and urlsplit(base).hostname
    except ValueError:
        usable = None
    if not usable:
        raise SourceError("SOURCE_URL must be like https://huggingface.co")
    return f"{base}/api/daily_papers"


def _array(body: bytes) -> list[object]:
    # Count before parsing: an empty list is 3 bytes here, and 64 in memory.
    if sum(body.count(opening) for opening in (b",", b"[", b"{")) > MOST_VALUES:
        raise SourceError("the paper source's answer has too many values")
    try:
        entries: object = json.loads(body)
    except (ValueError, RecursionError):
        kind = "cut off" if body.lstrip()[:1] == b"[" else "no JSON"
        start = shown(body[:40].decode(errors="replace"))
        raise SourceError(
            f"the paper source's answer is {kind}: it begins with {start}"
        ) from None
    if not isinstance(entries, list):
        raise SourceError("the paper source's answer is no JSON array")
    return entries


def read_file(path: Path, *, day: date | None = None) -> Iterator[PaperRecord | Rejected]:
    """Yield the papers of a file: the API's JSON array, or JSON Lines (streamed).

    `day` applies to entries that name none. Raises SourceError, at the first step.
    """
    try:
        with path.open("rb") as file:
            head = file.read(4096)
            file.seek(len(BOM) if head.startswith(BOM) else 0)
            start = head.removeprefix(BOM).lstrip()[:1]
            if start not in {b"[", b"{"}:
                raise SourceError(f"{path} holds neither a JSON array nor JSON Lines")
            entries = _entries_of_array(file) if start == b"[" else _entries_of_lines(file)
            for place, entry in entries:
                try:
                    yield parse_entry(entry, day=day)
                except BadEntry as error:
                    yield Rejected(named(entry, place), str(error))
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror}") from None


def _entries_of_array(file: BinaryIO) -> Iterator[tuple[str, object]]:
    try:
        entries = json.loads(file.read())
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{file.name} is no JSON: {str(error)[:100]}") from None
    for number, entry in enumerate(entries, 1):
        yield f"entry {number}", entry


def _entries_of_lines(file: BinaryIO) -> Iterator[tuple[str, object]]:
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        try:
            yield f"line {number}", json.loads(line)
        except (ValueError, RecursionError):
            yield f"line {number}", line.decode(errors="replace")
