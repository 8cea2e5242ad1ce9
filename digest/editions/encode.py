"""Encode an edition for the wire: each block and each frame once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.utils import parseaddr
from functools import partial
from html import escape
from urllib.parse import urlsplit

from django.utils import translation

from digest.editions import mime, phrases, text_layout
from digest.editions.blocks import no_merge, shorten
from digest.editions.compose import (
    EncodedEdition,
    Encoder,
    LocalizedEdition,
    encode_part,
    sure_to_fit,
)
from digest.editions.frames import FrameContent, LocalizedFrame
from digest.editions.phrases import MARKS
from digest.editions.reasons import Reason, Why
from digest.models import Block, Edition
from digest.signing import Purpose, namer

AHEAD_LENGTH = 48
# Room on the last line of a reason for the upvotes; no line breaks at such spaces.
ROOM = "\u00a0" * 16
# Above the most papers that a mail has.
MOST_COUNTED = 50


@dataclass(frozen=True, slots=True)
class LocalizedPaper:
    """The fields of a block that are encoded; its phrases are not translated yet."""

    title: str
    upvotes: int
    html: str
    text: str

    def translate(self) -> tuple[str, str]:
        """Return text and HTML in the active language; the reason's label stays a mark."""
        reason = MARKS.reason + phrases.upvotes_suffix(self.upvotes)
        return (
            phrases.translate(self.text).replace(MARKS.reason, reason),
            phrases.translate_html(self.html).replace(MARKS.reason, reason),
        )

    def title_ahead(self) -> str:
        return "\u00a0· " + isolate(in_html(self.title))


def encode(
    edition: Edition, blocks: Sequence[Block], *, around: FrameContent, votes: bool = True
) -> EncodedEdition:
    """Encode a published edition with a frame: the current one, or a stored one.

    Without `votes` no paper has a link to vote: that link needs a planned delivery.
    """
    boundary, encoder = around.boundary, mime.quoted_printable
    if not boundary:  # frames stored before boundaries were random
        boundary = f"daily-papers-{edition.kind}-{edition.day:%Y%m%d}"
        encoder = partial(mime.quoted_printable, guarded=mime.DOTS_ONLY)
    sender = parseaddr(around.sender)[1]
    labels = [label for _, label in around.topics]
    papers = [paper(block, votes=votes) for block in blocks]
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
            language: localized_edition(
                spoken, papers, encoder, labels=labels, language=language
            )
            for language, spoken in around.spoken.items()
        },
        titles=[block.title for block in blocks],
        page_name=namer(Purpose.PAGE),
        encode=encoder,
    )


def paper(block: Block, *, votes: bool) -> LocalizedPaper:
    html, text = (
        phrases.with_votes(part, block.position) if votes else phrases.without_votes(part)
        for part in (block.html, block.text)
    )
    return LocalizedPaper(shorten(block.title, AHEAD_LENGTH), block.upvotes, html, text)


def localized_edition(
    spoken: LocalizedFrame,
    papers: Sequence[LocalizedPaper],
    encoder: Encoder,
    *,
    labels: Sequence[str],
    language: str,
) -> LocalizedEdition:
    """Return the edition encoded in one language."""
    with translation.override(language):
        reasons = [phrases.reason_label(label) for label in [*labels, ""]]
        words = {why: said() for why, said in phrases.REASONS.items()}
        translated = [paper.translate() for paper in papers]
        blocks = [(one, "") for one, _ in translated]
        text = encode_part(
            spoken.text,
            blocks,
            reasons,
            encode=encoder,
            name_reasons=partial(encode_reasons, words, labels, encoder, False),
        )
        html = encode_part(
            spoken.html,
            [
                (one, paper.title_ahead())
                for paper, (_, one) in zip(papers, translated, strict=True)
            ],
            [in_html(label) for label in reasons],
            encode=encoder,
            name_reasons=partial(encode_reasons, words, labels, encoder, True),
            ahead=phrases.ahead(),
            nothing_ahead=phrases.nothing_ahead(),
        )
        left_out = [phrases.left_out_notice(count) for count in range(MOST_COUNTED + 1)]
        return LocalizedEdition(
            text=text,
            html=html,
            counts=[encoder(phrases.headline(count)) for count in range(MOST_COUNTED + 1)],
            left_out=[
                (encoder(f"{sentence}\n"), encoder(f'<p class="text">{escape(sentence)}\n'))
                for sentence in left_out
            ],
            fits=sure_to_fit(text, html),
        )


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
    return isolate(in_html(name))


def isolate(html: str) -> str:
    """Isolate right-to-left text, so that it does not reorder the text beside it."""
    rtl = text_layout.direction(html) == "rtl"
    return f'<span dir="rtl">{html}</span>' if rtl else html


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
