"""Token buckets that all senders share: in Redis, and in the database while Redis is away.

A bucket is one number, the instant at which it is full again: taking moves that on, time
does the rest. A bucket that nobody knows (of a flushed Redis, say) is empty. Who finds
Redis away says so in the database, where everybody looks first. So both give tokens at
once only to senders that had just looked, and a change between them, once a minute at
most, lets through what a bucket holds.
"""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

import redis
from django.conf import settings
from django.db import transaction
from redis.backoff import NoBackoff
from redis.retry import Retry

from digest.models import Bucket

logger = logging.getLogger(__name__)

# How long senders take from the database before they ask Redis again.
AWAY = timedelta(minutes=1)
# Senders' instants differ by what lies between reading the clock and getting here.
SKEW = 10_000_000
# Nobody stands in line for longer: then an edition is too late.
LONGEST_LINE = timedelta(days=3)
SECOND = 1_000_000  # the arithmetic is in microseconds, in Redis as in Python
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
    moment = microseconds(now)
    in_use = Bucket.objects.filter(name=limit.name, in_use_until__gt=now).exists()
    if not in_use:
        try:
            values = [moment, limit.cost, limit.depth, wanted]
            tokens, wait = script(url())(keys=[f"pace:{limit.name}"], args=values)
            return Grant(int(tokens), float(wait) / SECOND)
        except redis.RedisError:
            pass
    return take_from_database(limit, wanted, now=now, redis_failed=not in_use)


def take_from_database(
    limit: Limit, wanted: int, *, now: datetime, redis_failed: bool
) -> Grant:
    with transaction.atomic():
        bucket, _ = Bucket.objects.select_for_update().get_or_create(
            name=limit.name, defaults={"full_at": now, "in_use_until": EPOCH}
        )
        known = bucket.in_use_until > now - AWAY
        full_at, grant = pour(
            microseconds(bucket.full_at) if known else None,
            limit,
            wanted,
            moment=microseconds(now),
        )
        bucket.full_at = EPOCH + MICROSECOND * round(full_at)
        if redis_failed:
            bucket.in_use_until = now + AWAY
            if not known:
                logger.warning("Redis is away: %s is kept in the database", limit.name)
        bucket.save()
    return grant


def pour(
    full_at: float | None, limit: Limit, wanted: int, *, moment: float
) -> tuple[float, Grant]:
    """Return when the bucket is full after this, and its grant; POUR is the same in Lua."""
    cost, depth = limit.cost, limit.depth
    empty = moment + depth
    # Further ahead than that, the clock was set back: it must not close the bucket.
    if full_at is None or full_at > empty + SKEW:
        full_at = empty
    full_at = max(full_at, moment)
    if wanted < 0:
        return max(full_at + wanted * cost, moment), Grant(0)
    there = (empty - full_at) / cost
    handful = min(wanted, max(1, int(depth / cost / 2)))
    if there + 1e-6 < handful:
        return full_at, Grant(0, (handful - there) * cost / SECOND)
    tokens = min(wanted, int(there + 1e-6))
    return full_at + tokens * cost, Grant(tokens)


POUR = """
local moment, cost, depth, wanted = unpack(ARGV)
moment, cost, depth, wanted = moment + 0, cost + 0, depth + 0, wanted + 0
local empty = moment + depth
local full_at = tonumber(redis.call('GET', KEYS[1]) or empty)
if not full_at or not (full_at <= empty + 1e7) then
    full_at = empty
end
full_at = math.max(full_at, moment)
local tokens, wait = 0, 0
if wanted < 0 then
    full_at = math.max(full_at + wanted * cost, moment)
else
    local there = (empty - full_at) / cost
    local handful = math.min(wanted, math.max(1, math.floor(depth / cost / 2)))
    if there + 1e-6 < handful then
        wait = (handful - there) * cost
    else
        tokens = math.min(wanted, math.floor(there + 1e-6))
        full_at = full_at + tokens * cost
    end
end
redis.call('SET', KEYS[1], string.format('%.0f', full_at),
    'PX', math.ceil((full_at - moment + 2 * depth) / 1000) + 60000)
return {tokens, string.format('%.0f', wait)}
"""


def url() -> str:
    return settings.REDIS_URL or f"unix://{settings.REDIS_SOCKET}"


@lru_cache(maxsize=1)
def script(address: str) -> "redis.commands.core.Script":
    """Return the script on a connection of this process, which waits a second at most."""
    client = redis.Redis.from_url(
        address, socket_timeout=1, socket_connect_timeout=1, retry=Retry(NoBackoff(), 0)
    )
    return client.register_script(POUR)


def line(limit: Limit, *, now: datetime) -> bool:
    """Return whether any mail stands in line for tokens to come."""
    return Bucket.objects.filter(name=f"line {limit.name}", full_at__gt=now).exists()


def queue(limit: Limit, count: int, *, now: datetime) -> list[datetime]:
    """Reserve `count` places at the end of the line and return their instants.

    In the database only, as the line is an estimate and no promise.
    """
    with transaction.atomic():
        bucket, _ = Bucket.objects.select_for_update().get_or_create(
            name=f"line {limit.name}", defaults={"full_at": now, "in_use_until": EPOCH}
        )
        end = min(max(bucket.full_at, now), now + LONGEST_LINE)
        places = [end + place * limit.cost * MICROSECOND for place in range(1, count + 1)]
        bucket.full_at = places[-1]
        bucket.save()
    return places


def microseconds(instant: datetime) -> float:
    return (instant - EPOCH) / MICROSECOND
