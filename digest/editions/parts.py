"""One part of a mail, text or HTML, cut into encoded pieces around what stays open."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from digest.editions.words import MARKS

OPEN = re.compile(f"([{MARKS.token}{MARKS.count}{MARKS.ahead}{MARKS.web}{MARKS.more}])")
AHEAD = 3
# What the name of a mail's page takes, with its soft break, at most.
NAME_ROOM = 44


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


type Encoder = Callable[[str], bytes]  # to quoted-printable
type Place = tuple[int, int | None]  # of a pick: the block's position, the topic
# A block around its reason's label and, where its reader can vote, the name of the mail;
# the last piece is empty where there is no vote.
type EncodedBlock = tuple[bytes, bytes, bytes]


@dataclass(frozen=True, slots=True)
class Part:
    before: Pieces
    blocks: Sequence[EncodedBlock]
    after: Pieces
    has_votes: bool
    labels: Mapping[int | None, bytes]  # of reasons, by topic column; None for trending
    titles: Sequence[bytes]  # of a block, as one of the next picks
    ahead: bytes  # what stands before the titles of the next picks
    nothing_ahead: bytes
    size: int  # of the frame
    sizes: Sequence[int]  # of each block, with the longest label

    def join(self, picks: Sequence[Place], values: Mapping[str, bytes]) -> list[bytes]:
        """The part's pieces in order; `values` by mark."""
        name = values[MARKS.web] if self.has_votes else b""
        blocks, labels = self.blocks, self.labels
        pieces = self.before.filled(values)
        for position, topic in picks:
            opening, middle, closing = blocks[position]
            pieces += (opening, labels[topic], middle, name, closing)
        pieces += self.after.filled(values)
        return pieces

    def looking_ahead(self, picks: Sequence[Place]) -> bytes:
        if len(picks) == 1:
            return self.nothing_ahead
        titles = self.titles
        following = [titles[position] for position, _ in picks[1 : AHEAD + 1]]
        return b"".join([self.ahead, *following])

    def fits(self, room: int) -> int:
        """How many picks have room for sure, whichever they are; in bytes."""
        for count, size in enumerate(sorted(self.sizes, reverse=True)):
            room -= size
            if room < 0:
                return count
        return len(self.sizes)


def pieces(text: str, encode: Encoder) -> Pieces:
    """Text with marks, encoded."""
    found = OPEN.split(text)
    fixed = [encode(piece) for piece in found[0::2]]
    places = [b""] * len(found)
    places[0::2] = fixed
    marks = [(2 * number + 1, mark) for number, mark in enumerate(found[1::2])]
    return Pieces(places, marks)


def encoded_block(block: str, encode: Encoder) -> EncodedBlock:
    opening, rest = block.split(MARKS.reason)
    middle, _, closing = rest.partition(MARKS.web)
    return encode(opening), encode(middle), encode(closing)


def part(
    frame: str,
    blocks: Iterable[tuple[str, str]],
    labels: Sequence[str],
    *,
    encode: Encoder,
    ahead: str = "",
    nothing_ahead: str = "",
) -> Part:
    """`blocks` each with its title as one of the next picks; the last label: trending."""
    before, after = (pieces(text, encode) for text in frame.split(MARKS.papers))
    known = [(encoded_block(block, encode), encode(title)) for block, title in blocks]
    *topics, trending = map(encode, labels)
    fixed = sum(map(len, [*before.fixed, *after.fixed]))
    following = sorted((len(title) for _, title in known), reverse=True)[:AHEAD]
    personal = max(map(len, [*topics, trending])) + NAME_ROOM
    return Part(
        before=before,
        blocks=[block for block, _ in known],
        after=after,
        has_votes=any(closing for (_, _, closing), _ in known),
        labels={**dict(enumerate(topics)), None: trending},
        titles=[title for _, title in known],
        ahead=encode(ahead),
        nothing_ahead=encode(nothing_ahead),
        size=fixed + sum(following),
        sizes=[sum(map(len, block)) + personal for block, _ in known],
    )
