"""Circuit breakers: who cannot be used, or puts us off, is left alone, longer each time.

One for the provider, one for each receiving domain. Kept in the database, so that all
senders on all machines rest together. Rows lose no attempt by it, as the fault is not
theirs.
"""

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta

from django.db import transaction

from digest.models import DomainRest, HighWater

logger = logging.getLogger(__name__)

FIRST_REST = timedelta(seconds=5)
LONGEST_REST = timedelta(minutes=5)

# A domain that has put us off so many times more than it has answered is given a rest.
MOST_FAILURES = 5
FIRST_DOMAIN_REST = timedelta(seconds=30)
LONGEST_DOMAIN_REST = timedelta(minutes=30)
# How long the one mail that tries a domain after its rest may take.
PROBE = timedelta(minutes=3)
# A domain that nobody has had trouble with for so long is forgotten.
FORGOTTEN = timedelta(days=1)


def is_open(mark: HighWater, now: datetime) -> bool:
    return mark.resting_until is not None and mark.resting_until > now


def trip(now: datetime, *, asked: float = 0.0) -> None:
    """Rest: 5 s after the first failure, twice as long after each further one.

    `asked` is a Retry-After in seconds (RFC 9110 section 10.2.3): at least so long.
    """
    mark = HighWater.objects.get(pk=1)
    rest = doubled(FIRST_REST, mark.failures, most=LONGEST_REST)
    if mark.failures == 0:
        logger.error("the provider cannot be used: senders rest, and will try again")
    HighWater.objects.filter(pk=1, failures=mark.failures).update(
        failures=mark.failures + 1,
        resting_until=now + max(rest, timedelta(seconds=asked)),
    )


def reset() -> None:
    """The provider accepts again."""
    if HighWater.objects.filter(pk=1, failures__gt=0).update(
        failures=0, resting_until=None
    ):
        logger.warning("the provider can be used again")


def doubled(first: timedelta, times: int, *, most: timedelta) -> timedelta:
    return min(first * (1 << min(times, 10)), most)


def put_off(failures: Mapping[str, int], now: datetime, *, probed: set[str]) -> None:
    """Count refusals by domain; one that has had enough of us is given a rest.

    A domain that rests already is not made to rest longer by mails that were on their
    way, only by the one that was to try it (`probed`).
    """
    for domain, count in sorted(failures.items()):
        with transaction.atomic():
            rest, _ = DomainRest.objects.select_for_update().get_or_create(
                domain=domain, defaults={"changed_at": now}
            )
            rest.failures += count
            rest.changed_at = now
            resting = rest.resting_until is not None and rest.resting_until > now
            if rest.failures >= MOST_FAILURES and (domain in probed or not resting):
                length = doubled(FIRST_DOMAIN_REST, rest.rests, most=LONGEST_DOMAIN_REST)
                rest.resting_until = now + length
                rest.rests += 1
                if rest.rests == 1:
                    logger.warning("%s puts us off: its mails wait, others go on", domain)
            rest.save()


def answered(domains: set[str]) -> None:
    """These domains take mail, or refuse it for good: nothing to wait for."""
    for rest in DomainRest.objects.filter(pk__in=domains):
        domain = rest.domain
        if rest.delete()[0] and rest.rests:
            logger.warning("%s takes mail again", domain)


def may_probe(rest: DomainRest, now: datetime) -> bool:
    """After a rest one sender may try one mail: the first who says so."""
    return bool(
        DomainRest.objects.filter(pk=rest.pk, resting_until=rest.resting_until).update(
            resting_until=now + PROBE, changed_at=now
        )
    )


def forget(now: datetime) -> None:
    DomainRest.objects.filter(changed_at__lt=now - FORGOTTEN).delete()
