"""Turn a reader's written interests and likes into directions, stored ready to multiply.

The tick computes them, not a sender; null marks a reader whose directions are stale.
The stored bytes are the projection's version (4 bytes), the number of likes (2 bytes), and
then a record per direction: its kind (1 byte), what it is of (4 bytes), scale and offset
(float32), and the weights as signed bytes. One record per written interest, one for all
likes together, and one for the point of each of the newest liked papers.
"""

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from enum import IntEnum
from functools import lru_cache
from itertools import islice

import numpy as np
from django.db import transaction
from django.db.models import Count, Max
from numpy.typing import NDArray

from digest.models import Paper, StoredProjection, Vote
from digest.ranking import sentences
from digest.ranking.interests import wanted, written
from digest.ranking.projections import current
from digest.ranking.vectors import (
    DIMENSIONS,
    Crowd,
    Direction,
    Projection,
)
from subscribers.models import Subscriber

Floats = NDArray[np.float32]

MOST_INTERESTS = 5
MOST_LIKES = 300  # the newest; likes of years ago no longer count
LEAST_RECENT, MOST_RECENT = 500, 1500  # papers that likes are told apart from
HEADER = struct.Struct("<4sh")
RECORD = struct.Struct(f"<BIff{DIMENSIONS}s")
BEYOND_ALL = 2**63 - 1  # no reader has this id
FOLLOW = 50  # readers whose directions follow a refit, at each tick
NAMED_LIKES = 20  # the newest liked papers, one of which a reason can name


class Kind(IntEnum):
    WRITTEN = 0  # from the reader's own words
    LIKED = 1  # from papers that they voted for, less those voted against
    LIKE = 2  # the point of one paper that they voted for
    DISLIKED = 3  # from papers that they voted against, where they voted for none


@dataclass(frozen=True, slots=True)
class Directions:
    """The directions of many readers, one row each; `reader` is the row's reader."""

    reader: NDArray[np.int32]  # (M,), ascending
    kind: NDArray[np.int8]  # (M,)
    of: NDArray[np.uint32]  # (M,): which of `interests_of`; of a LIKE the paper's key
    packed: NDArray[np.int8]  # M × DIMENSIONS, in units of `scale`
    scale: Floats  # (M,)
    offset: Floats  # (M,)
    likes: NDArray[np.int32]  # (N,): papers liked; -n for n disliked and none liked

    def weights(self, rows: NDArray[np.intp]) -> Floats:
        """Return the weights of some directions (rows × DIMENSIONS).

        Damaged bytes can give NaN or infinity.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            found: Floats = self.packed[rows].astype(np.float32) * self.scale[rows, None]
        return found


def interests_of(text: str, keywords: Sequence[str] = ()) -> list[str]:
    """Return the interests in what a reader wrote, or their keywords where that is nothing."""
    return (written(text) or list(keywords))[:MOST_INTERESTS]


def pack(
    version: str, likes: int, directions: Iterable[tuple[Kind, int, Direction]]
) -> bytes:
    """Return the stored form of (kind, what it is of, direction); empty when there is none."""
    records = []
    for kind, of, direction in directions:
        scale = float(np.abs(direction.weights).max()) / 127 or 1.0
        weights = np.round(direction.weights / np.float32(scale)).astype(np.int8)
        records.append(RECORD.pack(kind, of, scale, direction.offset, weights.tobytes()))
    header = HEADER.pack(bytes.fromhex(version), max(min(likes, 0x7FFF), -0x7FFF))
    return header + b"".join(records) if records else b""


LAYOUT = np.dtype(
    [
        ("kind", "i1"),
        ("of", "<u4"),
        ("scale", "<f4"),
        ("offset", "<f4"),
        ("weights", "i1", DIMENSIONS),
    ]
)


def versions(stored: Sequence[bytes | None]) -> set[str]:
    """Return the versions of the projections that the directions were computed with."""
    return {mark.hex() for mark in {one[:4] for one in stored if one}}


def unpack(
    stored: Sequence[bytes | None], version: str, places: Iterable[int] | None = None
) -> Directions | None:
    """Return the directions of a slice of readers; None if no reader has any.

    With `places` only those of the readers there. Directions of another projection are left out.
    """
    mark = bytes.fromhex(version)
    kept = [
        (reader, one)
        for reader in (range(len(stored)) if places is None else places)
        if (one := stored[reader])
        and one[:4] == mark
        and not (len(one) - HEADER.size) % RECORD.size
    ]
    if not kept:
        return None
    likes = np.zeros(len(stored), dtype=np.int32)
    for reader, one in kept:
        likes[reader] = HEADER.unpack_from(one)[1]
    records = b"".join([memoryview(one)[HEADER.size :] for _, one in kept])
    table = np.frombuffer(records, dtype=LAYOUT)
    counts = [len(one) // RECORD.size for _, one in kept]
    return Directions(
        reader=np.repeat(np.array([reader for reader, _ in kept], np.int32), counts),
        kind=table["kind"],
        of=table["of"],
        packed=table["weights"],
        scale=table["scale"].astype(np.float32),
        offset=table["offset"].astype(np.float32),
        likes=likes,
    )


def compute(subscriber: Subscriber, projection: Projection) -> bytes:
    """Return what to store for this reader's words and votes as they are now."""
    encode = sentences.encode()
    found = [
        (Kind.WRITTEN, place, direction)
        for place, text in enumerate(
            interests_of(subscriber.interests, subscriber.keywords)
        )
        if (direction := projection.interest(wanted(text)[0], encode))
    ]
    votes = Vote.objects.filter(subscriber=subscriber).order_by("-at", "-pk")
    values = dict(votes.values_list("paper_id", "value")[:MOST_LIKES])
    texts = Paper.objects.filter(pk__in=values).values_list("pk", "title", "abstract")
    points = {pk: projection.paper(title, abstract) for pk, title, abstract in texts}
    liked, disliked = (
        {pk: points[pk] for pk in values if values[pk] == value and points[pk].any()}
        for value in (Vote.Value.MORE, Vote.Value.LESS)
    )
    if liked:
        away = np.stack(list(disliked.values())) if disliked else None
        likes = recent(projection).liking(np.stack(list(liked.values())), away)
        found.append((Kind.LIKED, 0, likes))
        newest = islice(liked.items(), NAMED_LIKES)
        found += [(Kind.LIKE, pk, Direction(point, 0)) for pk, point in newest]
    elif disliked:
        dislikes = recent(projection).liking(np.stack(list(disliked.values())))
        found.append((Kind.DISLIKED, 0, dislikes))
    return pack(projection.version, len(liked) or -len(disliked), found)


def recent(projection: Projection) -> Crowd:
    """Return the papers of the last months, or past ones while there are few.

    Their points are computed once a day and process, in about 0.3 s.
    """
    papers = Paper.objects.filter(is_sample=False)
    found = papers.aggregate(newest=Max("day"), count=Count("pk"))
    if found["count"] < LEAST_RECENT:
        return Crowd(projection.background.points)
    return crowd_before(projection, found["newest"])


@lru_cache(maxsize=2)
def crowd_before(projection: Projection, newest: date) -> Crowd:
    texts = Paper.objects.filter(is_sample=False, day__lte=newest).order_by("-day", "pk")
    points = [
        projection.paper(title, abstract)
        for title, abstract in texts.values_list("title", "abstract")[:MOST_RECENT]
    ]
    return Crowd(np.stack(points))


def refresh(most: int = 500) -> int:
    """Compute the stale directions of at most `most` readers; return their number.

    Each reader's row is locked meanwhile, as by votes and changes of preferences, so the
    result is of the newest words and votes. After a refit the others follow.
    """
    stale = Subscriber.objects.filter(directions__isnull=True).order_by("pk")
    ids = list(stale.values_list("pk", flat=True)[:most])
    projection = current()
    count = sum(compute_again(pk, projection, stale=True) for pk in ids)
    return count + follow_refit(projection)


def follow_refit(projection: Projection, most: int = FOLLOW) -> int:
    """Compute directions by another projection anew for some readers; return their number.

    Goes on after the last reader of the time before; does nothing when all have followed.
    """
    rows = StoredProjection.objects.filter(version=projection.version)
    row = rows.defer("content").first()  # it has megabytes, and this runs at each tick
    if row is None:
        return 0
    readers = Subscriber.objects.filter(pk__gt=row.refreshed_to).order_by("pk")
    known = readers.exclude(directions=b"").exclude(directions=None)
    ids = list(known.values_list("pk", flat=True)[:most])
    count = sum(compute_again(pk, projection) for pk in ids)
    # Who comes later begins with this projection: no tick looks through the readers again.
    reached = ids[-1] if len(ids) == most else BEYOND_ALL
    rows.filter(refreshed_to__lt=reached).update(refreshed_to=reached)
    return count


@transaction.atomic
def compute_again(pk: int, projection: Projection, *, stale: bool = False) -> bool:
    """Compute a reader's directions; False if that is done, or the reader gone."""
    reader = Subscriber.objects.select_for_update().filter(pk=pk).first()
    if reader is None or (stale and reader.directions is not None):
        return False
    mark = bytes.fromhex(projection.version)
    if reader.directions is not None and bytes(reader.directions[:4]) == mark:
        return False
    reader.directions = compute(reader, projection)
    reader.save(update_fields=["directions"])
    return True
