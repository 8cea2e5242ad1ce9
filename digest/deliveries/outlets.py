"""Outlets: the relays as one sender uses them, and which of them takes which mail.

A mail goes by the first relay that serves its recipient's domain and can be used. It is
decided before the intent, which names the relay: what has an intent goes by no other until
that one has said no. With one relay there is nothing to decide.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import batched

from django.conf import settings

from digest.models import BackOff, Delivery
from digest.throttling import circuit_breaker, rate
from digest.throttling.domains import HOLDS, Addressed, Gate, Wait, domain_of
from digest.throttling.relay import SEVERAL, Relay
from digest.transport import relays
from digest.transport.base import Transport
from digest.transport.open import open_transport

Clock = Callable[[], datetime]

SLICE = 1000
SLICE_GROUPS = 10
# How long one of several relays may take mails of a slice while the others wait for it.
SHARE_SECONDS = 10.0
# What waits for a relay comes back spread over so long.
SPREAD = timedelta(seconds=10)


class BatchSizer:
    """The number of mails between two looks at holds and consent: about a second's worth.

    A pause or an unsubscribe so reaches a slow line as soon as a fast one.
    """

    SECONDS, GROWTH = 1.0, 4

    def __init__(self) -> None:
        self.group = min(max(2 * settings.SEND_CONNECTIONS, SEVERAL), settings.SUBMIT_GROUP)

    @property
    def slice(self) -> int:
        """Return how many rows to claim at once; a slow line leaves the rest to others."""
        return min(SLICE, SLICE_GROUPS * self.group)

    def learn(self, mails: int, seconds: float) -> None:
        """Fit the group to the seconds that the last one took, up to SUBMIT_GROUP."""
        if mails:
            fitting = int(mails * self.SECONDS / max(seconds, 0.001))
            most = min(settings.SUBMIT_GROUP, self.group * self.GROWTH)
            self.group = min(max(fitting, 1), most)


@dataclass
class Outlet:
    """One relay: the way to it, how fast it is, and what it said of us."""

    name: str
    transport: Transport
    batch_sizer: BatchSizer = field(default_factory=BatchSizer)
    relay: Relay = field(default_factory=Relay)
    spent: float = 0.0  # seconds of this slice
    took: bool = False  # a mail of this slice
    tries: bool = False  # it after a rest, for all senders
    began: bool = False  # to hand over a mail of this slice

    def learn(self, mails: int, seconds: float) -> None:
        self.batch_sizer.learn(mails, seconds)
        self.spent += seconds
        self.began |= mails > 0


class Outlets:
    """The relays of one run, by name, in their order."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.all = {
            name: Outlet(name, open_transport(name)) for name in relays.configured()
        }
        self.rests: Mapping[str, BackOff] = {}

    @property
    def group(self) -> int:
        return max(outlet.batch_sizer.group for outlet in self.all.values())

    @property
    def slice(self) -> int:
        """Return how many rows to claim at once."""
        return max(outlet.batch_sizer.slice for outlet in self.all.values())

    def begin(self, rests: Mapping[str, BackOff]) -> bool:
        """Begin a slice with what all senders know. False if no relay takes mail."""
        self.rests = rests
        for outlet in self.all.values():
            outlet.spent, outlet.took, outlet.tries = 0.0, False, False
            outlet.began = False
        return self.left()

    def left(self) -> bool:
        """Return whether any relay takes mail, as far as we know."""
        resting = {name for name, rest in self.rests.items() if rest.rests_at(self.clock())}
        return any(
            outlet.tries or name not in resting
            for name, outlet in self.all.items()
            if not outlet.relay.cause
        )

    def shared[D: Addressed](
        self, digests: Sequence[D], gate: Gate
    ) -> Iterator[tuple[Outlet, Sequence[D]]]:
        """Yield the digests in groups, each with the relay that is to take it.

        What was meant for a relay that fell ill meanwhile goes by the next one. What none
        can take waits, and what a slow one had no time for: others must not wait for it.
        """
        if len(self.all) == 1 and not settings.RELAY_RATES:
            for outlet in self.all.values():
                yield outlet, digests
            return
        while digests:
            by_relay, digests = self.routed(digests, gate), []
            for name, some in by_relay.items():
                outlet, some = self.all[name], self.within_rate(name, some, gate)
                for group in batched(some, outlet.batch_sizer.group, strict=False):
                    if outlet.relay.cause:
                        digests = [*digests, *group]
                    elif outlet.spent > SHARE_SECONDS:
                        self.put_off(group, self.clock(), gate)
                    else:
                        yield outlet, group

    def routed[D: Addressed](self, digests: Sequence[D], gate: Gate) -> dict[str, list[D]]:
        """Return the digests by the relay that is to take them now; the others wait."""
        by_domain: dict[str, list[D]] = defaultdict(list)
        by_relay: dict[str, list[D]] = defaultdict(list)
        for digest in digests:
            by_domain[domain_of(digest.reader.address)].append(digest)
        for domain, some in by_domain.items():
            if name := self.serving(domain):
                by_relay[name] += some
            else:
                self.put_off(some, self.back_at(domain), gate)
        return by_relay

    def within_rate[D: Addressed](self, name: str, some: list[D], gate: Gate) -> list[D]:
        """Return what may go by the relay now; what is over its rate stands in line."""
        if number := settings.RELAY_RATES.get(name):
            ids = [digest.reader.delivery_id for digest in some]
            limit = rate.Limit(f"by {name}", number, HOLDS)
            gate.limit(limit, ids, Delivery.Reason.RELAY_LIMIT)
            some = [one for one in some if one.reader.delivery_id not in gate.waits]
        return some

    def serving(self, domain: str) -> str:
        """Return the relay that is to take the domain's mail now; empty if none can."""
        return next(filter(self.is_usable, relays.serving(domain)), "")

    def is_usable(self, name: str) -> bool:
        """Return whether the relay takes mail; after a rest one sender alone tries it."""
        outlet, rest = self.all[name], self.rests.get(name)
        if outlet.relay.cause or outlet.tries or not (rest and rest.resting_until):
            return not outlet.relay.cause
        if not rest.rests_at(now := self.clock()):
            outlet.tries = circuit_breaker.may_probe(rest, now)
            rest.resting_until = now + circuit_breaker.PROBE
        return outlet.tries

    def back_at(self, domain: str) -> datetime:
        """Return when the first of the domain's relays ends its rest."""
        soon = self.clock() + circuit_breaker.FIRST_REST
        rests = [self.rests[name] for name in relays.serving(domain) if name in self.rests]
        ends = [rest.resting_until for rest in rests if rest.resting_until]
        return max(soon, min(ends, default=soon))

    def put_off(self, digests: Sequence[Addressed], until: datetime, gate: Gate) -> None:
        """Let these wait, spread over some seconds after that."""
        for digest in digests:
            wait = Wait(until + gate.jitter() * SPREAD, Delivery.Reason.RELAY_WAITS)
            gate.waits[digest.reader.delivery_id] = wait

    def settle(self) -> bool:
        """Tell all senders which relays fell ill or are well again. False if none is left."""
        failures = [
            circuit_breaker.Failure(outlet.relay.cause, outlet.relay.asked, name)
            for name, outlet in self.all.items()
            if outlet.relay.cause
        ]
        if failures:
            circuit_breaker.trip(self.clock(), *failures)
        self.give_back()
        for name, outlet in self.all.items():
            is_well = outlet.took and not outlet.relay.cause
            if is_well and name in self.rests and self.rests[name].failures:
                circuit_breaker.reset(name)
        left = self.left()
        for outlet in self.all.values():
            if outlet.relay.cause:
                outlet.relay, outlet.batch_sizer = Relay(), BatchSizer()
        return left

    def give_back(self) -> None:
        """Let others try a relay after its rest where nothing went out by this sender.

        Its mails may have been skipped, held, or over a rate.
        """
        for name, outlet in self.all.items():
            if outlet.tries and not outlet.began and not outlet.relay.cause:
                circuit_breaker.give_back(self.rests[name], self.clock())
                outlet.tries = False

    def close(self) -> None:
        for outlet in self.all.values():
            outlet.transport.close()
