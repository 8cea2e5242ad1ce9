"""Digests of real days in great number, each composed, linted and parsed by two parsers.

The papers come from the folder that PAPERS_DATA names: files of JSON Lines, one paper a
line with its day. No database takes part: composing needs none.
"""

import json
import os
import random
import statistics
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

from django.conf import settings
from fast_mail_parser import parse_email

from digest.editions.blocks import block
from digest.editions.compose import EncodedEdition, Pick, Reader
from digest.editions.encode import encode
from digest.editions.frames import frame_content
from digest.models import Block, Edition, Paper
from digest.ops.gallery.mail_lint import lint
from digest.papers.ingest import paper_of
from digest.papers.records import BadEntry, parse_entry

TOPICS = [("agents", "Agents & tools"), ("graphs", "Graphs & networks")]
NOW = datetime(2026, 4, 17, 12, tzinfo=UTC)
DAYS = 100


def days_of(folder: Path) -> dict[date, list[Paper]]:
    """Papers by day, of all JSON Lines files that hold daily papers."""
    found: defaultdict[date, list[Paper]] = defaultdict(list)
    for path in sorted(folder.glob("hf_daily_*.jsonl")):
        for line in path.read_text().splitlines():
            try:
                record = parse_entry(json.loads(line), day=None)
            except (BadEntry, ValueError):
                continue
            found[record.day].append(paper_of(record, now=NOW))
    return found


def edition_of(day: date, papers: list[Paper]) -> EncodedEdition:
    edition = Edition(pk=1, kind=Edition.Kind.DAILY, day=day, published_at=NOW)
    made = [(paper, *block(paper)) for paper in papers]
    blocks = [
        Block(position=place, title=p.title, upvotes=p.upvotes, html=html, text=text)
        for place, (p, html, text) in enumerate(made)
    ]
    return encode(edition, blocks, around=frame_content(edition, topics=TOPICS))


def digests(folder: Path, *, days: int, count: int) -> Iterator[tuple[int, Reader, bytes]]:
    """(papers, reader, mail): readers with one to ten papers, in both languages."""
    chosen = sorted(day for day, papers in days_of(folder).items() if len(papers) >= 10)
    choice = random.Random(5)
    by_day = days_of(folder)
    for day in choice.sample(chosen, days):
        encoded = edition_of(day, by_day[day])
        for number in range(count // days):
            most = 10 if number % 2 else choice.randint(1, 10)
            places = choice.sample(range(len(by_day[day])), most)
            picks = [Pick(place, choice.choice([0, 1, None])) for place in places]
            language = "de" if number % 5 == 0 else "en"
            reader = Reader(number + 1, f"reader{number}@example.org", "A" * 22, language)
            yield most, reader, encoded.compose(reader, picks, sent_at=NOW)


def trouble(raw: bytes, reader: Reader) -> list[str]:
    found = lint(raw, postal_address=settings.POSTAL_ADDRESS)
    other = parse_email(raw)
    if other.warnings or [address.address for address in other.to] != [reader.address]:
        found.append("the other parser sees something else")
    if len(other.text_plain) != 1 or len(other.text_html) != 1:
        found.append("the other parser sees other parts")
    return found


def html_bytes(raw: bytes) -> int:
    return len(raw.rpartition(b"quoted-printable\r\n\r\n")[2])


def report(count: int) -> int:
    """Print what was found; 0 if that is nothing."""
    folder = os.environ.get("PAPERS_DATA")
    if not folder:
        print("error: PAPERS_DATA must name the folder with the papers", file=sys.stderr)
        return 2
    began, found, sizes, whole, total = time.monotonic(), Counter[str](), [], 0, 0
    for papers, reader, raw in digests(Path(folder), days=DAYS, count=count):
        total += 1
        found.update(trouble(raw, reader))
        whole = max(whole, len(raw))
        if papers == 10:
            sizes.append(html_bytes(raw))
    print(f"{total} digests of {DAYS} days in {time.monotonic() - began:.0f} s")
    print(f"{sum(found.values())} findings {found.most_common(5) or ''}")
    print(
        f"HTML part of ten papers as sent: median {statistics.median(sizes):.0f}, "
        f"largest {max(sizes)} bytes; largest mail {whole} bytes"
    )
    return 1 if found else 0
