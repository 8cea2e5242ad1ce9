"""Read and write the picks of a ledger row: enough to rebuild the same mail.

The form is `0:12 3:- 7:12+0+1 de/titles@1f2e3d4c5b6a`: for each pick the block's position
and the topic's column, then the language, the length unless it is the usual one, and the
fingerprint of the frame. A letter after the column is the ranking that the pick comes from,
where two are compared. The numbers after a plus sign are reasons that name something: each is
a line that follows, from line 0. An announcement has no picks.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from digest.editions.compose import EncodedEdition, Pick, Reader
from digest.editions.reasons import Reason, format_reasons, parse_reason

FIRST_LINE = re.compile(
    r"((?:\d+:(?:\d+|-)[ab]?(?:\+\d+)* )*)([a-z-]{2,8})(?:/([a-z]+))?@([0-9a-f]+)"
)
USUAL = "short"


class Places(dict[tuple[int, int | None], str]):
    """A cache of picks as written; an edition has a few thousand different ones at most."""

    def __missing__(self, place: tuple[int, int | None]) -> str:
        position, topic = place
        self[place] = f"{position}:{'-' if topic is None else topic}"
        return self[place]


PLACES = Places()


@dataclass(frozen=True, slots=True)
class StoredDigest:
    picks: Sequence[Pick]
    language: str
    length: str
    fingerprint: str


def format_picks(encoded: EncodedEdition, reader: Reader, picks: Sequence[Pick]) -> str:
    """Return the picks as stored; empty when the edition has no mail for the reader."""
    if not encoded.is_mail(reader, picks):
        return ""
    lines: dict[Reason, int] = {}
    places = []
    for position, topic, reasons, team in picks:
        place = PLACES[position, topic] + team
        for reason in reasons:
            place += f"+{lines.setdefault(reason, len(lines))}"
        places.append(place)
    length = "" if reader.length == USUAL else f"/{reader.length}"
    first = " ".join([*places, f"{reader.language}{length}@{encoded.fingerprint}"])
    return first + format_reasons(list(lines)) if lines else first


def parse_picks(text: str) -> StoredDigest | None:
    """Parse stored picks. Return None for a row that holds no digest."""
    first, *lines = text.split("\n")
    if not (found := FIRST_LINE.fullmatch(first)):
        return None
    try:
        reasons = [parse_reason(line) for line in lines]
        picks = [parse_place(place, reasons) for place in found[1].split()]
    except (ValueError, IndexError):
        return None
    return StoredDigest(picks, found[2], found[3] or USUAL, found[4])


def parse_place(place: str, reasons: Sequence[Reason]) -> Pick:
    """Parse `7:12b+0+1`. Raises IndexError for a reason that is not there."""
    position, _, rest = place.partition(":")
    topic, *numbers = rest.split("+")
    named = tuple(reasons[int(number)] for number in numbers)
    column = topic.rstrip("ab")
    return Pick(
        int(position), None if column == "-" else int(column), named, topic[len(column) :]
    )
