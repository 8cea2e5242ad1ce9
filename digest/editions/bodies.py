"""Compose a digest in parts, as providers' APIs take it: headers, plain text and HTML.

It uses the pieces that a mail is joined from. A piece that readers share is converted to
text or JSON once and then looked up, so nothing is parsed or escaped twice.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from email.header import decode_header, make_header
from functools import lru_cache

from digest.editions.compose import EncodedEdition, Pick, Reader
from digest.transport.base import Letter

FOLD = re.compile("\r\n(?=[ \t])")


def letter(
    encoded: EncodedEdition,
    reader: Reader,
    picks: Sequence[Pick],
    *,
    sent_at: datetime,
    expires_at: datetime | None = None,
) -> Letter:
    """Return the mail that `encoded.compose` makes, in parts."""
    text, html, values = encoded.bodies(reader, picks)
    own = fields(encoded.headers(reader, picks, sent_at, expires_at))
    return Letter(sent_at, own, shared_fields(encoded.top), text, html, values)


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
