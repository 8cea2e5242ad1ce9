"""The daily-papers API over HTTP, and files of its responses.

Nothing is stored here. A broken response anywhere in a day fails that whole day, so the
last good state stays. The server is untrusted: size, time, pages and redirects are
bounded. Format: https://huggingface.co/docs/hub/api (daily papers).
"""

import json
import re
import time
from collections.abc import Iterator
from datetime import date
from typing import BinaryIO
from urllib.parse import urlencode, urlsplit

from django.conf import settings

from digest.papers.download import (
    NotYetPublished,
    Refused,
    SourceError,
    download,
    session_until,
)
from digest.papers.records import (
    BadEntry,
    Batch,
    PaperRecord,
    Rejected,
    named,
    parse_entry,
    shown,
)

PAGE_SIZE = 100
PAGES = 20
# A day has about a hundred papers, in less than 1 MB and 50,000 values.
MOST_BYTES = 8 * 2**20  # of all pages, after decompression
MOST_ENTRIES = PAGES * PAGE_SIZE
MOST_VALUES = 250_000  # of one page; at most some 250 bytes of memory each
DEADLINE = 60.0  # seconds for all pages together
BOM = b"\xef\xbb\xbf"
# How a file of them begins: a JSON array, or JSON Lines.
START = re.compile(rb"\A(?:\xef\xbb\xbf)?\s*[\[{]")


def fetch_day(day: date, *, etag: str = "") -> Batch | None:
    """Return all papers that the API lists for `day` (UTC).

    None if the list is still the one that had `etag`. Raises SourceError.
    """
    endpoint = _endpoint()
    deadline = time.monotonic() + DEADLINE
    records: dict[str, PaperRecord] = {}
    rejected: list[Rejected] = []
    left = MOST_BYTES
    with session_until(deadline) as session:
        for page in range(PAGES):
            query = {"date": day.isoformat(), "limit": PAGE_SIZE, "p": page}
            try:
                answer = download(
                    session,
                    f"{endpoint}?{urlencode(query)}",
                    most=left,
                    deadline=deadline,
                    etag="" if page else etag,
                )
            except Refused:
                raise NotYetPublished(
                    "the paper source has no list of that day yet (400)"
                ) from None
            if answer is None:
                return None
            left, tag = left - len(answer.body), answer.etag
            entries, known = _array(answer.body), len(records)
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
    # The first page's tag says nothing of the others.
    return Batch(tuple(records.values()), tuple(rejected), "" if page else tag)


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


def read_file(file: BinaryIO, day: date) -> Iterator[PaperRecord | Rejected]:
    """Yield the papers of the API's JSON array, or of JSON Lines (streamed).

    `day` applies to entries that name none. Raises SourceError, at the first step.
    """
    head = file.read(4096)
    file.seek(len(BOM) if head.startswith(BOM) else 0)
    is_array = head.removeprefix(BOM).lstrip().startswith(b"[")
    for place, entry in _entries_of_array(file) if is_array else _entries_of_lines(file):
        try:
            yield parse_entry(entry, day=day)
        except BadEntry as error:
            yield Rejected(named(entry, place), str(error))


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
