"""Make an edition ready for the wire: each block and each frame is encoded once."""

from collections.abc import Sequence
from dataclasses import dataclass
from email.utils import parseaddr
from functools import partial
from html import escape
from urllib.parse import urlsplit

from django.utils import translation

from digest.editions import scripts, wire, words
from digest.editions.blocks import no_merge, shortened
from digest.editions.compose import Encoded, Tongue, sure_to_fit
from digest.editions.frames import Spoken, Surroundings
from digest.editions.parts import Encoder, part
from digest.editions.signatures import Purpose, namer
from digest.editions.words import MARKS
from digest.models import Block, Edition

AHEAD_LENGTH = 48
# More papers than any mail has.
MOST_COUNTED = 50


@dataclass(frozen=True, slots=True)
class Paper:
    """What of a block is encoded; its words are not spoken yet."""

    title: str
    upvotes: int
    html: str
    text: str

    def said(self) -> tuple[str, str]:
        """Text and HTML in the active language, the label of the reason left open."""
        reason = MARKS.reason + words.voted(self.upvotes)
        return (
            words.spoken(self.text).replace(MARKS.reason, reason),
            words.spoken_html(self.html).replace(MARKS.reason, reason),
        )

    def title_ahead(self) -> str:
        return "\u00a0· " + isolated(in_html(self.title))


def encode(
    edition: Edition, blocks: Sequence[Block], *, around: Surroundings, votes: bool = True
) -> Encoded:
    """Encode a published edition in its surroundings: those of today, or kept ones.

    Without `votes` no paper has the link to vote: it needs a mail that was planned.
    """
    boundary, encoder = around.boundary, wire.quoted_printable
    if not boundary:  # a frame of a time when all editions of a day had the same
        boundary = f"daily-papers-{edition.kind}-{edition.day:%Y%m%d}"
        encoder = partial(wire.quoted_printable, guarded=wire.DOTS_ONLY)
    sender = parseaddr(around.sender)[1]
    labels = [label for _, label in around.topics]
    papers = [paper(block, votes=votes) for block in blocks]
    return Encoded(
        edition_id=edition.pk,
        fingerprint=around.fingerprint,
        sender=sender,
        host=sender.rpartition("@")[2],
        site=around.site,
        top=shared_headers(around, edition, boundary) + part_opening(boundary, "plain"),
        middle=wire.CRLF + part_opening(boundary, "html"),
        end=wire.CRLF + f"--{boundary}--\r\n".encode(),
        tongues={
            language: tongue(spoken, papers, encoder, labels=labels, language=language)
            for language, spoken in around.spoken.items()
        },
        titles=[block.title for block in blocks],
        page_name=namer(Purpose.PAGE),
        encode=encoder,
    )


def paper(block: Block, *, votes: bool) -> Paper:
    html, text = (
        words.with_votes(part, block.position) if votes else words.without_votes(part)
        for part in (block.html, block.text)
    )
    return Paper(shortened(block.title, AHEAD_LENGTH), block.upvotes, html, text)


def tongue(
    spoken: Spoken,
    papers: Sequence[Paper],
    encoder: Encoder,
    *,
    labels: Sequence[str],
    language: str,
) -> Tongue:
    """The edition in one language."""
    with translation.override(language):
        why = [words.why(label) for label in [*labels, ""]]
        said = [paper.said() for paper in papers]
        blocks = [(one, "") for one, _ in said]
        text = part(spoken.text, blocks, why, encode=encoder)
        html = part(
            spoken.html,
            [
                (one, paper.title_ahead())
                for paper, (_, one) in zip(papers, said, strict=True)
            ],
            [in_html(label) for label in why],
            encode=encoder,
            ahead=words.ahead(),
            nothing_ahead=words.nothing_ahead(),
        )
        left_out = [words.left_out(count) for count in range(MOST_COUNTED + 1)]
        return Tongue(
            text=text,
            html=html,
            counts=[encoder(words.counted(count)) for count in range(MOST_COUNTED + 1)],
            left_out=[
                (encoder(f"{sentence}\n"), encoder(f'<p class="text">{escape(sentence)}\n'))
                for sentence in left_out
            ],
            fits=sure_to_fit(text, html),
        )


def isolated(html: str) -> str:
    """Text read from right to left must not turn what stands beside it."""
    rtl = scripts.direction(html) == "rtl"
    return f'<span dir="rtl">{html}</span>' if rtl else html


def in_html(text: str) -> str:
    return no_merge(escape(text))


def shared_headers(around: Surroundings, edition: Edition, boundary: str) -> bytes:
    """The headers that are the same in every digest of the edition, and the empty line."""
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
    list_id = wire.folded_pair("List-Id", "Daily Papers", f"<daily.{site}>")
    return wire.mailbox("From", around.sender) + list_id + rest + wire.CRLF


def part_opening(boundary: str, subtype: str) -> bytes:
    return (
        f"--{boundary}\r\n"
        f'Content-Type: text/{subtype}; charset="utf-8"\r\n'
        "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
    ).encode()
