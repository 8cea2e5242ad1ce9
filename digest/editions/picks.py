"""Read and write the picks of a ledger row: enough to rebuild the same mail.

The form is `0:12 3:- 7:12 de/titles@1f2e3d4c5b6a`: for each pick the block's position and
the topic's column, then the language, the length unless it is the usual one, and the
fingerprint of the frame.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from digest.editions.compose import EncodedEdition, Pick, Reader

WRITTEN = re.compile(r"((?:\d+:(?:\d+|-) )+)([a-z-]{2,8})(?:/([a-z]+))?@([0-9a-f]+)")


USUAL = "short"


class Places(dict[Pick, str]):
    """A cache of picks as written; an edition has a few thousand different ones at most."""

    def __missing__(self, pick: Pick) -> str:
        topic = "-" if pick.topic is None else pick.topic
        self[pick] = f"{pick.position}:{topic}"
        return self[pick]


PLACES = Places()


@dataclass(frozen=True, slots=True)
class StoredDigest:
    picks: Sequence[Pick]
    language: str
    length: str
    fingerprint: str


def format_picks(encoded: EncodedEdition, reader: Reader, picks: Sequence[Pick]) -> str:
    """Return the picks as stored; empty when the edition has no paper for the reader."""
    if not picks:
        return ""
    places = " ".join(map(PLACES.__getitem__, picks))
    length = "" if reader.length == USUAL else f"/{reader.length}"
    return f"{places} {reader.language}{length}@{encoded.fingerprint}"


def parse_picks(text: str) -> StoredDigest | None:
    """Parse stored picks. Return None for a row that holds no digest."""
    found = WRITTEN.fullmatch(text)
    if not found:
        return None
    pairs = [place.split(":") for place in found[1].split()]
    picks = [
        Pick(int(position), None if topic == "-" else int(topic))
        for position, topic in pairs
    ]
    return StoredDigest(picks, found[2], found[3] or USUAL, found[4])
