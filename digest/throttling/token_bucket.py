"""Token buckets that all senders share, one row of the database each.

A bucket is one number, the instant at which it is full again: taking moves that on, time
does the rest. A bucket that nobody knows is empty. A look that brings nothing writes nothing,
so senders that wait do not stand in each other's way.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db import transaction

from digest.models import Bucket

# Senders' instants differ by what lies between reading the clock and getting here.
SKEW = 10_000_000
# Nobody stands in line for longer: then an edition is too late.
LONGEST_LINE = timedelta(days=3)
SECOND = 1_000_000  # the arithmetic is in microseconds
MICROSECOND = timedelta(microseconds=1)
EPOCH = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True)
class Limit:
    """A bucket's name, its tokens a second, and how many seconds' worth it holds."""

    name: str
    rate: float
    holds: float = 1.0

    @property
    def cost(self) -> float:
        """Return the microseconds until a token has come."""
        return SECOND / self.rate

    @property
    def depth(self) -> float:
        """Return the microseconds until an empty bucket is full: one token at least."""
        return max(self.holds * SECOND, self.cost)


@dataclass(frozen=True, slots=True)
class Grant:
    """So many tokens, or the seconds to wait until it is worth asking again."""

    tokens: int
    wait: float = 0.0


def take(limit: Limit, wanted: int, *, now: datetime) -> Grant:
    """Grant up to `wanted` tokens, or none while the bucket is less than half full.

    So senders take handfuls, not single mails. A negative `wanted` gives tokens back.
    """
    known = Bucket.objects.filter(pk=limit.name).first()
    if known is not None:
        full_at, grant = pour(known.full_at, limit, wanted, now=now)
        if full_at == known.full_at:
            return grant
    with transaction.atomic():
        bucket, _ = Bucket.objects.select_for_update().get_or_create(
            pk=limit.name, defaults={"full_at": now + limit.depth * MICROSECOND}
        )
        bucket.full_at, grant = pour(bucket.full_at, limit, wanted, now=now)
        bucket.save()
    return grant


def pour(
    full_at: datetime, limit: Limit, wanted: int, *, now: datetime
) -> tuple[datetime, Grant]:
    """Return when the bucket is full after this, and its grant."""
    cost, depth, moment = limit.cost, limit.depth, microseconds(now)
    empty = moment + depth
    full = max(microseconds(full_at), moment)
    # Further ahead than that, the clock was set back: it must not close the bucket.
    if full > empty + SKEW:
        full = empty
    tokens, wait = 0, 0.0
    if wanted < 0:
        full = max(full + wanted * cost, moment)
    else:
        there = (empty - full) / cost
        handful = min(wanted, max(1, int(depth / cost / 2)))
        if there + 1e-6 < handful:
            wait = (handful - there) * cost / SECOND
        else:
            tokens = min(wanted, int(there + 1e-6))
            full += tokens * cost
    return EPOCH + MICROSECOND * round(full), Grant(tokens, wait)


def line(limit: Limit, *, now: datetime) -> bool:
    """Return whether any mail stands in line for tokens to come."""
    return Bucket.objects.filter(name=f"line {limit.name}", full_at__gt=now).exists()


def queue(limit: Limit, count: int, *, now: datetime) -> list[datetime]:
    """Reserve `count` places at the end of the line and return their instants.

    In the database only, as the line is an estimate and no promise.
    """
    with transaction.atomic():
        bucket, _ = Bucket.objects.select_for_update().get_or_create(
            name=f"line {limit.name}", defaults={"full_at": now}
        )
        end = min(max(bucket.full_at, now), now + LONGEST_LINE)
        places = [end + place * limit.cost * MICROSECOND for place in range(1, count + 1)]
        bucket.full_at = places[-1]
        bucket.save()
    return places


def microseconds(instant: datetime) -> float:
    return (instant - EPOCH) / MICROSECOND
