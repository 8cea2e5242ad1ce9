"""The circuit breaker: a provider that cannot be used is left alone, longer each time.

Kept in the database, so that all senders on all machines rest together. Rows lose no
attempt by it, as the fault is not theirs.
"""

import logging
from datetime import datetime, timedelta

from digest.models import HighWater

logger = logging.getLogger(__name__)

FIRST_REST = timedelta(seconds=5)
LONGEST_REST = timedelta(minutes=5)


def is_open(mark: HighWater, now: datetime) -> bool:
    return mark.resting_until is not None and mark.resting_until > now


def trip(now: datetime) -> None:
    """Rest: 5 s after the first failure, twice as long after each further one."""
    mark = HighWater.objects.get(pk=1)
    rest = min(FIRST_REST * 2 ** min(mark.failures, 10), LONGEST_REST)
    if mark.failures == 0:
        logger.error("the provider cannot be used: senders rest, and will try again")
    HighWater.objects.filter(pk=1, failures=mark.failures).update(
        failures=mark.failures + 1, resting_until=now + rest
    )


def reset() -> None:
    """The provider accepts again."""
    if HighWater.objects.filter(pk=1, failures__gt=0).update(
        failures=0, resting_until=None
    ):
        logger.warning("the provider can be used again")
