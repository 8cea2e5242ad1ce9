"""The fence's third witness: Redis remembers its numbers for the senders of all machines.

Each is one sorted set, with a member for each database. Redis may be down, full or emptied at
any time: then this witness is absent, and senders go on by the database and by their own
disk. It is told the number again by the next commit of intents.
"""

import logging
import time
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

logger = logging.getLogger(__name__)

KEY, SENT_UNTIL = "daily-papers:high-water", "daily-papers:sent-until"
# Seconds. A Redis that does not answer must not slow the senders: it is left alone for a while.
PATIENCE = 0.5
REST = 10.0
# A sorted set holds doubles: whole numbers are exact below this, and no count is above it.
MOST = 2**53


class Witness:
    """One Redis as a process sees it; none where no REDIS_URL is set."""

    def __init__(self, url: str) -> None:
        self.client = (
            redis.Redis.from_url(
                url,
                socket_timeout=PATIENCE,
                socket_connect_timeout=PATIENCE,
                decode_responses=True,
                retry=Retry(NoBackoff(), 0),
            )
            if url
            else None
        )
        self.absent_until = 0.0

    def ask[T](self, question: Callable[[redis.Redis], T], absent: T) -> T:
        """Return the answer, or `absent` when there is none."""
        if self.client is None or time.monotonic() < self.absent_until:
            return absent
        try:
            return question(self.client)
        except (redis.RedisError, OSError, ValueError) as error:
            words = f"{type(error).__name__}: {error}"
            logger.warning("Redis remembers no number of commits: %s", words)
            self.absent_until = time.monotonic() + REST
            return absent


@cache
def witness(url: str) -> Witness:
    return Witness(url)


def known(key: str = KEY) -> dict[str, int]:
    """Return the number of each database by its identity; empty when Redis is absent."""
    return witness(settings.REDIS_URL).ask(partial(numbers, key=key), {})


def numbers(client: redis.Redis, *, key: str) -> dict[str, int]:
    found: Any = client.zrange(key, 0, -1, withscores=True)
    return {identity: int(score) for identity, score in found if 0 <= score < MOST}


def tell(identity: str, count: int, *, key: str = KEY) -> int:
    """Tell Redis the number, and return the highest that it knows; 0 when it is absent."""

    def highest(client: redis.Redis) -> int:
        # One command: 1 says that no higher number was there (GT needs Redis 6.2).
        if client.zadd(key, {identity: count}, gt=True, ch=True):
            return count
        return numbers(client, key=key).get(identity, 0)

    return witness(settings.REDIS_URL).ask(highest, 0)


def refused(client: redis.Redis) -> str:
    """Return why this Redis takes no number: an old one, or rights; empty if it does."""
    try:
        for key in (KEY, SENT_UNTIL):
            # XX changes only a member that is there, and none has this name.
            client.zadd(key, {"": 0}, xx=True, gt=True)
            numbers(client, key=key)
    except (redis.ResponseError, ValueError) as error:
        return str(error)
    return ""
