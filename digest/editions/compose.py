"""Compose one reader's digest from pieces that were encoded once per edition.

No query, no template and no MIME object per reader: a digest is head + the picks'
blocks in the reader's order + foot, and only tokens, reasons, counts and address differ.
The pieces of a block and its reason are looked up for the first reader who gets it, and kept.
"""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.header import decode_header, make_header
from email.utils import format_datetime
from functools import lru_cache
from html import escape
from typing import NamedTuple

from digest.editions import mime
from digest.editions.reasons import LONGEST_NAME, MOST_REASONS, Reason
from digest.papers.text import cut
from digest.transport.base import Letter

FOLD = re.compile("\r\n(?=[ \t])")
MOST_PICKS = 10
# Gmail clips HTML after 102 KB, and the unsubscribe link at the end with it. Measured in
# encoded bytes, of which there are more than decoded ones.
MOST_HTML = 95_000
MOST_BYTES = 200_000
# Bytes reserved for headers and a reader's tokens.
SMALL_CHANGE = 3_000
SUBJECT_LENGTH = 60
# Marks as they stand in encoded pieces: bytes that neither quoted-printable nor UTF-8 holds,
# so that nothing else is taken for them.
NAME, TOKEN, COUNT = b"\xf8", b"\xf9", b"\xfa"
USUAL = ("en", "short")
# The most bytes that reasons take: a character of a name takes 12, and their words the rest.
REASONS_ROOM = MOST_REASONS * LONGEST_NAME * 16


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


type EncodedBlock = tuple[bytes, bytes]  # the reason stands between the two

type NameReasons = Callable[[tuple[Reason, ...], int | None], bytes]


@dataclass(frozen=True, slots=True)
class Part:
    opening: bytes  # of the frame, up to the list of titles
    between: bytes
    alone: bytes  # instead of both before a single paper; empty if it has the list, too
    closing: bytes  # after the papers
    foot: bytes  # after the line about those that had no room
    leads: Sequence[EncodedBlock]  # the blocks as they look in the first place
    blocks: Sequence[EncodedBlock]
    labels: Mapping[int | None, bytes]  # reasons by topic column; None for trending
    name_reasons: NameReasons  # the same for reasons that name something
    titles: Sequence[bytes]  # as shown in the list at the top; empty ones without a list
    size: int  # bytes of the frame
    sizes: Sequence[int]  # most bytes of each block with its title and the longest label

    def block(self, pick: Pick, *, is_lead: bool) -> Sequence[bytes]:
        """Return the pick's block in pieces: its opening, its reasons, the rest."""
        position, topic, reasons, _ = pick
        opening, rest = (self.leads if is_lead else self.blocks)[position]
        said = self.name_reasons(reasons, topic) if reasons else self.labels[topic]
        return opening, said, rest

    def room_for(self, pick: Pick) -> int:
        """Return the most bytes that the pick's block takes with its reasons."""
        position, topic, reasons, _ = pick
        size = self.sizes[position]
        return size + len(self.name_reasons(reasons, topic)) if reasons else size

    def fits(self, room: int) -> int:
        """Return how many picks surely fit in `room` bytes, whatever their reasons name."""
        for count, size in enumerate(sorted(self.sizes, reverse=True)):
            room -= size + REASONS_ROOM
            if room < 0:
                return count
        return len(self.sizes)


type ShownPick = tuple[bytes, bytes, Sequence[bytes], Sequence[bytes]]


class ShownPicks(dict[Pick, ShownPick]):
    """By pick: its title in the list of the text and of the HTML, and its block in both.

    A few thousand at most are kept: those with reasons that name something are a reader's own.
    """

    def __init__(self, text: Part, html: Part, *, is_lead: bool) -> None:
        self.parts = text, html
        self.is_lead = is_lead

    def __missing__(self, pick: Pick) -> ShownPick:
        text_title, html_title = (part.titles[pick.position] for part in self.parts)
        text, html = (part.block(pick, is_lead=self.is_lead) for part in self.parts)
        shown = text_title, html_title, text, html
        if not pick.reasons:
            self[pick] = shown
        return shown


@dataclass(frozen=True, slots=True)
class LocalizedEdition:
    """An edition in one language and length, encoded."""

    text: Part
    html: Part
    counts: Sequence[bytes]  # the headline, by number of papers
    left_out: Sequence[tuple[bytes, bytes]]  # words for text and HTML, by number
    fits: int  # this many picks have room, whichever they are
    date: str  # in the subject
    leads: ShownPicks  # in the first place of a mail
    others: ShownPicks


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
        text, html, own = self.bodies(reader, picks)
        for pieces in (text, html):
            pieces[0] = pieces[0].replace(COUNT, own[COUNT])
            pieces[-1] = pieces[-1].replace(TOKEN, own[TOKEN])
        headers = self.headers(reader, picks, sent_at, expires_at)
        mail = b"".join([headers, self.top, *text, self.middle, *html, self.end])
        return mail.replace(NAME, own[NAME])

    def letter(
        self,
        reader: Reader,
        picks: Sequence[Pick],
        *,
        sent_at: datetime,
        expires_at: datetime | None = None,
    ) -> Letter:
        """Return the mail that `compose` makes, in parts, as providers' APIs take it.

        A piece that readers share is converted to text or JSON once and then looked up, so
        nothing is parsed or escaped twice.
        """
        text, html, values = self.bodies(reader, picks)
        own = fields(self.headers(reader, picks, sent_at, expires_at))
        return Letter(sent_at, own, shared_fields(self.top), text, html, values)

    def is_mail(self, reader: Reader, picks: Sequence[Pick]) -> bool:
        """Return whether the reader gets a mail: with papers, or an announcement."""
        return bool(picks or self.subject and reader.address)

    def localized_for(self, reader: Reader) -> LocalizedEdition:
        return self.localized.get((reader.language, reader.length)) or self.localized[USUAL]

    def bodies(
        self, reader: Reader, picks: Sequence[Pick]
    ) -> tuple[list[bytes], list[bytes], Mapping[bytes, bytes]]:
        """Return the pieces of text and HTML, and by mark what is the reader's own in them.

        Readers share the pieces. The count is in the first one, the token in the last.
        """
        localized = self.localized_for(reader)
        text, html = localized.text, localized.html
        page = self.page_name(reader.delivery_id)
        count, fitting, more = len(picks), picks, (b"", b"")
        if count > localized.fits:
            fitting = picks_that_fit(localized, picks)
            more = self.left_out(localized, count - len(fitting), page)
        texts, htmls = [text.opening], [html.opening]
        text_papers, html_papers = [text.between], [html.between]
        shown = localized.leads
        for pick in fitting:
            text_title, html_title, text_paper, html_paper = shown[pick]
            texts.append(text_title)
            htmls.append(html_title)
            text_papers += text_paper
            html_papers += html_paper
            shown = localized.others
        if count == 1 and text.alone:  # a list of one title says it twice
            texts, htmls = [text.alone], [html.alone]
            del text_papers[0], html_papers[0]
        token = reader.token.encode() + mime.SOFT_BREAK
        if token.startswith(b"--"):
            token = self.encode(reader.token)
        return (
            [*texts, *text_papers, text.closing, more[0], text.foot],
            [*htmls, *html_papers, html.closing, more[1], html.foot],
            {
                NAME: page.encode() + mime.SOFT_BREAK,
                TOKEN: token,
                COUNT: localized.counts[count],
            },
        )

    def headers(
        self,
        reader: Reader,
        picks: Sequence[Pick],
        sent_at: datetime,
        expires_at: datetime | None,
    ) -> bytes:
        delivery_id, address, token, _, _ = reader
        expires = by_mail = complaints = ""
        if expires_at and self.with_expiry:
            expires = f"Expires: {date_header(expires_at)}\r\n"  # RFC 10080
        if self.inbox:
            inbox = self.inbox(delivery_id)
            by_mail = f",\r\n <mailto:{inbox}?subject=unsubscribe>"  # RFC 2369
            words = f"{inbox};"  # RFC 9477
            complaints = mime.folded_pair("CFBL-Address", words, "report=arf").decode()
        personal = (
            f"To: {address}\r\n"
            f"Date: {date_header(sent_at)}\r\n"
            f"{expires}"
            f"Message-ID: {self.message_id(reader)}\r\n"
            f"List-Unsubscribe: <{self.site}/u/{token}>{by_mail}\r\n"
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
        self, localized: LocalizedEdition, count: int, page: str
    ) -> tuple[bytes, bytes]:
        """Return the lines about papers that had no room, for the text and for the HTML."""
        if not count:
            return b"", b""
        text, html = localized.left_out[count]
        url = f"{self.site}/digest/{page}"
        link = self.encode(f'<a href="{url}">{escape(url)}</a></p>\n')
        return text + self.encode(f"{url}\n\n"), html + link


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


@lru_cache(maxsize=64)
def shared_fields(top: bytes) -> Mapping[str, str]:
    return fields(top.partition(b"\r\n\r\n")[0])


def fields(lines: bytes) -> dict[str, str]:
    """Return the header lines by name, unfolded and decoded."""
    pairs = (
        line.split(": ", 1) for line in FOLD.sub("", lines.decode("ascii")).split("\r\n")
    )
    return {
        pair[0]: decode(pair[1]) if "=?" in pair[1] else pair[1]
        for pair in pairs
        if len(pair) == 2
    }


@lru_cache(maxsize=4096)
def decode(value: str) -> str:
    """Decode the encoded words of a header value (RFC 2047)."""
    return str(make_header(decode_header(value)))
