"""Receiving domains: mails to one that rests, or is over its limit, wait; others go on.

A Gate looks at each submit group before its intents and after its outcomes. Where no
domain has made trouble and none is limited it does nothing and costs nothing.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

from digest.editions.compose import Reader
from digest.models import BackOff, Delivery
from digest.sql import among
from digest.throttling import circuit_breaker, rate
from digest.transport.base import Mail
from digest.transport.outcomes import Outcome, without_addresses

# Ticks wake senders every ten seconds: a bucket must hold what came in between.
HOLDS = 15.0
# Mails that stand behind one that tries a domain come back after it has its answer.
BEHIND_PROBE = timedelta(seconds=30)
# Why a row stood in line, for a domain's rate or a relay's.
LINES = (Delivery.Reason.DOMAIN_LIMIT, Delivery.Reason.RELAY_LIMIT)


class Addressed(Protocol):
    """A digest, as far as a Gate looks at it."""

    @property
    def reader(self) -> Reader: ...


class Wait(NamedTuple):
    """Why a claimed row is not handed over yet, and until when."""

    until: datetime
    reason: Delivery.Reason


@dataclass(slots=True)
class Gate:
    """What may pass at `now`; `waits` are the rows that may not, by delivery id."""

    now: datetime
    rests: Mapping[str, BackOff] = field(default_factory=dict)
    limits: Mapping[str, float] = field(default_factory=dict)
    waits: dict[int, Wait] = field(default_factory=dict)
    probed: set[str] = field(default_factory=set)
    jitter: Callable[[], float] = random.random

    def passing[D: Addressed](self, digests: Sequence[D]) -> Sequence[D]:
        """Return the digests that may be handed over now, in their order."""
        if not self.rests and not self.limits:
            return digests
        by_domain = defaultdict(list)
        for digest in digests:
            by_domain[domain_of(digest.reader.address)].append(digest.reader.delivery_id)
        for domain in by_domain.keys() & (self.rests.keys() | self.limits.keys()):
            waiting = self.rest(domain, by_domain[domain])
            if domain in self.limits and not waiting:
                limit = rate.Limit(f"to {domain}", self.limits[domain], HOLDS)
                self.limit(limit, by_domain[domain], Delivery.Reason.DOMAIN_LIMIT)
        return [one for one in digests if one.reader.delivery_id not in self.waits]

    def rest(self, domain: str, rows: Sequence[int]) -> bool:
        """Hold back the rows of a domain that rests; after it, all but one that tries it."""
        rest = self.rests.get(domain)
        if rest is None or rest.resting_until is None:
            return False
        until, spread = rest.resting_until, (rest.resting_until - self.now) / 2
        if until <= self.now:
            until, spread = self.now + BEHIND_PROBE, BEHIND_PROBE
            if domain not in self.probed and circuit_breaker.may_probe(rest, self.now):
                self.probed.add(domain)
                rows = rows[1:]
        for row in rows:
            self.waits[row] = Wait(
                until + self.jitter() * spread, Delivery.Reason.DOMAIN_RESTS
            )
        return True

    def limit(
        self, limit: rate.Limit, rows: Sequence[int], reason: Delivery.Reason
    ) -> None:
        """Hold back what is over the limit, each row until its place in the line.

        Who has stood in line goes first, and nobody passes by it. In which line does not
        matter: who met two limits would else lose its place in one while it stands in the
        other, and go after all who met one.
        """
        first = rows
        if rate.line(limit, now=self.now):
            stood = Delivery.objects.filter(pk__in=among(rows), reason__in=LINES)
            first = sorted(stood.values_list("pk", flat=True))
        tokens = rate.take(limit, len(first), now=self.now).tokens if first else 0
        go = set(first[:tokens])
        late = [row for row in rows if row not in go]
        if late:
            places = rate.queue(limit, len(late), now=self.now)
            self.waits |= {
                row: Wait(at, reason) for row, at in zip(late, places, strict=True)
            }

    def judge(self, mails: Mapping[int, Mail], outcomes: Mapping[int, Outcome]) -> None:
        """Learn which domains put us off from a group's outcomes by delivery id."""
        if not self.rests and not any(one.domain_fault for one in outcomes.values()):
            return
        failed, fine = Counter[str](), Counter[str]()
        causes: dict[str, str] = {}
        for pk, outcome in outcomes.items():
            if outcome.domain_fault:
                domain = domain_of(mails[pk].recipient)
                failed[domain] += 1
                causes[domain] = f"{outcome.reason} {without_addresses(outcome.reply)}"
            elif outcome.charged:
                fine[domain_of(mails[pk].recipient)] += 1
        more = {domain: failed[domain] - fine[domain] for domain in failed}
        worse = {domain: count for domain, count in more.items() if count > 0}
        circuit_breaker.put_off(worse, self.now, probed=self.probed, causes=causes)
        circuit_breaker.answered((fine.keys() - worse.keys()) & self.rests.keys())
        _, self.rests = circuit_breaker.read()  # what all senders have noted


def domain_of(address: str) -> str:
    return address.rpartition("@")[2].lower()
