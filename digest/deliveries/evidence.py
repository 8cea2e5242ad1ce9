"""What the ledger knows of the relay: asked only when mails are refused.

A run of a sender lasts seconds and may see one or two mails. Whether their refusals are
the relay's shows in what was refused and taken before, by any sender.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db.models import Max, Q, QuerySet

from digest.models import Delivery, DeliveryEvent, Edition
from digest.throttling.domains import domain_of
from digest.transport.outcomes import RELAY_REFUSES, Outcome, Verdict

JUST_NOW = timedelta(minutes=10)
# What was refused longer ago is not judged again: most of it would be too late.
LATELY = timedelta(days=1)
MOST = NEWEST = 1000
# An address that was put back until its mail was too late is remembered for so long, and
# only while these are few: more is a relay that was ill.
REMEMBERED = timedelta(days=3)
FEW_ADDRESSES = 10
CAME_TO_NOTHING = {Delivery.State.EXPIRED, Delivery.State.REFUSED}
SENDER = DeliveryEvent.Source.SENDER


class Taken(NamedTuple):
    """When a mail was accepted, and when its hand-over had begun."""

    outcome_at: datetime
    intent_at: datetime


@dataclass(frozen=True)
class Evidence:
    """What was taken and refused before this group, for throttling/relay.py.

    By one relay, where there are several.
    """

    editions: Collection[int]
    clock: Callable[[], datetime]
    relay: str = ""

    def took_others(self) -> bool:
        """Return whether any sender has had a mail accepted just now."""
        newest = self.newest()
        return bool(newest and newest.outcome_at >= self.clock() - JUST_NOW)

    def newest(self) -> Taken | None:
        """Return the newest acceptance, of these editions and those published lately."""
        lately = Q(pk__in=self.editions) | Q(published_at__gte=self.clock() - LATELY)
        rows = [newest_accepted(one, self.relay) for one in Edition.objects.filter(lately)]
        found = [
            Taken(row.outcome_at, row.intent_at)
            for row in rows
            if row and row.outcome_at and row.intent_at
        ]
        return max(found, default=None)

    def refused_before(self) -> Iterator[tuple[int, str, Outcome]]:
        """Yield (delivery id, domain, outcome) of what was refused since a mail was taken.

        Oldest first, without those that had been put back once: see `answered_for`.
        """
        since = self.clock() - LATELY
        if not self.refusals(since).exists():
            return
        newest = self.newest()
        since = max(since, newest.outcome_at) if newest else since
        put_back = DeliveryEvent.objects.filter(at__gte=since, reason=RELAY_REFUSES)
        rows = self.refusals(since).exclude(delivery__in=put_back.values("delivery"))
        found = rows.order_by("-at", "-pk").values_list(
            "delivery", "delivery__subscriber__email", "reason", "reply"
        )
        for pk, address, reason, reply in reversed(found[:MOST]):
            yield pk, domain_of(address or ""), Outcome(Verdict.REFUSED, reason, reply)

    def refusals(self, since: datetime) -> QuerySet[DeliveryEvent]:
        """Select the refusals that stand, each with its row (index delivery_event_lately)."""
        found = DeliveryEvent.objects.filter(
            kind=Verdict.REFUSED,
            at__gt=since,
            source=SENDER,
            delivery__state=Delivery.State.REFUSED,
        ).exclude(email_hash="")
        return found.filter(delivery__relay=self.relay) if self.relay else found

    def answered_for(self, ids: Collection[int]) -> set[int]:
        """Return those that were put back, and others were taken since: it is not the relay.

        Without it, a few dead addresses in a row would wait until they expire, and at the
        end of each day again: what is known of a reader's last mails counts, too.
        """
        # By the intent: an outcome may be recorded after it, and have come before.
        newest = self.newest()
        if newest is None:
            return set()
        known = self.remembered(ids)
        mails = {pk: pk for pk in ids} | known
        put_back = Q(delivery__in=mails, reason=RELAY_REFUSES)
        refused = Q(delivery__in=known, source=SENDER, kind=Verdict.REFUSED)
        events = DeliveryEvent.objects.filter(put_back | refused).order_by()
        last = events.values_list("delivery").annotate(Max("at"))
        return {mails[pk] for pk, at in last if pk and newest.intent_at >= at}

    def remembered(self, ids: Collection[int]) -> dict[int, int]:
        """Return the mails of these readers that came to nothing, each with its new one.

        Of no reader who was served meanwhile, and none at all if more than a few mails
        became too late by the relay's fault: then it was ill.
        """
        since = self.clock() - REMEMBERED
        new = {
            row.subscriber_id: row.pk
            for row in Delivery.objects.filter(pk__in=ids)
            if row.subscriber_id
        }
        editions = Edition.objects.filter(published_at__gte=since)
        rows = list(
            Delivery.objects.filter(
                edition__in=list(editions), subscriber__in=list(new)
            ).exclude(pk__in=ids)
        )
        served = {row.subscriber_id for row in rows if row.state == Delivery.State.ACCEPTED}
        old = {
            row.pk: new[row.subscriber_id]
            for row in rows
            if row.subscriber_id
            and row.state in CAME_TO_NOTHING
            and row.subscriber_id not in served
        }
        if not old:
            return {}
        late = DeliveryEvent.objects.filter(
            kind__in=[Verdict.RETRY, Delivery.State.PENDING],
            at__gte=since,
            reason=RELAY_REFUSES,
            delivery__state=Delivery.State.EXPIRED,
        ).order_by()
        others = late.values_list("delivery__subscriber").distinct()[:FEW_ADDRESSES]
        return old if len(others) < FEW_ADDRESSES else {}


def newest_accepted(edition: Edition, relay: str = "") -> Delivery | None:
    """Return the row that was accepted last, by the index delivery_outcome.

    If a relay is named, by that one, and among the last NEWEST outcomes: no proof is better
    than a look at a whole edition.
    """
    known = Delivery.objects.filter(edition=edition, outcome_at__isnull=False)
    if relay:
        last = known.order_by("-outcome_at").values("pk")[:NEWEST]
        known = Delivery.objects.filter(pk__in=list(last.values_list("pk", flat=True)))
        known = known.filter(relay=relay)
    handed_over = known.filter(state=Delivery.State.ACCEPTED, intent_at__isnull=False)
    return handed_over.order_by("-outcome_at").first()
