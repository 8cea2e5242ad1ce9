"""How many mails may go out now: token buckets, the installation's rate, and its warm-up.

A sender asks before it claims, and gives back what it did not need. Who gets no permits
claims nothing, so that the oldest due still goes first, whoever asks next.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import F

from digest.models import Bucket, WarmUpDay
from digest.transport.outcomes import Cause

logger = logging.getLogger(__name__)

# -- token buckets -----------------------------------------------------------------------

# All senders share a bucket, which is one row: the instant at which it is full again. Taking
# moves that on, time does the rest. A bucket that nobody knows is empty. A look that brings
# nothing writes nothing, so senders that wait do not stand in each other's way.


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


# -- what a sender asks for --------------------------------------------------------------

# SendGrid's automated warm-up of an address: 20 an hour on the first day, and each day
# 1.4 times as many, for 42 days (its "hourly send schedule"). Ours counts whole days.
FIRST_DAY = 20 * 24
GROWTH = 1.4
WARM_UP_DAYS = 42
# Longest wait in seconds; beyond it the sender exits and the next tick starts another.
LONGEST_WAIT = 60.0


@dataclass(frozen=True, slots=True)
class Permits:
    """So many mails may be claimed, or none for `wait` seconds."""

    mails: int
    wait: float = 0.0
    warm_up: date | None = None  # the day of the warm-up that they are counted on


def ask(wanted: int, clock: Callable[[], datetime]) -> Permits:
    """Return permits to claim up to `wanted` rows, without a query where nothing is limited.

    `clock` is a real one: a rate is of real time, whatever `deliver --now` pretends.
    """
    if not settings.SEND_RATE and not settings.WARM_UP_FROM:
        return Permits(wanted)
    now = clock()
    mails = wanted
    if limit := whole():
        grant = take(limit, wanted, now=now)
        if not grant.tokens:
            return Permits(0, grant.wait)
        mails = grant.tokens
    if not (most := cap(now)):
        return Permits(mails)
    left = count_in(mails, now.date(), most)
    if limit and left < mails:
        take(limit, left - mails, now=now)
    if not left:
        return Permits(0, (midnight(now) - now).total_seconds())
    return Permits(left, warm_up=now.date())


def wait_for(permits: Permits) -> bool:
    """Wait a second at most for permits. Return False if they are too far ahead."""
    if permits.wait > LONGEST_WAIT:
        return False
    time.sleep(min(permits.wait, 1.0))
    return True


def settle(permits: Permits, tally: Counter[str], clock: Callable[[], datetime]) -> None:
    """Give back unused permits: of rows that were missing, skipped or not tried.

    The warm-up counts what the provider accepted, or may have. A sender that dies before
    this has used up all its permits.
    """
    if (limit := whole()) and permits.mails:
        begun = sum(tally[word] for word in ("accepted", "refused", "retry", "unknown"))
        if unused := permits.mails - begun + tally[Cause.NOT_TRIED]:
            take(limit, -unused, now=clock())
    if permits.warm_up and (unused := permits.mails - tally["accepted"] - tally["unknown"]):
        WarmUpDay.objects.filter(pk=permits.warm_up, handed_over__gte=unused).update(
            handed_over=F("handed_over") - unused
        )


def whole() -> Limit | None:
    """Return the limit of the whole installation, or None."""
    return Limit("all", settings.SEND_RATE) if settings.SEND_RATE else None


def cap(now: datetime) -> int | None:
    """Return how many mails this UTC day of the warm-up allows, or None without one.

    Before its first day as on its first day: a date that lies ahead is no permits to burst.
    """
    if settings.WARM_UP_FROM is None:
        return None
    day = max((now.date() - settings.WARM_UP_FROM).days, 0)
    return int(FIRST_DAY * GROWTH**day) if day < WARM_UP_DAYS else None


def count_in(mails: int, day: date, most: int) -> int:
    """Count up to `mails` as handed over on that day and return how many fit the cap."""
    with transaction.atomic():
        row, _ = WarmUpDay.objects.select_for_update().get_or_create(pk=day)
        left = max(min(mails, most - row.handed_over), 0)
        if left:
            row.handed_over += left
            row.save()
            if row.handed_over >= most:
                logger.warning("warm-up: the %d mails of %s are used up", most, day)
    return left


def midnight(now: datetime) -> datetime:
    """Return the end of this UTC day."""
    return datetime(now.year, now.month, now.day, tzinfo=UTC) + timedelta(days=1)
