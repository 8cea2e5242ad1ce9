"""Compose one reader's digest from pieces that were encoded once per edition.

No query, no template and no MIME object per reader: a digest is head + the picks'
blocks in the reader's order + foot, and only tokens, reasons, counts and address differ.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from functools import lru_cache
from html import escape
from typing import NamedTuple

from django.utils import translation

from digest.editions import mime, phrases
from digest.editions.phrases import MARKS
from digest.editions.reasons import Reason

MOST_PICKS = 10
# Gmail clips HTML after 102 KB, and the unsubscribe link at the end with it. Measured in
# encoded bytes, of which there are more than decoded ones.
MOST_HTML = 95_000
MOST_BYTES = 200_000
# Bytes reserved for headers and a reader's tokens.
SMALL_CHANGE = 3_000
SUBJECT_LENGTH = 150
OPEN = re.compile(f"([{MARKS.token}{MARKS.count}{MARKS.ahead}{MARKS.web}{MARKS.more}])")
AHEAD = 3
# The most bytes that the name of a mail's page takes, with its soft break.
NAME_ROOM = 44


class Reader(NamedTuple):
    """The fields of a reader that a digest needs."""

    delivery_id: int
    address: str
    token: str
    language: str = "en"


type Encoder = Callable[[str], bytes]  # to quoted-printable


class Pick(NamedTuple):
    """One paper at one place in one reader's digest, with the reasons for it.

    Without a topic and a reason that names something it is a trending paper.
    """

    position: int
    topic: int | None
    reasons: tuple[Reason, ...] = ()


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


# The text before the reason's label, between the label and the mail's name, and after it;
# the last piece is empty where the reader cannot vote.
type EncodedBlock = tuple[bytes, bytes, bytes]


type NameReasons = Callable[[tuple[Reason, ...], int | None], bytes]


@dataclass(frozen=True, slots=True)
class Part:
    before: Pieces
    blocks: Sequence[EncodedBlock]
    after: Pieces
    has_votes: bool
    labels: Mapping[int | None, bytes]  # reasons by topic column; None for trending
    name_reasons: NameReasons  # the same for reasons that name something
    titles: Sequence[bytes]  # block titles, as shown among the next picks
    ahead: bytes  # the words before the titles of the next picks
    nothing_ahead: bytes
    size: int  # bytes of the frame
    sizes: Sequence[int]  # bytes of each block with the longest label

    def join(self, picks: Sequence[Pick], values: Mapping[str, bytes]) -> list[bytes]:
        """Return the part's pieces in order; `values` is mark → bytes."""
        name = values[MARKS.web] if self.has_votes else b""
        blocks, labels = self.blocks, self.labels
        pieces = self.before.fill(values)
        for position, topic, reasons in picks:
            opening, middle, closing = blocks[position]
            label = self.name_reasons(reasons, topic) if reasons else labels[topic]
            pieces += (opening, label, middle, name, closing)
        pieces += self.after.fill(values)
        return pieces

    def next_titles(self, picks: Sequence[Pick]) -> bytes:
        if len(picks) == 1:
            return self.nothing_ahead
        titles = self.titles
        following = [titles[pick.position] for pick in picks[1 : AHEAD + 1]]
        return b"".join([self.ahead, *following])

    def room_for(self, pick: Pick) -> int:
        """Return the most bytes that the pick's block takes with its reasons."""
        position, topic, reasons = pick
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
    """An edition in one language, encoded."""

    text: Part
    html: Part
    counts: Sequence[bytes]  # the headline, by number of papers
    left_out: Sequence[tuple[bytes, bytes]]  # words for text and HTML, by number
    fits: int  # this many picks have room, whichever they are, if no reason names a thing


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
    localized: Mapping[str, LocalizedEdition]
    titles: Sequence[str]
    page_name: Callable[[int], str]  # delivery id → name of the mail's page
    encode: Encoder

    def compose(self, reader: Reader, picks: Sequence[Pick], *, sent_at: datetime) -> bytes:
        """Return the mail: 7-bit, CRLF line ends, no body line that starts with a dot.

        No body line starts with two dashes either, so none is taken for the boundary.
        """
        text, html = self.bodies(reader, picks)
        headers = self.headers(reader, picks, sent_at)
        return b"".join([headers, self.top, *text, self.middle, *html, self.end])

    def bodies(
        self, reader: Reader, picks: Sequence[Pick]
    ) -> tuple[list[bytes], list[bytes]]:
        """Return text and HTML, each as quoted-printable pieces in order.

        A piece that is not specific to the reader is the same object for all readers.
        """
        localized = self.localized.get(reader.language) or self.localized["en"]
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
            MARKS.ahead: localized.html.next_titles(shown),
            MARKS.more: more[0],
        }
        text = localized.text.join(shown, values)
        values[MARKS.more] = more[1]
        return text, localized.html.join(shown, values)

    def headers(self, reader: Reader, picks: Sequence[Pick], sent_at: datetime) -> bytes:
        personal = (
            f"To: {reader.address}\r\n"
            f"Date: {date_header(sent_at)}\r\n"
            f"Message-ID: {self.message_id(reader)}\r\n"
            f"List-Unsubscribe: <{self.site}/u/{reader.token}>\r\n"
        ).encode("ascii")
        title = self.titles[picks[0].position]
        return subject_header(title, len(picks), reader.language) + personal

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
    middle, _, closing = rest.partition(MARKS.web)
    return encode(opening), encode(middle), encode(closing)


def encode_part(
    frame: str,
    blocks: Iterable[tuple[str, str]],
    labels: Sequence[str],
    *,
    encode: Encoder,
    name_reasons: NameReasons,
    ahead: str = "",
    nothing_ahead: str = "",
) -> Part:
    """Encode a body part.

    `blocks` are (block, title as shown among the next picks); the last of `labels` is the
    one for a trending paper.
    """
    before, after = (encode_pieces(text, encode) for text in frame.split(MARKS.papers))
    known = [(encode_block(block, encode), encode(title)) for block, title in blocks]
    *topics, trending = map(encode, labels)
    fixed = sum(map(len, [*before.fixed, *after.fixed]))
    following = sorted((len(title) for _, title in known), reverse=True)[:AHEAD]
    personal = max(map(len, [*topics, trending])) + NAME_ROOM
    return Part(
        before=before,
        blocks=[block for block, _ in known],
        after=after,
        has_votes=any(closing for (_, _, closing), _ in known),
        labels={**dict(enumerate(topics)), None: trending},
        name_reasons=lru_cache(maxsize=4096)(name_reasons),
        titles=[title for _, title in known],
        ahead=encode(ahead),
        nothing_ahead=encode(nothing_ahead),
        size=fixed + sum(following),
        sizes=[sum(map(len, block)) + personal for block, _ in known],
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
def subject_header(title: str, count: int, language: str = "en") -> bytes:
    """Return the Subject header: the best pick's title and the number of further papers."""
    with translation.override(language):
        tail = phrases.subject_tail(count - 1)
    room = SUBJECT_LENGTH - len(tail)
    title = title if len(title) <= room else title[: room - 1].rstrip() + "…"
    return mime.header("Subject", title + tail)


@lru_cache(maxsize=64)
def date_header(instant: datetime) -> str:
    return format_datetime(instant)
