"""Encode an edition for the wire: each block and each frame once."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from email.utils import parseaddr
from functools import lru_cache, partial
from html import escape
from urllib.parse import urlsplit

from django.utils import translation

from digest.editions import mime, phrases, text_layout
from digest.editions.blocks import FORMS, forms, no_merge
from digest.editions.compose import (
    COUNT,
    NAME,
    TOKEN,
    EncodedBlock,
    EncodedEdition,
    Encoder,
    LocalizedEdition,
    NameReasons,
    Part,
    ShownPicks,
    sure_to_fit,
)
from digest.editions.frames import FrameContent, LocalizedFrame
from digest.editions.phrases import MARKS, WITHOUT_MARKS
from digest.editions.reasons import Reason, Why
from digest.models import Block, Edition
from digest.papers.text import cut
from digest.signing import Purpose, namer, senders
from subscribers.models import Length

# Of a title in the list at the top: one line on a phone, and three of them are in the 200
# characters from which mailboxes make a preview.
TITLE_LENGTH = 42
# Room on the last line of a reason for the upvotes; no line breaks at such spaces.
ROOM = "\u00a0" * 16
# The most bytes that the name of a mail's page takes, with its soft break.
NAME_ROOM = 44
# Marks whose places stay open in encoded pieces.
OPEN = {MARKS.web: NAME, MARKS.token: TOKEN, MARKS.count: COUNT}
# Above the most papers that a mail has.
MOST_COUNTED = 50


type ByForm = Mapping[str, list[EncodedBlock]]

# Length of a mail → the forms of its first paper and of the others.
LENGTHS = {
    Length.TITLES: ("titles", "titles"),
    Length.SHORT: ("lead", "short"),
    Length.ABSTRACTS: ("abstracts", "abstracts"),
}


def encode(
    edition: Edition, blocks: Iterable[Block], *, around: FrameContent, votes: bool = True
) -> EncodedEdition:
    """Encode a published edition with a frame: the current one, or a stored one.

    Blocks come in the order of their positions. Without `votes` no paper has a link to vote:
    that link needs a planned delivery.
    """
    boundary, encoder = around.boundary, mime.quoted_printable
    if not boundary:  # frames stored before boundaries were random
        boundary = f"daily-papers-{edition.kind}-{edition.day:%Y%m%d}"
        encoder = partial(mime.quoted_printable, guarded=mime.DOTS_ONLY)
    sender = parseaddr(around.sender)[1]
    labels = [label for _, label in around.topics]
    titles, encoded = encode_blocks(blocks, around.spoken, encoder, votes=votes)
    listed = [cut(title.translate(WITHOUT_MARKS), TITLE_LENGTH) for title in titles]
    return EncodedEdition(
        edition_id=edition.pk,
        fingerprint=around.fingerprint,
        sender=sender,
        host=sender.rpartition("@")[2],
        site=around.site,
        top=shared_headers(around, edition, boundary) + part_opening(boundary, "plain"),
        middle=mime.CRLF + part_opening(boundary, "html"),
        end=mime.CRLF + f"--{boundary}--\r\n".encode(),
        localized={
            (language, length): localized
            for language, spoken in around.spoken.items()
            for length, localized in localized_edition(
                spoken,
                encoded[language],
                listed,
                encoder,
                labels=labels,
                language=language,
                kind=edition.kind,
            ).items()
        },
        titles=titles,
        page_name=namer(Purpose.PAGE),
        encode=encoder,
        inbox=senders(sender) if around.inbox else None,
        with_expiry=around.expires,
        subject=around.subject,
    )


def encode_blocks(
    blocks: Iterable[Block], languages: Iterable[str], encoder: Encoder, *, votes: bool
) -> tuple[list[str], dict[str, tuple[ByForm, ByForm]]]:
    """Return the blocks' titles, and by language their text and HTML, encoded.

    Block by block, so that only one's words lie in memory beside what is kept.
    """
    titles = []
    found: dict[str, tuple[ByForm, ByForm]] = {
        language: ({form: [] for form in FORMS}, {form: [] for form in FORMS})
        for language in languages
    }
    for block in blocks:
        titles.append(block.title)
        parts = [
            with_or_without_votes(part, block.position if votes else None)
            for part in (block.text, block.html)
        ]
        for language, (texts, htmls) in found.items():
            with translation.override(language):
                for form, text, html in zip(FORMS, *parts, strict=True):
                    texts[form].append(encode_block(phrases.translate(text), encoder))
                    htmls[form].append(encode_block(phrases.translate_html(html), encoder))
    return titles, found


def with_or_without_votes(stored: str, position: int | None) -> list[str]:
    """Return the forms of a stored block; with a position, with its links to vote."""
    if position is None:
        return [phrases.without_votes(form) for form in forms(stored)]
    return [phrases.with_votes(form, position) for form in forms(stored)]


def localized_edition(
    spoken: LocalizedFrame,
    blocks: tuple[ByForm, ByForm],
    titles: Sequence[str],
    encoder: Encoder,
    *,
    labels: Sequence[str],
    language: str,
    kind: str,
) -> dict[str, LocalizedEdition]:
    """Return the edition encoded in one language, by length."""
    with translation.override(language):
        reasons = [phrases.reason(label) for label in [*labels, ""]]
        words = {why: said() for why, said in phrases.REASONS.items()}
        name_reasons = partial(encode_reasons, words, reasons, encoder)
        texts = Encoded(
            spoken.text,
            blocks[0],
            titles=[encoder(f"* {title}\n") for title in titles],
            labels=[encoder(label) for label in reasons],
            name_reasons=lru_cache(maxsize=4096)(partial(name_reasons, False)),
        )
        htmls = Encoded(
            spoken.html,
            blocks[1],
            titles=[encoder(list_item(title)) for title in titles],
            labels=[encoder(in_html(label)) for label in reasons],
            name_reasons=lru_cache(maxsize=4096)(partial(name_reasons, True)),
        )
        numbers = range(MOST_COUNTED + 1)
        counts = [encoder(phrases.headline(count, kind)) for count in numbers]
        sentences = [phrases.left_out_notice(count) for count in numbers]
        left_out = [
            (encoder(f"{sentence}\n"), encoder(f'<p class="text">{escape(sentence)}\n'))
            for sentence in sentences
        ]
    found = {}
    for length in LENGTHS:
        text, html = texts.part(length, encoder), htmls.part(length, encoder)
        fits = sure_to_fit(text, html)
        found[str(length)] = LocalizedEdition(
            text,
            html,
            counts=counts,
            left_out=left_out,
            fits=fits,
            date=spoken.date,
            leads=ShownPicks(text, html, is_lead=True),
            others=ShownPicks(text, html, is_lead=False),
        )
    return found


@dataclass(frozen=True, slots=True)
class Encoded:
    """All that the lengths of a body part share: a paper's form is encoded once."""

    frame: str
    blocks: ByForm
    titles: Sequence[bytes]
    labels: Sequence[bytes]  # the last is that of a trending paper
    name_reasons: NameReasons

    def part(self, length: Length, encoder: Encoder) -> Part:
        titles_only = length == Length.TITLES
        leads, blocks = (self.blocks[form] for form in LENGTHS[length])
        titles = [b""] * len(self.titles) if titles_only else self.titles
        without, with_list = phrases.without_glance, phrases.with_glance
        frame = (without if titles_only else with_list)(self.frame)
        has_choice = MARKS.glance in self.frame and not titles_only
        without_list = without(self.frame) if has_choice else ""
        before, after = frame.split(MARKS.papers)
        around = *before.partition(MARKS.ahead)[::2], *after.rpartition(MARKS.more)[::2]
        opening, between, closing, foot = (encode_open(text, encoder) for text in around)
        *topics, trending = self.labels
        personal = max(map(len, self.labels)) + 2 * NAME_ROOM
        return Part(
            opening=opening,
            between=between,
            alone=encode_open(without_list.partition(MARKS.papers)[0], encoder),
            closing=closing,
            foot=foot,
            leads=leads,
            blocks=blocks,
            labels={**dict(enumerate(topics)), None: trending},
            name_reasons=self.name_reasons,
            titles=titles,
            size=size_of(opening + between + closing + foot),
            sizes=[
                max(size_of(b"".join(lead)), size_of(b"".join(block)))
                + len(title)
                + personal
                for lead, block, title in zip(leads, blocks, titles, strict=True)
            ],
        )


def encode_open(text: str, encode: Encoder, marks: Sequence[str] = tuple(OPEN)) -> bytes:
    """Encode a text that holds marks, and leave their places open."""
    if not marks:
        return encode(text)
    mark, *others = marks  # one after the other: a pattern of all takes ten times as long
    pieces = text.split(mark)
    return OPEN[mark].join([encode_open(piece, encode, others) for piece in pieces])


def size_of(piece: bytes) -> int:
    return len(piece.translate(None, delete=b"".join(OPEN.values())))


def encode_block(block: str, encode: Encoder) -> EncodedBlock:
    opening, rest = block.split(MARKS.reason)
    return encode_open(opening, encode), encode_open(rest, encode)


def list_item(title: str) -> str:
    """Return a title of the list. Right-to-left text is aligned on its own side."""
    rtl = text_layout.direction(title) == "rtl"
    return f"<li{' dir="rtl"' if rtl else ''}>{in_html(title)}</li>"


def encode_reasons(
    words: Mapping[Why, str],
    labels: Sequence[str],
    encode: Encoder,
    is_html: bool,
    reasons: Sequence[Reason],
    topic: int | None,
) -> bytes:
    """Encode reasons in one language for a part; a long line of text is wrapped."""
    shown = name_in_html if is_html else str
    said = [phrases.reason_words(words[why], shown(name)) for why, name in reasons]
    label = "" if topic is None else shown(labels[topic])
    line = phrases.joined_reasons(said, label)
    return encode(line if is_html else text_layout.fill(line + ROOM).removesuffix(ROOM))


def name_in_html(name: str) -> str:
    """Isolate a right-to-left name, so that it does not reorder the words beside it."""
    html = in_html(name)
    return (
        f'<span dir="rtl">{html}</span>' if text_layout.direction(name) == "rtl" else html
    )


def in_html(text: str) -> str:
    return no_merge(escape(text))


def shared_headers(around: FrameContent, edition: Edition, boundary: str) -> bytes:
    """Return the headers shared by all digests of the edition, and the empty line."""
    site = urlsplit(around.site).hostname or ""
    lines = [
        "List-Unsubscribe-Post: List-Unsubscribe=One-Click",
        f"Feedback-ID: {edition.day:%Y%m%d}:{edition.kind}:digest:dailypapers",
        "Auto-Submitted: auto-generated",
        "Precedence: bulk",
        "X-Auto-Response-Suppress: All",
        "MIME-Version: 1.0",
        f'Content-Type: multipart/alternative;\r\n boundary="{boundary}"',
    ]
    rest = "".join(f"{line}\r\n" for line in lines).encode("ascii")
    list_id = mime.folded_pair("List-Id", "Daily Papers", f"<daily.{site}>")
    return mime.mailbox("From", around.sender) + list_id + rest + mime.CRLF


def part_opening(boundary: str, subtype: str) -> bytes:
    return (
        f"--{boundary}\r\n"
        f'Content-Type: text/{subtype}; charset="utf-8"\r\n'
        "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
    ).encode()
