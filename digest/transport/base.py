"""The input and output of every transport: one mail for one reader, composed when its turn comes.

A mail travels whole over SMTP and in parts to providers' APIs. Pieces that readers share
are turned into text or JSON once and then only looked up.
"""

import binascii
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple, Protocol

from digest.transport.outcomes import Outcome

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


class Mail(NamedTuple):
    """An envelope, and how to compose what is in it.

    `compose` gives the mail: CRLF line ends, no body line that starts with a dot. It is
    called once, just before the bytes leave, so that a connection has one in memory.
    `letter` gives the same mail in parts, for providers' APIs; SMTP needs none.
    """

    delivery_id: int
    sender: str
    recipient: str
    compose: Callable[[], bytes]
    letter: Callable[[], Letter] | None = None


class Transport(Protocol):
    def hand_over(self, mails: Iterable[Mail]) -> Iterator[tuple[int, Outcome]]: ...
    def close(self) -> None: ...


@lru_cache(maxsize=MOST_PIECES)
def plain(piece: bytes) -> str:
    """Return a quoted-printable piece as text with LF line ends."""
    return binascii.a2b_qp(piece).decode().replace("\r\n", "\n")


@lru_cache(maxsize=MOST_PIECES)
def in_json(piece: bytes) -> bytes:
    """Return a quoted-printable piece as the inside of a JSON string (RFC 8259), UTF-8."""
    return inside(plain(piece))


def inside(text: str) -> bytes:
    return json.dumps(text, ensure_ascii=False)[1:-1].encode()


def as_text(pieces: Iterable[bytes]) -> str:
    return "".join(map(plain, pieces))


def as_json(pieces: Iterable[bytes]) -> bytes:
    return b"".join(map(in_json, pieces))
