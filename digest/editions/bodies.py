"""A digest in parts, as providers' APIs take it: fields, plain text and HTML apart.

Made of the very pieces that a mail is joined from. A piece that readers share is turned
into text or JSON once and then only looked up, so nothing is parsed or escaped twice.
"""

import binascii
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.header import decode_header, make_header
from functools import lru_cache

from digest.editions.compose import Encoded, Pick, Reader

FOLD = re.compile("\r\n(?=[ \t])")
# More than the pieces of a few editions; a reader's own pieces pass through.
MOST_PIECES = 32_768


@dataclass(frozen=True, slots=True)
class Letter:
    """One reader's digest; `text` and `html` are quoted-printable pieces."""

    sent_at: datetime  # the intent's instant, UTC
    own: Mapping[str, str]  # header fields of this mail, Subject and To among them
    shared: Mapping[str, str]  # those of all mails of the edition, From among them
    text: Sequence[bytes]
    html: Sequence[bytes]


def letter(
    encoded: Encoded, reader: Reader, picks: Sequence[Pick], *, sent_at: datetime
) -> Letter:
    """The same mail as `encoded.compose` makes, not joined."""
    text, html = encoded.bodies(reader, picks)
    own = fields(encoded.headers(reader, picks, sent_at))
    return Letter(sent_at, own, shared_fields(encoded.top), text, html)


@lru_cache(maxsize=64)
def shared_fields(top: bytes) -> Mapping[str, str]:
    return fields(top.partition(b"\r\n\r\n")[0])


def fields(lines: bytes) -> dict[str, str]:
    """Header lines by name, unfolded and decoded."""
    pairs = (
        line.split(": ", 1) for line in FOLD.sub("", lines.decode("ascii")).split("\r\n")
    )
    return {
        pair[0]: decoded(pair[1]) if "=?" in pair[1] else pair[1]
        for pair in pairs
        if len(pair) == 2
    }


@lru_cache(maxsize=4096)
def decoded(value: str) -> str:
    """RFC 2047."""
    return str(make_header(decode_header(value)))


@lru_cache(maxsize=MOST_PIECES)
def plain(piece: bytes) -> str:
    """A quoted-printable piece as text with LF line ends."""
    return binascii.a2b_qp(piece).decode().replace("\r\n", "\n")


@lru_cache(maxsize=MOST_PIECES)
def in_json(piece: bytes) -> bytes:
    """A quoted-printable piece as the inside of a JSON string (RFC 8259), UTF-8."""
    return inside(plain(piece))


def inside(text: str) -> bytes:
    return json.dumps(text, ensure_ascii=False)[1:-1].encode()


def as_text(pieces: Iterable[bytes]) -> str:
    return "".join(map(plain, pieces))


def as_json(pieces: Iterable[bytes]) -> bytes:
    return b"".join(map(in_json, pieces))
