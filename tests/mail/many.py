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
from email import message_from_bytes, policy
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
MOST = 10
LENGTHS = ["short", "short", "abstracts", "titles"]
SEVEN, PHONE, MOST_HEIGHT = 7, 390, 2_600  # papers; CSS pixels


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
            most = MOST if number % 2 else choice.randint(1, MOST)
            places = choice.sample(range(len(by_day[day])), most)
            picks = [Pick(place, choice.choice([0, 1, None])) for place in places]
            language = "de" if number % 5 == 0 else "en"
            length = LENGTHS[number // 2 % len(LENGTHS)]
            address = f"reader{number}@example.org"
            reader = Reader(number + 1, address, "A" * 22, language, length)
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
    began, found, total = time.monotonic(), Counter[str](), 0
    sizes: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    for papers, reader, raw in digests(Path(folder), days=DAYS, count=count):
        total += 1
        found.update(trouble(raw, reader))
        if papers == MOST:
            sizes[reader.length].append((html_bytes(raw), len(raw)))
    print(f"{total} digests of {DAYS} days in {time.monotonic() - began:.0f} s")
    print(f"{found.total()} findings {found.most_common(5) or ''}")
    for length, both in sizes.items():
        html, whole = ([pair[place] for pair in both] for place in (0, 1))
        print(
            f"{MOST} papers, {length}: HTML part as sent {statistics.median(html):.0f} bytes, "
            f"mail {statistics.median(whole):.0f}, largest {max(whole)}"
        )
    return 1 if found else 0


def heights(count: int) -> int:
    """Print how long digests of seven papers are on a phone; 0 if none is too long."""
    from playwright.sync_api import sync_playwright

    from tests.conftest import installed_chromium

    folder, choice = Path(os.environ["PAPERS_DATA"]), random.Random(7)
    by_day = {day: some for day, some in days_of(folder).items() if len(some) >= SEVEN}
    with sync_playwright() as playwright:
        binary = installed_chromium()
        chromium = playwright.chromium.launch(executable_path=binary, args=["--no-sandbox"])
        page = chromium.new_page(viewport={"width": PHONE, "height": 800})
        found = []
        for number, day in enumerate(choice.sample(sorted(by_day), count)):
            picks = [Pick(place, 0) for place in range(SEVEN)]
            reader = Reader(number + 1, "reader@example.org", "A" * 22, "en", "short")
            raw = edition_of(day, by_day[day]).compose(reader, picks, sent_at=NOW)
            mail = message_from_bytes(raw, policy=policy.default)
            part = mail.get_body(("html",))
            page.set_content(part.get_content() if part else "")
            found.append(page.evaluate("document.documentElement.scrollHeight"))
        chromium.close()
    print(
        f"{SEVEN} papers, short, at {PHONE} px: median {statistics.median(found):.0f} px, "
        f"longest {max(found)} px of {count} days"
    )
    return 1 if statistics.median(found) > MOST_HEIGHT else 0
