"""One reader's digest, joined from pieces that were encoded once per edition.

No query, no template and no MIME object per reader: a digest is head + the picks'
blocks in the reader's order + foot, and only tokens, reasons, counts and address differ.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from functools import lru_cache
from html import escape
from typing import NamedTuple

from django.utils import translation

from digest.editions import wire, words
from digest.editions.parts import Encoder, Part

MOST_PICKS = 10
# Gmail shows 102 KB of HTML and cuts the rest off, the way out with it. Measured as
# sent, which is more than what it decodes to.
MOST_HTML = 95_000
MOST_BYTES = 200_000
# For headers, and what a reader's tokens add.
SMALL_CHANGE = 3_000
SUBJECT_LENGTH = 150


class Reader(NamedTuple):
    """What of a reader a digest needs, and no more."""

    delivery_id: int
    address: str
    token: str
    language: str = "en"


class Pick(NamedTuple):
    """One paper at one place in one reader's digest; topic None means trending."""

    position: int
    topic: int | None


@dataclass(frozen=True, slots=True)
class Tongue:
    """An edition in one language, encoded."""

    text: Part
    html: Part
    counts: Sequence[bytes]  # the headline, by number of papers
    left_out: Sequence[tuple[bytes, bytes]]  # words for text and HTML, by number
    fits: int  # so many picks have room, whichever they are


@dataclass(frozen=True, slots=True)
class Encoded:
    """An edition made ready for the wire. Build it once, compose from it a million times."""

    edition_id: int
    fingerprint: str  # of the surroundings that it was made of
    sender: str
    host: str
    site: str
    top: bytes
    middle: bytes
    end: bytes
    tongues: Mapping[str, Tongue]
    titles: Sequence[str]
    page_name: Callable[[int], str]  # of a delivery
    encode: Encoder

    def compose(self, reader: Reader, picks: Sequence[Pick], *, sent_at: datetime) -> bytes:
        """The mail, CRLF line ends, 7-bit, no body line that starts with a dot.

        No line of a body starts with two dashes either: those are the boundary's.
        """
        text, html = self.bodies(reader, picks)
        headers = self.headers(reader, picks, sent_at)
        return b"".join([headers, self.top, *text, self.middle, *html, self.end])

    def bodies(
        self, reader: Reader, picks: Sequence[Pick]
    ) -> tuple[list[bytes], list[bytes]]:
        """Both bodies, text and HTML, as quoted-printable pieces in their order.

        What is not the reader's own is the same object for all readers.
        """
        tongue = self.tongues.get(reader.language) or self.tongues["en"]
        name = self.page_name(reader.delivery_id).encode()
        shown, more = picks, (b"", b"")
        if len(picks) > tongue.fits:
            shown = fitting(tongue, picks)
            more = self.left_out(tongue, len(picks) - len(shown), name)
        token = reader.token.encode() + wire.SOFT_BREAK
        if token.startswith(b"--"):
            token = self.encode(reader.token)
        values = {
            words.MARKS.count: tongue.counts[len(picks)],
            words.MARKS.token: token,
            words.MARKS.web: name + wire.SOFT_BREAK,
            words.MARKS.ahead: tongue.html.looking_ahead(shown),
            words.MARKS.more: more[0],
        }
        text = tongue.text.join(shown, values)
        values[words.MARKS.more] = more[1]
        return text, tongue.html.join(shown, values)

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
        """Stable for the row, so that a retry is the same mail to the receiver."""
        name = f"{self.edition_id}/{reader.delivery_id}".encode()
        return f"<{hashlib.blake2b(name, digest_size=15).hexdigest()}@{self.host}>"

    def left_out(self, tongue: Tongue, count: int, name: bytes) -> tuple[bytes, bytes]:
        """The lines about papers that had no room: for the text, for the HTML."""
        if not count:
            return b"", b""
        text, html = tongue.left_out[count]
        url = f"{self.site}/digest/{name.decode()}"
        link = self.encode(f'<a href="{url}">{escape(url)}</a></p>\n')
        return text + self.encode(f"{url}\n\n"), html + link


def sure_to_fit(text: Part, html: Part) -> int:
    """How many picks have room, whichever they are."""
    html_room, both_room = rooms(text, html)
    return min(html.fits(html_room), text.fits(both_room - html_room))


def rooms(text: Part, html: Part) -> tuple[int, int]:
    """Bytes for blocks: in the HTML, and in both parts together."""
    both = MOST_BYTES - 2 * SMALL_CHANGE - html.size - text.size
    return MOST_HTML - SMALL_CHANGE - html.size, both


def fitting(tongue: Tongue, picks: Sequence[Pick]) -> Sequence[Pick]:
    """The picks that the mail has room for, best first; the foot always has its room."""
    html, both = rooms(tongue.text, tongue.html)
    html_sizes, text_sizes = tongue.html.sizes, tongue.text.sizes
    for place, pick in enumerate(picks):
        size = html_sizes[pick.position]
        html -= size
        both -= size + text_sizes[pick.position]
        if html < 0 or both < 0:
            return picks[: max(place, 1)]
    return picks


@lru_cache(maxsize=4096)
def subject_header(title: str, count: int, language: str = "en") -> bytes:
    """The best pick and how many more: says what is inside, promises nothing else."""
    with translation.override(language):
        tail = words.subject_tail(count - 1)
    room = SUBJECT_LENGTH - len(tail)
    title = title if len(title) <= room else title[: room - 1].rstrip() + "…"
    return wire.header("Subject", title + tail)


@lru_cache(maxsize=64)
def date_header(instant: datetime) -> str:
    return format_datetime(instant)
