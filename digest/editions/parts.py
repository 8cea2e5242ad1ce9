"""One part of a mail, text or HTML, cut into encoded pieces around what stays open."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from digest.editions import wire
from digest.editions.words import MARKS

OPEN = re.compile(f"([{MARKS.token}{MARKS.count}{MARKS.ahead}{MARKS.web}{MARKS.more}])")
AHEAD = 3


class Picked(Protocol):
    """One paper at one place; topic None means trending."""

    @property
    def position(self) -> int: ...
    @property
    def topic(self) -> int | None: ...


@dataclass(frozen=True, slots=True)
class Pieces:
    """Encoded text; at `open` (places, marks) it waits for a value."""

    fixed: Sequence[bytes]
    open: Sequence[tuple[int, str]]

    def filled(self, values: Mapping[str, bytes]) -> list[bytes]:
        pieces = list(self.fixed)
        for place, mark in self.open:
            pieces[place] = values[mark]
        return pieces


@dataclass(frozen=True, slots=True)
class EncodedBlock:
    """A block around its reason; `reasons` by topic column, the last for trending."""

    opening: bytes
    reasons: Sequence[bytes]
    closing: bytes
    ahead: bytes  # the title among those of the next picks
    size: int  # with the longest reason


@dataclass(frozen=True, slots=True)
class Part:
    before: Pieces
    blocks: Sequence[EncodedBlock]
    after: Pieces
    ahead: bytes  # what stands before the titles of the next picks
    nothing_ahead: bytes
    size: int  # of the frame

    def join(
        self, picks: Sequence[Picked], values: Mapping[str, bytes], more: bytes
    ) -> list[bytes]:
        blocks = self.blocks
        following = [blocks[pick.position].ahead for pick in picks[1 : AHEAD + 1]]
        ahead = b"".join([self.ahead, *following]) if following else self.nothing_ahead
        values = {**values, MARKS.ahead: ahead, MARKS.more: more}
        pieces = self.before.filled(values)
        for pick in picks:
            block = blocks[pick.position]
            reason = block.reasons[-1 if pick.topic is None else pick.topic]
            pieces += (block.opening, reason, block.closing)
        return pieces + self.after.filled(values)


def pieces(text: str) -> Pieces:
    """Text with marks, encoded."""
    found = OPEN.split(text)
    fixed = [wire.quoted_printable(piece) for piece in found[0::2]]
    places = [b""] * len(found)
    places[0::2] = fixed
    marks = [(2 * number + 1, mark) for number, mark in enumerate(found[1::2])]
    return Pieces(places, marks)


def encoded_block(block: str, reasons: Sequence[bytes], *, ahead: str) -> EncodedBlock:
    opening, closing = (wire.quoted_printable(piece) for piece in block.split(MARKS.reason))
    title = wire.quoted_printable(ahead)
    size = len(opening) + len(closing) + max(map(len, reasons))
    return EncodedBlock(opening, reasons, closing, title, size)


def part(
    frame: str, blocks: Sequence[EncodedBlock], *, ahead: str, nothing_ahead: str
) -> Part:
    before, after = map(pieces, frame.split(MARKS.papers))
    fixed = sum(map(len, [*before.fixed, *after.fixed]))
    following = sorted((len(block.ahead) for block in blocks), reverse=True)[:AHEAD]
    return Part(
        before=before,
        blocks=blocks,
        after=after,
        ahead=wire.quoted_printable(ahead),
        nothing_ahead=wire.quoted_printable(nothing_ahead),
        size=fixed + sum(following),
    )
