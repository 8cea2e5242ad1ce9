"""Write a sample of each kind of mail, with its lint findings and size. No database.

`index.html` shows them side by side, at the width of a phone and of a desktop.
"""

import email
import email.policy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from django.conf import settings
from django.template import TemplateDoesNotExist
from django.template.loader import get_template, render_to_string
from django.utils.text import slugify

from digest.editions import blocks
from digest.editions.compose import Pick, Reader
from digest.editions.encode import encode
from digest.editions.frames import frame_content
from digest.models import Block, Edition, Paper
from digest.ops.gallery import specimens
from digest.ops.gallery.mail_lint import lint
from subscribers.models import Length, Notice, Schedule, Subscriber
from subscribers.notices.message import Claim, compose
from subscribers.preferences import Preferences

DAY = date(2026, 4, 17)
TOPICS = [("agents", "Agents & tools"), ("graphs", "Graphs & networks")]
ADDRESS = "ann@example.org"
TOKEN = "A" * 22


@dataclass(frozen=True, slots=True)
class Exhibit:
    """One mail written to files, with its size and lint findings."""

    name: str
    slug: str
    subject: str
    html_bytes: int
    mail_bytes: int
    findings: Sequence[str]


def make(folder: Path, *, now: datetime) -> list[Exhibit]:
    """Write all mails and the index into the folder; return the mails written."""
    shown = [exhibit(folder, name, content) for name, content in mails(now)]
    index = render_to_string("digest/gallery.html", {"shown": shown, "now": now})
    (folder / "index.html").write_text(index, encoding="utf-8")
    return shown


def exhibit(folder: Path, name: str, content: bytes) -> Exhibit:
    write(folder, slugify(name), content)
    message = email.message_from_bytes(content, policy=email.policy.default)
    return Exhibit(
        name=name,
        slug=slugify(name),
        subject=str(message["Subject"]),
        html_bytes=len(content.rpartition(b"Content-Transfer-Encoding")[2]),
        mail_bytes=len(content),
        findings=lint(content, postal_address=settings.POSTAL_ADDRESS),
    )


def write(folder: Path, name: str, content: bytes) -> list[Path]:
    """Write the mail as .eml and its parts as .html and .txt; return the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    message = email.message_from_bytes(content, policy=email.policy.default)
    paths = [folder / f"{name}.eml"]
    paths[0].write_bytes(content)
    for kind, suffix in (("html", "html"), ("plain", "txt")):
        if part := message.get_body((kind,)):
            paths.append(folder / f"{name}.{suffix}")
            paths[-1].write_text(part.get_content(), encoding="utf-8")
    return paths


def mails(now: datetime) -> Iterator[tuple[str, bytes]]:
    """Yield (name, mail as sent) for each kind of mail."""
    typical = specimens.typical(DAY)
    yield "Digest, typical", digest(typical, now)
    yield "Digest, German", digest(typical, now, language="de")
    for length in (Length.TITLES, Length.ABSTRACTS):
        yield f"Digest, {length.value}", digest(typical, now, length=length)
    yield "Digest, seven papers", digest(typical[:7], now)
    yield "Digest, of the week", digest(typical, now, kind=Edition.Kind.WEEKLY)
    yield "Digest, shortest", digest(specimens.shortest(), now)
    yield "Digest, longest", digest(specimens.longest(), now)
    yield "Digest, right to left", digest(specimens.right_to_left(), now)
    yield "Digest, CJK", digest(specimens.chinese_japanese_korean(), now)
    yield "Digest, hostile", digest(specimens.hostile(), now)
    yield "Digest, samples", digest(specimens.sample(DAY), now)
    for kind in Notice.Kind:
        if has_text(kind):
            yield f"Single, {kind.value}", single(kind, now)
            yield f"Single, {kind.value}, German", single(kind, now, language="de")


def digest(
    papers: Sequence[Paper],
    now: datetime,
    *,
    language: str = "en",
    kind: str = Edition.Kind.DAILY,
    length: str = Length.SHORT,
) -> bytes:
    """Return the digest of a reader who gets all these papers, ten at most."""
    edition = Edition(pk=1, kind=kind, day=DAY, published_at=now)
    made = [block(paper, place) for place, paper in enumerate(papers)]
    encoded = encode(edition, made, around=frame_content(edition, topics=TOPICS))
    topics = [0, 1, None]
    picks = [Pick(place, topics[place % 3]) for place in range(min(len(papers), 10))]
    reader = Reader(1, ADDRESS, TOKEN, language, length)
    return encoded.compose(reader, picks, sent_at=now)


def block(paper: Paper, place: int) -> Block:
    html, text = blocks.block(paper)
    return Block(
        position=place, title=paper.title, upvotes=paper.upvotes, html=html, text=text
    )


def has_text(kind: Notice.Kind) -> bool:
    try:
        get_template(f"mail/{kind.value}.html")
    except TemplateDoesNotExist:
        return False
    return True


def single(kind: Notice.Kind, now: datetime, *, language: str = "en") -> bytes:
    preferences = Preferences(
        timezone="Europe/Berlin", cadence=Schedule.Cadence.WEEKDAYS, language=language
    )
    subscriber = Subscriber(pk=1, email=ADDRESS, unsubscribe_token=TOKEN)
    claim = Claim(
        notice=Notice(pk=1, subscriber=subscriber, kind=kind, created_at=now),
        subscriber=subscriber,
        preferences=preferences,
        topics=[label for _, label in TOPICS],
        token=TOKEN,
    )
    return compose(claim, now=now).message().as_bytes()
