"""The input and output of every transport: a line of mails, each composed when its turn comes.

A mail travels whole over SMTP and in parts to providers' APIs. Pieces that readers share
are turned into text or JSON once and then only looked up.
"""

import binascii
import json
import math
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple, Protocol

from digest.transport.outcomes import Outcome

# More than the pieces of a few editions; a reader's own pieces pass through.
MOST_PIECES = 32_768


@dataclass(frozen=True, slots=True)
class Letter:
    """One reader's digest; `text` and `html` are quoted-printable pieces that readers share.

    In the pieces a mark stands for each value of the reader's own: a byte that neither
    quoted-printable nor UTF-8 holds.
    """

    sent_at: datetime  # the intent's instant, UTC
    own: Mapping[str, str]  # header fields of this mail, Subject and To among them
    shared: Mapping[str, str]  # those of all mails of the edition, From among them
    text: Sequence[bytes]
    html: Sequence[bytes]
    values: Mapping[bytes, bytes]  # in the pieces, by mark; in quoted-printable as well


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
def plain(piece: bytes) -> bytes:
    """Return a quoted-printable piece in UTF-8 with LF line ends. Marks stay what they are."""
    return binascii.a2b_qp(piece).replace(b"\r\n", b"\n")


@lru_cache(maxsize=MOST_PIECES)
def in_json(piece: bytes) -> bytes:
    """Return a quoted-printable piece as the inside of a JSON string (RFC 8259), UTF-8.

    Marks stay what they are.
    """
    return inside(plain(piece).decode(errors="surrogateescape"))


def inside(text: str) -> bytes:
    return json.dumps(text, ensure_ascii=False)[1:-1].encode(errors="surrogateescape")


def as_text(pieces: Iterable[bytes], values: Mapping[bytes, bytes]) -> str:
    # Decoded last: while a mark is in it, a str takes two bytes a character.
    text = b"".join(map(plain, pieces))
    for mark, value in values.items():
        text = text.replace(mark, plain(value))
    return text.decode(errors="surrogateescape")


def as_json(pieces: Iterable[bytes], values: Mapping[bytes, bytes]) -> bytes:
    text = b"".join(map(in_json, pieces))
    for mark, value in values.items():
        text = text.replace(mark, in_json(value))
    return text


# Seconds that one look is good for. A fast line sends a submit group in less; a look costs
# a thousandth of a second.
FRESH = 0.2

# Which of these deliveries may still be handed over.
Look = Callable[[Collection[int]], Collection[int]]


class Line:
    """Mails whose intents are committed; those that are no longer wanted drop out.

    They are looked at before the first is taken, as a reader may have left beside the commit,
    and again when the last look is too old, so that one who leaves while the line turns slow
    gets no mail that has not begun. What was never taken had no byte leave the machine.
    """

    def __init__(self, mails: Iterable[Mail], look: Look | None = None) -> None:
        self.mails = deque(mails)
        self.look = look
        self.dropped: set[int] = set()  # deliveries that nobody wanted when looked at
        self.looked_at = -math.inf

    def __len__(self) -> int:
        return len(self.mails)

    def __iter__(self) -> Iterator[Mail]:
        """Take one mail after the other."""
        while mail := self.take():
            yield mail

    @property
    def fresh(self) -> bool:
        return self.look is None or time.monotonic() - self.looked_at < FRESH

    def take(self) -> Mail | None:
        """Return the next mail, to be begun at once; None if none is left."""
        if self.mails and self.look and not self.fresh:
            self.looked_at = time.monotonic()
            waiting = {mail.delivery_id for mail in self.mails}
            self.dropped |= waiting - set(self.look(waiting))
            rest = (mail for mail in self.mails if mail.delivery_id not in self.dropped)
            self.mails = deque(rest)
        return self.mails.popleft() if self.mails else None

    def put_back(self, mail: Mail) -> None:
        """Put the mail first in line: the server has not answered to its envelope."""
        self.mails.appendleft(mail)

    def stop(self) -> None:
        """Drop what is left. Others may take from it meanwhile: each mail is theirs or dropped."""
        with suppress(IndexError):
            while True:
                self.dropped.add(self.mails.popleft().delivery_id)

    def drain(self) -> Iterator[Mail]:
        """Yield what is left, without another look: none of it will begin."""
        while self.mails:
            yield self.mails.popleft()


def line_of(mails: Iterable[Mail]) -> Line:
    """Return the line itself, or a new one of these mails without a look."""
    return mails if isinstance(mails, Line) else Line(mails)
