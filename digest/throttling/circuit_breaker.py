"""Stop sending to a relay or domain that keeps failing, for longer after each failure.

One row for each relay or provider, one for each receiving domain. Kept in the database, so
that all senders on all machines rest together. Rows lose no attempt by it, as the fault is
not theirs. While a relay rests, others that serve the same domain take its mail.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db import transaction

from digest.logs import alert
from digest.models import BackOff
from digest.transport import relays
from digest.transport.relays import MAIN

logger = logging.getLogger(__name__)

FIRST_REST = timedelta(seconds=5)
LONGEST_REST = timedelta(minutes=5)
# Ticks try again every ten seconds: after this, nothing is due that could be tried.
TRIED_WITHIN = timedelta(minutes=1)
ALARM_EVERY = timedelta(hours=1)

# Pause a domain when its deferrals exceed its answers by this many.
MOST_FAILURES = 5
FIRST_DOMAIN_REST = timedelta(seconds=30)
LONGEST_DOMAIN_REST = timedelta(minutes=30)
# How long the one mail that tries a domain after its rest may take.
PROBE = timedelta(minutes=3)
# Forget a domain after so long without trouble.
FORGOTTEN = timedelta(days=1)


@dataclass(frozen=True)
class Rest:
    """The relay could not be used when it was last tried."""

    relay: str
    until: datetime
    failures: int
    cause: str

    def __str__(self) -> str:
        return (
            f"{relays.called(self.relay)} cannot be used ({self.failures} times in a row), "
            f"tried again at {self.until:%Y-%m-%d %H:%M:%S}Z: {self.cause}"
        )


def key(relay: str) -> str:
    """Return the name of a relay's row; that of the main one is as it was before others."""
    return BackOff.PROVIDER if relay == MAIN else f"{BackOff.PROVIDER}{relay}"


def relay_of(name: str) -> str:
    """Return the relay that a row's name is of; empty for a domain's."""
    return name[1:] or MAIN if name.startswith(BackOff.PROVIDER) else ""


def read() -> tuple[dict[str, BackOff], dict[str, BackOff]]:
    """Return the back-offs of relays by their names, and those of domains, in one query."""
    domains = {one.name: one for one in BackOff.objects.all()}
    known = {relay_of(name): name for name in domains if relay_of(name)}
    return {relay: domains.pop(name) for relay, name in known.items()}, domains


def is_open(now: datetime) -> bool:
    """Return whether nothing may be handed over to the main relay or provider."""
    return BackOff.objects.filter(pk=key(MAIN), resting_until__gt=now).exists()


def rests(now: datetime) -> list[Rest]:
    """Return the rests that senders keep, or that have ended a moment ago without a trial."""
    names = {key(relay): relay for relay in relays.configured()}
    rows = BackOff.objects.filter(pk__in=names, resting_until__gt=now - TRIED_WITHIN)
    return [
        Rest(names[row.name], row.resting_until, row.failures, row.cause)
        for row in rows.order_by("name")
        if row.resting_until
    ]


def stopped(now: datetime) -> list[Rest]:
    """Return the rests of all relays if none that serves a domain takes mail, else nothing."""
    found = rests(now)
    return found if relays.in_use() <= {rest.relay for rest in found} else []


class Failure(NamedTuple):
    """Why a relay cannot be used.

    `asked` is a Retry-After in seconds (RFC 9110 section 10.2.3), the least that it rests.
    """

    cause: str
    asked: float = 0.0
    relay: str = MAIN


def trip(now: datetime, *failures: Failure) -> None:
    """Stop all senders: for 5 s after the first failure, twice as long after each further one.

    The operator is told of each only when all are noted: that others take its mail would not
    be true where they have failed, too.
    """
    noted = [(row, one) for one in failures if (row := note(one, now))]
    for row, one in noted:
        if may_alarm(row, now):
            called = relays.called(one.relay).capitalize()
            waits = what_waits(one.relay, now)
            alert(f"{called} cannot be used, and {waits}: {one.cause}")


def note(failure: Failure, now: datetime) -> BackOff | None:
    """Let the relay rest; return its row, or None where another sender has just done so."""
    row, _ = BackOff.objects.get_or_create(
        pk=key(failure.relay), defaults={"changed_at": now}
    )
    rest = doubled(FIRST_REST, row.failures, most=LONGEST_REST)
    called, cause = relays.called(failure.relay), failure.cause
    logger.warning("%s cannot be used, senders rest for %s: %s", called, rest, cause)
    tripped = BackOff.objects.filter(pk=row.name, failures=row.failures).update(
        failures=row.failures + 1,
        rests=row.failures + 1,
        resting_until=now + max(rest, timedelta(seconds=failure.asked)),
        cause=cause[:500],
        changed_at=now,
    )
    return row if tripped else None


def what_waits(relay: str, now: datetime) -> str:
    """Return in words what becomes of a resting relay's mail."""
    resting = {rest.relay for rest in rests(now)}
    routes = [set(serving) for serving in relays.by_domain().values() if relay in serving]
    waiting = [serving <= resting for serving in routes]
    if not any(waiting):
        return "others that serve the same domains take its mail meanwhile"
    if stopped(now) or all(waiting):
        return "mail waits until it can"
    return "mail that no other relay serves waits until it can"


def may_alarm(row: BackOff, now: datetime) -> bool:
    """Return True for one sender in an hour, so that a relay that flaps is told of once."""
    if row.alarmed_at and abs(now - row.alarmed_at) < ALARM_EVERY:
        return False
    same = BackOff.objects.filter(pk=row.name, alarmed_at=row.alarmed_at)
    return bool(same.update(alarmed_at=now))


def reset(relay: str = MAIN) -> None:
    """End the rest: the relay accepts again. When it was told of stays known."""
    known = BackOff.objects.filter(pk=key(relay), failures__gt=0)
    if known.update(failures=0, rests=0, resting_until=None, cause=""):
        logger.warning("%s can be used again", relays.called(relay))


def reset_all() -> None:
    """End the rests of relays and domains, as the operator asks for."""
    for relay in relays.configured():
        reset(relay)
    BackOff.objects.exclude(name__startswith=BackOff.PROVIDER).delete()


def end_rest(name: str) -> bool:
    """End the rest of a relay or of one domain, by its row's name. False if it has none."""
    if relay := relay_of(name):
        rested = BackOff.objects.filter(pk=name, resting_until__isnull=False).exists()
        reset(relay)
        return rested
    return bool(BackOff.objects.filter(pk=name).delete()[0])


def doubled(first: timedelta, times: int, *, most: timedelta) -> timedelta:
    return min(first * (1 << min(times, 10)), most)


def put_off(
    failures: Mapping[str, int],
    now: datetime,
    *,
    probed: set[str],
    causes: Mapping[str, str] | None = None,
) -> None:
    """Count deferrals by domain and pause a domain that has too many.

    `causes` are the last words of each.

    A domain that rests already is not made to rest longer by mails that were on their
    way, only by the one that was to try it (`probed`).
    """
    for domain, count in sorted(failures.items()):
        with transaction.atomic():
            rest, _ = BackOff.objects.select_for_update().get_or_create(
                pk=domain, defaults={"changed_at": now}
            )
            rest.failures += count
            rest.changed_at = now
            rest.cause = (causes or {}).get(domain, rest.cause)[:500]
            tries = domain in probed or not rest.rests_at(now)
            if rest.failures >= MOST_FAILURES and tries:
                length = doubled(FIRST_DOMAIN_REST, rest.rests, most=LONGEST_DOMAIN_REST)
                rest.resting_until = now + length
                rest.rests += 1
                if rest.rests == 1:
                    logger.warning("%s puts us off: its mails wait, others go on", domain)
            rest.save()


def answered(domains: set[str]) -> None:
    """Forget the rests of domains that take mail, or refuse it for good."""
    for rest in BackOff.objects.filter(pk__in=domains):
        domain = rest.name  # deleting takes the key from the row
        if rest.delete()[0] and rest.rests:
            logger.warning("%s takes mail again", domain)


def may_probe(rest: BackOff, now: datetime) -> bool:
    """Return True for the one sender that may try one mail after a rest."""
    return bool(
        BackOff.objects.filter(pk=rest.pk, resting_until=rest.resting_until).update(
            resting_until=now + PROBE, changed_at=now
        )
    )


def give_back(rest: BackOff, now: datetime) -> None:
    """End the wait of others for a trial that sent nothing, so that the next sender tries."""
    mine = BackOff.objects.filter(pk=rest.pk, resting_until=rest.resting_until)
    mine.update(resting_until=now, changed_at=now)
    rest.resting_until = now


def forget(now: datetime) -> None:
    """Delete what has made no trouble for a day and does not rest (a provider may ask for more)."""
    quiet = BackOff.objects.filter(changed_at__lt=now - FORGOTTEN)
    quiet.exclude(resting_until__gt=now).delete()
