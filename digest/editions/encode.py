"""Make an edition ready for the wire: each block and each frame is encoded once."""

from collections.abc import Sequence
from email.utils import parseaddr
from html import escape
from urllib.parse import urlsplit

from django.utils import translation

from digest.editions import scripts, wire, words
from digest.editions.blocks import no_merge, shortened
from digest.editions.compose import Encoded, Tongue
from digest.editions.frames import Spoken, Surroundings
from digest.editions.parts import encoded_block, part
from digest.models import Block, Edition

AHEAD_LENGTH = 48
# More papers than any mail has.
MOST_COUNTED = 50


def encode(edition: Edition, blocks: Sequence[Block], *, around: Surroundings) -> Encoded:
    """Encode a published edition in its surroundings: those of today, or kept ones."""
    boundary = f"daily-papers-{edition.kind}-{edition.day:%Y%m%d}"
    sender = parseaddr(around.sender)[1]
    labels = [label for _, label in around.topics]
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
            language: tongue(spoken, blocks, labels=labels, language=language)
            for language, spoken in around.spoken.items()
        },
        titles=[block.title for block in blocks],
    )


def tongue(
    spoken: Spoken, blocks: Sequence[Block], *, labels: Sequence[str], language: str
) -> Tongue:
    """The edition in one language."""
    with translation.override(language):
        texts, htmls = [], []
        for block in blocks:
            why = reasons(block, labels)
            title = shortened(block.title, AHEAD_LENGTH)
            texts.append(encoded_block(words.spoken(block.text), encoded(why), ahead=""))
            htmls.append(
                encoded_block(
                    words.spoken(block.html),
                    encoded([in_html(reason) for reason in why]),
                    ahead=" · " + isolated(in_html(title)),
                )
            )
        left_out = [words.left_out(count) for count in range(MOST_COUNTED + 1)]
        return Tongue(
            text=part(spoken.text, texts, ahead="", nothing_ahead=""),
            html=part(
                spoken.html,
                htmls,
                ahead=words.ahead(),
                nothing_ahead=words.nothing_ahead(),
            ),
            counts=encoded([words.counted(count) for count in range(MOST_COUNTED + 1)]),
            left_out=[
                (
                    wire.quoted_printable(f"{sentence}\n"),
                    wire.quoted_printable(f'<p class="text">{escape(sentence)}\n'),
                )
                for sentence in left_out
            ],
        )


def isolated(html: str) -> str:
    """Text read from right to left must not turn what stands beside it."""
    rtl = scripts.direction(html) == "rtl"
    return f'<span dir="rtl">{html}</span>' if rtl else html


def in_html(text: str) -> str:
    return no_merge(escape(text))


def encoded(texts: Sequence[str]) -> list[bytes]:
    return [wire.quoted_printable(text) for text in texts]


def reasons(block: Block, labels: Sequence[str]) -> list[str]:
    """Why a reader gets this paper, by topic column; the last for trending."""
    return [words.reason(label, block.upvotes) for label in [*labels, ""]]


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
