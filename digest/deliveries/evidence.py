"""What the ledger knows of the relay: asked only when mails are refused.

A run of a sender lasts seconds and may see one or two mails. Whether their refusals are
the relay's shows in what was refused and taken before, by any sender.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Max, Q, QuerySet

from digest.models import Delivery, DeliveryEvent, Edition
from digest.throttling.domains import domain_of
from digest.transport.outcomes import RELAY_REFUSES, Outcome, Verdict

JUST_NOW = timedelta(minutes=10)
# What was refused longer ago is not judged again: most of it would be too late.
LATELY = timedelta(days=1)
MOST = 1000


@dataclass(frozen=True)
class Evidence:
    """What was taken and refused before this group, for throttling/relay.py."""

    editions: Collection[int]
    clock: Callable[[], datetime]

    def took_others(self) -> bool:
        """Return whether any sender has had a mail accepted just now."""
        return self.accepted().filter(outcome_at__gte=self.clock() - JUST_NOW).exists()

    def last_taken(self) -> datetime | None:
        """Return when the newest acceptance of a digest was recorded."""
        return self.newest_accepted("outcome_at")

    def newest_accepted(self, column: str) -> datetime | None:
        at: datetime | None = self.accepted().aggregate(at=Max(column))["at"]
        return at

    def accepted(self) -> QuerySet[Delivery]:
        """Select what was accepted of these editions and those published lately."""
        lately = Q(pk__in=self.editions) | Q(published_at__gte=self.clock() - LATELY)
        editions = list(Edition.objects.filter(lately).values_list("pk", flat=True))
        return Delivery.objects.filter(edition__in=editions, state=Delivery.State.ACCEPTED)

    def refused_before(self) -> Iterator[tuple[int, str, Outcome]]:
        """Yield (delivery id, domain, outcome) of what was refused since a mail was taken.

        Oldest first, without those that had been put back once: see `answered_for`.
        """
        since = self.clock() - LATELY
        if not self.refusals(since).exists():
            return
        since = max(since, self.last_taken() or since)
        put_back = DeliveryEvent.objects.filter(at__gte=since, reason=RELAY_REFUSES)
        rows = self.refusals(since).exclude(delivery__in=put_back.values("delivery"))
        found = rows.order_by("-at", "-pk").values_list(
            "delivery", "delivery__subscriber__email", "reason", "reply"
        )
        for pk, address, reason, reply in reversed(found[:MOST]):
            yield pk, domain_of(address or ""), Outcome(Verdict.REFUSED, reason, reply)

    def refusals(self, since: datetime) -> QuerySet[DeliveryEvent]:
        """Select the refusals that stand, each with its row (index delivery_event_lately)."""
        return DeliveryEvent.objects.filter(
            kind=Verdict.REFUSED,
            at__gt=since,
            source=DeliveryEvent.Source.SENDER,
            delivery__state=Delivery.State.REFUSED,
        ).exclude(email_hash="")

    def answered_for(self, ids: Collection[int]) -> set[int]:
        """Return those that were put back, and others were taken since: it is not the relay.

        Without it, a few dead addresses in a row would wait until they expire.
        """
        put_back = DeliveryEvent.objects.filter(delivery__in=ids, reason=RELAY_REFUSES)
        last = dict(put_back.values_list("delivery").order_by().annotate(Max("at")))
        # By the intent: an outcome may be recorded after it, and have come before.
        begun = self.newest_accepted("intent_at") if last else None
        return {pk for pk, at in last.items() if begun and begun >= at}
