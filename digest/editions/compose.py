"""Compose one reader's digest from pieces that were encoded once per edition.

No query, no template and no MIME object per reader: a digest is head + the picks'
blocks in the reader's order + foot, and only tokens, reasons, counts and address differ.
"""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from functools import lru_cache
from html import escape
from typing import NamedTuple

from digest.editions import mime
from digest.editions.phrases import MARKS
from digest.editions.reasons import Reason
from digest.papers.text import cut

MOST_PICKS = 10
# Gmail clips HTML after 102 KB, and the unsubscribe link at the end with it. Measured in
# encoded bytes, of which there are more than decoded ones.
MOST_HTML = 95_000
MOST_BYTES = 200_000
# Bytes reserved for headers and a reader's tokens.
SMALL_CHANGE = 3_000
SUBJECT_LENGTH = 60
OPEN = re.compile(f"([{MARKS.token}{MARKS.count}{MARKS.ahead}{MARKS.web}{MARKS.more}])")
USUAL = ("en", "short")
# The most bytes that the name of a mail's page takes, with its soft break.
NAME_ROOM = 44


class Reader(NamedTuple):
    """The fields of a reader that a digest needs."""

    delivery_id: int
    address: str
    token: str
    language: str = "en"
    length: str = "short"  # of the mail: see subscribers.models.Length


type Encoder = Callable[[str], bytes]  # to quoted-printable


class Pick(NamedTuple):
    """One paper at one place in one reader's digest, with the reasons for it.

    Without a topic and a reason that names something it is a trending paper. `team` is which
    of two interleaved rankings it comes from, if two are compared.
    """

    position: int
    topic: int | None
    reasons: tuple[Reason, ...] = ()
    team: str = ""


@dataclass(frozen=True, slots=True)
class Pieces:
    """Encoded text with open places: `open` holds (index in `fixed`, mark) pairs."""

    fixed: Sequence[bytes]
    open: Sequence[tuple[int, str]]

    def fill(self, values: Mapping[str, bytes]) -> list[bytes]:
        pieces = list(self.fixed)
        for place, mark in self.open:
            pieces[place] = values[mark]
        return pieces


# The text before the reason's label, and that between and after the names of the mail's
# page in its two links to vote; the last two are empty where the reader cannot vote.
type EncodedBlock = tuple[bytes, bytes, bytes, bytes]

type NameReasons = Callable[[tuple[Reason, ...], int | None], bytes]


@dataclass(frozen=True, slots=True)
class Part:
    before: Pieces
    leads: Sequence[EncodedBlock]  # the blocks as they look in the first place
    blocks: Sequence[EncodedBlock]
    after: Pieces
    has_votes: bool
    labels: Mapping[int | None, bytes]  # reasons by topic column; None for trending
    name_reasons: NameReasons  # the same for reasons that name something
    titles: Sequence[bytes]  # as shown in the list at the top; empty without one
    size: int  # bytes of the frame
    sizes: Sequence[int]  # most bytes of each block with its title and the longest label

    def join(self, picks: Sequence[Pick], values: Mapping[str, bytes]) -> list[bytes]:
        """Return the part's pieces in order; `values` is mark → bytes."""
        name = values[MARKS.web] if self.has_votes else b""
        blocks, labels = self.leads, self.labels
        pieces = self.before.fill(values)
        for position, topic, reasons, _ in picks:
            opening, middle, between, closing = blocks[position]
            label = self.name_reasons(reasons, topic) if reasons else labels[topic]
            pieces += (opening, label, middle, name, between, name, closing)
            blocks = self.blocks
        pieces += self.after.fill(values)
        return pieces

    def titles_of(self, picks: Sequence[Pick]) -> bytes:
        titles = self.titles
        return b"".join([titles[pick.position] for pick in picks]) if titles else b""

    def room_for(self, pick: Pick) -> int:
        """Return the most bytes that the pick's block takes with its reasons."""
        position, topic, reasons, _ = pick
        size = self.sizes[position]
        return size + len(self.name_reasons(reasons, topic)) if reasons else size

    def fits(self, room: int) -> int:
        """Return how many picks without a name in their reasons surely fit in `room` bytes."""
        for count, size in enumerate(sorted(self.sizes, reverse=True)):
            room -= size
            if room < 0:
                return count
        return len(self.sizes)


@dataclass(frozen=True, slots=True)
class LocalizedEdition:
    """An edition in one language and length, encoded."""

    text: Part
    html: Part
    counts: Sequence[bytes]  # the headline, by number of papers
    left_out: Sequence[tuple[bytes, bytes]]  # words for text and HTML, by number
    fits: int  # this many picks have room, whichever they are, if no reason names a thing
    date: str  # in the subject


@dataclass(frozen=True, slots=True)
class EncodedEdition:
    """An edition encoded for the wire: built once, used to compose a million mails."""

    edition_id: int
    fingerprint: str  # of the frame that it was encoded with
    sender: str
    host: str
    site: str
    top: bytes
    middle: bytes
    end: bytes
    localized: Mapping[tuple[str, str], LocalizedEdition]  # by language and length
    titles: Sequence[str]
    page_name: Callable[[int], str]  # delivery id → name of the mail's page
    encode: Encoder
    inbox: Callable[[int], str] | None  # → signed address, where its mail is read
    with_expiry: bool  # False for frames stored before mails had an Expires header
    subject: str = ""  # of an announcement, which has no papers

    def compose(
        self,
        reader: Reader,
        picks: Sequence[Pick],
        *,
        sent_at: datetime,
        expires_at: datetime | None = None,
    ) -> bytes:
        """Return the mail: 7-bit, CRLF line ends, no body line that starts with a dot.

        No body line starts with two dashes either, so none is taken for the boundary.
        `expires_at` is the delivery's; a mail that belongs to none has no such header.
        """
        text, html = self.bodies(reader, picks)
        headers = self.headers(reader, picks, sent_at, expires_at)
        return b"".join([headers, self.top, *text, self.middle, *html, self.end])

    def is_mail(self, reader: Reader, picks: Sequence[Pick]) -> bool:
        """Return whether the reader gets a mail: with papers, or an announcement."""
        return bool(picks or self.subject and reader.address)

    def localized_for(self, reader: Reader) -> LocalizedEdition:
        return self.localized.get((reader.language, reader.length)) or self.localized[USUAL]

    def bodies(
        self, reader: Reader, picks: Sequence[Pick]
    ) -> tuple[list[bytes], list[bytes]]:
        """Return text and HTML, each as quoted-printable pieces in order.

        A piece that is not specific to the reader is the same object for all readers.
        """
        localized = self.localized_for(reader)
        name = self.page_name(reader.delivery_id).encode()
        shown, more = picks, (b"", b"")
        if len(picks) > localized.fits or any(pick.reasons for pick in picks):
            shown = picks_that_fit(localized, picks)
            more = self.left_out(localized, len(picks) - len(shown), name)
        token = reader.token.encode() + mime.SOFT_BREAK
        if token.startswith(b"--"):
            token = self.encode(reader.token)
        values = {
            MARKS.count: localized.counts[len(picks)],
            MARKS.token: token,
            MARKS.web: name + mime.SOFT_BREAK,
            MARKS.ahead: localized.text.titles_of(shown),
            MARKS.more: more[0],
        }
        text = localized.text.join(shown, values)
        values[MARKS.ahead] = localized.html.titles_of(shown)
        values[MARKS.more] = more[1]
        return text, localized.html.join(shown, values)

    def headers(
        self,
        reader: Reader,
        picks: Sequence[Pick],
        sent_at: datetime,
        expires_at: datetime | None,
    ) -> bytes:
        expires = by_mail = complaints = ""
        if expires_at and self.with_expiry:
            expires = f"Expires: {date_header(expires_at)}\r\n"  # RFC 10080
        if self.inbox:
            address = self.inbox(reader.delivery_id)
            by_mail = f",\r\n <mailto:{address}?subject=unsubscribe>"  # RFC 2369
            words = f"{address};"  # RFC 9477
            complaints = mime.folded_pair("CFBL-Address", words, "report=arf").decode()
        personal = (
            f"To: {reader.address}\r\n"
            f"Date: {date_header(sent_at)}\r\n"
            f"{expires}"
            f"Message-ID: {self.message_id(reader)}\r\n"
            f"List-Unsubscribe: <{self.site}/u/{reader.token}>{by_mail}\r\n"
            f"{complaints}"
        ).encode("ascii")
        if self.subject:
            return mime.header("Subject", self.subject) + personal
        title = self.titles[picks[0].position]
        date = self.localized_for(reader).date
        return subject_header(title, len(picks), date) + personal

    def message_id(self, reader: Reader) -> str:
        """Return the delivery's Message-ID; a retry has the same one."""
        name = f"{self.edition_id}/{reader.delivery_id}".encode()
        return f"<{hashlib.blake2b(name, digest_size=15).hexdigest()}@{self.host}>"

    def left_out(
        self, localized: LocalizedEdition, count: int, name: bytes
    ) -> tuple[bytes, bytes]:
        """Return the lines about papers that had no room, for the text and for the HTML."""
        if not count:
            return b"", b""
        text, html = localized.left_out[count]
        url = f"{self.site}/digest/{name.decode()}"
        link = self.encode(f'<a href="{url}">{escape(url)}</a></p>\n')
        return text + self.encode(f"{url}\n\n"), html + link


def encode_pieces(text: str, encode: Encoder) -> Pieces:
    """Encode a text that holds marks, and leave the marks' places open."""
    found = OPEN.split(text)
    fixed = [encode(piece) for piece in found[0::2]]
    places = [b""] * len(found)
    places[0::2] = fixed
    marks = [(2 * number + 1, mark) for number, mark in enumerate(found[1::2])]
    return Pieces(places, marks)


def encode_block(block: str, encode: Encoder) -> EncodedBlock:
    opening, rest = block.split(MARKS.reason)
    middle, between, closing = (rest.split(MARKS.web, 2) + ["", ""])[:3]
    return encode(opening), encode(middle), encode(between), encode(closing)


def encode_part(
    frame: str,
    leads: Sequence[EncodedBlock],
    blocks: Sequence[EncodedBlock],
    *,
    titles: Sequence[bytes],
    labels: Sequence[bytes],
    name_reasons: NameReasons,
    encode: Encoder,
) -> Part:
    """Encode a body part; the last of `labels` is the one for a trending paper."""
    before, after = (encode_pieces(text, encode) for text in frame.split(MARKS.papers))
    *topics, trending = labels
    personal = max(map(len, labels)) + 2 * NAME_ROOM
    larger = [
        max(sum(map(len, lead)), sum(map(len, block)))
        for lead, block in zip(leads, blocks, strict=True)
    ]
    listed = [len(title) for title in titles] or [0] * len(larger)
    return Part(
        before=before,
        leads=leads,
        blocks=blocks,
        after=after,
        has_votes=any(closing for *_, closing in blocks),
        labels={**dict(enumerate(topics)), None: trending},
        name_reasons=name_reasons,
        titles=titles,
        size=sum(map(len, [*before.fixed, *after.fixed])),
        sizes=[size + title + personal for size, title in zip(larger, listed, strict=True)],
    )


def sure_to_fit(text: Part, html: Part) -> int:
    """Return how many picks have room in both parts, whichever they are."""
    html_room, both_room = rooms(text, html)
    return min(html.fits(html_room), text.fits(both_room - html_room))


def rooms(text: Part, html: Part) -> tuple[int, int]:
    """Return the bytes left for blocks: in the HTML, and in both parts together."""
    both = MOST_BYTES - 2 * SMALL_CHANGE - html.size - text.size
    return MOST_HTML - SMALL_CHANGE - html.size, both


def picks_that_fit(localized: LocalizedEdition, picks: Sequence[Pick]) -> Sequence[Pick]:
    """Return the picks that fit in the mail, best first; the foot always fits."""
    html, both = rooms(localized.text, localized.html)
    for place, pick in enumerate(picks):
        size = localized.html.room_for(pick)
        html -= size
        both -= size + localized.text.room_for(pick)
        if html < 0 or both < 0:
            return picks[: max(place, 1)]
    return picks


@lru_cache(maxsize=4096)
def subject_header(title: str, count: int, date: str = "") -> bytes:
    """Return the Subject header: day, the best pick's title, number of further papers.

    In 60 characters, which mailboxes show whole.
    """
    start = f"{date} · " if date else ""
    end = f" +{count - 1}" if count > 1 else ""
    return mime.header(
        "Subject", start + cut(title, SUBJECT_LENGTH - len(start) - len(end)) + end
    )


@lru_cache(maxsize=64)
def date_header(instant: datetime) -> str:
    return format_datetime(instant)
