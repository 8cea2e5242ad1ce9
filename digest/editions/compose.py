"""One reader's digest, joined from pieces that were encoded once per edition.

No query, no template and no MIME object per reader: a digest is head + the picks'
blocks in the reader's order + foot, and only tokens, reasons, count and address differ.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime, parseaddr
from functools import lru_cache
from urllib.parse import urlsplit

from django.conf import settings
from django.template.loader import render_to_string
from django.utils.html import escape

from digest.editions import wire
from digest.editions.blocks import MARKS, inliner
from digest.models import Block, Edition

MOST_PICKS = 10


@dataclass(frozen=True, slots=True)
class Reader:
    """What of a reader a digest needs, and no more."""

    delivery_id: int
    address: str
    token: str


@dataclass(frozen=True, slots=True)
class Pick:
    """One paper at one place in one reader's digest; topic None means trending."""

    position: int
    topic: int | None


@dataclass(frozen=True, slots=True)
class EncodedBlock:
    """A block around its reason; `reasons` by topic column, the last for trending."""

    opening: bytes
    reasons: Sequence[bytes]
    closing: bytes


@dataclass(frozen=True, slots=True)
class Part:
    """The text or the HTML part: pieces around count and token, and the blocks between."""

    before: Sequence[bytes]
    blocks: Sequence[EncodedBlock]
    after: Sequence[bytes]

    def join(self, picks: Sequence[Pick], count: bytes, token: bytes) -> list[bytes]:
        pieces = between(self.before, count)
        for pick in picks:
            block = self.blocks[pick.position]
            reason = block.reasons[-1 if pick.topic is None else pick.topic]
            pieces += (block.opening, reason, block.closing)
        return pieces + between(self.after, token)


def between(pieces: Sequence[bytes], value: bytes) -> list[bytes]:
    joined = [value] * (2 * len(pieces) - 1)
    joined[0::2] = pieces
    return joined


@dataclass(frozen=True, slots=True)
class Encoded:
    """An edition made ready for the wire. Build it once, compose from it a million times."""

    edition_id: int
    sender: str
    host: str
    site: str
    top: bytes
    middle: bytes
    end: bytes
    text: Part
    html: Part
    titles: Sequence[str]

    def compose(self, reader: Reader, picks: Sequence[Pick], *, sent_at: datetime) -> bytes:
        """The mail, CRLF line ends, 7-bit, no line starting with a dot in the body."""
        count = quoted(papers_counted(len(picks)))
        token = reader.token.encode() + wire.SOFT_BREAK
        return b"".join(
            [
                self.headers(reader, picks, sent_at),
                self.top,
                *self.text.join(picks, count, token),
                self.middle,
                *self.html.join(picks, count, token),
                self.end,
            ]
        )

    def headers(self, reader: Reader, picks: Sequence[Pick], sent_at: datetime) -> bytes:
        personal = (
            f"To: {reader.address}\r\n"
            f"Date: {date_header(sent_at)}\r\n"
            f"Message-ID: {self.message_id(reader)}\r\n"
            f"List-Unsubscribe: <{self.site}/u/{reader.token}>\r\n"
        ).encode("ascii")
        return subject_header(self.titles[picks[0].position], len(picks)) + personal

    def message_id(self, reader: Reader) -> str:
        """Stable for the row, so that a retry is the same mail to the receiver."""
        name = f"{self.edition_id}/{reader.delivery_id}".encode()
        return f"<{hashlib.blake2b(name, digest_size=15).hexdigest()}@{self.host}>"


def papers_counted(count: int) -> str:
    return "1 paper" if count == 1 else f"{count} papers"


@lru_cache(maxsize=1024)
def quoted(text: str) -> bytes:
    return wire.quoted_printable(text)


@lru_cache(maxsize=4096)
def subject_header(title: str, count: int) -> bytes:
    """The best pick and how many more: says what is inside, promises nothing else."""
    more = count - 1
    tail = f" and {more} more paper{'' if more == 1 else 's'}" if more else ""
    room = 150 - len(tail)
    title = title if len(title) <= room else title[: room - 1].rstrip() + "…"
    return wire.header("Subject", title + tail)


@lru_cache(maxsize=64)
def date_header(instant: datetime) -> str:
    return format_datetime(instant)


def encode(
    edition: Edition, blocks: Sequence[Block], *, topics: Sequence[tuple[str, str]]
) -> Encoded:
    """Encode a published edition. `topics` are (slug, label) in the ranking's columns."""
    boundary = f"daily-papers-{edition.kind}-{edition.day:%Y%m%d}"
    sender = parseaddr(settings.FROM_EMAIL)[1]
    context = {
        "edition": edition,
        "weekly": edition.kind == Edition.Kind.WEEKLY,
        "mark": MARKS,
        "site": settings.SITE_URL,
        "host": urlsplit(settings.SITE_URL).netloc,
        "postal_address": settings.POSTAL_ADDRESS,
    }
    text = render_to_string("mail/digest.txt", context, using="text")
    html = inliner().inline(render_to_string("mail/digest.html", context))
    return Encoded(
        edition_id=edition.pk,
        sender=sender,
        host=sender.rpartition("@")[2],
        site=settings.SITE_URL,
        top=shared_headers(edition, boundary) + part_opening(boundary, "plain"),
        middle=wire.CRLF + part_opening(boundary, "html"),
        end=wire.CRLF + f"--{boundary}--\r\n".encode(),
        text=part(text, [(block.text, reasons(block, topics)) for block in blocks]),
        html=part(
            html, [(block.html, map(escape, reasons(block, topics))) for block in blocks]
        ),
        titles=[block.title for block in blocks],
    )


def shared_headers(edition: Edition, boundary: str) -> bytes:
    """The headers that are the same in every digest of the edition."""
    stamp = f"{edition.day:%Y%m%d}"
    lines = [
        f"From: {wire.address(settings.FROM_EMAIL)}",
        f"List-Id: Daily Papers <daily.{settings.SITE_HOST}>",
        "List-Unsubscribe-Post: List-Unsubscribe=One-Click",
        f"Feedback-ID: {stamp}:{edition.kind}:digest:dailypapers",
        "Auto-Submitted: auto-generated",
        "Precedence: bulk",
        "X-Auto-Response-Suppress: All",
        "MIME-Version: 1.0",
        f'Content-Type: multipart/alternative; boundary="{boundary}"',
    ]
    return "".join(f"{line}\r\n" for line in lines).encode("ascii") + wire.CRLF


def part_opening(boundary: str, subtype: str) -> bytes:
    return (
        f"--{boundary}\r\n"
        f'Content-Type: text/{subtype}; charset="utf-8"\r\n'
        "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
    ).encode()


def part(frame: str, blocks: Sequence[tuple[str, Iterable[str]]]) -> Part:
    before, after = frame.split(MARKS.papers)
    return Part(
        before=encoded_pieces(before, MARKS.count),
        blocks=[encoded_block(block, reasons) for block, reasons in blocks],
        after=encoded_pieces(after, MARKS.token),
    )


def encoded_pieces(text: str, mark: str) -> list[bytes]:
    return [wire.quoted_printable(piece) for piece in text.split(mark)]


def encoded_block(block: str, reasons: Iterable[str]) -> EncodedBlock:
    opening, closing = encoded_pieces(block, MARKS.reason)
    return EncodedBlock(opening, [quoted(reason) for reason in reasons], closing)


def reasons(block: Block, topics: Sequence[tuple[str, str]]) -> list[str]:
    """Why a reader gets this paper, by topic column; the last for trending."""
    votes = f"{block.upvotes} upvote{'' if block.upvotes == 1 else 's'}"
    return [f"{label}, {votes}" for label in [*(label for _, label in topics), "Trending"]]
