"""The operator's hands on an edition: count it, pause it, resume it, cancel it.

A hold is looked at in every commit of intents, so it holds for each hand-over after it.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Count

from digest.deliveries import bounces
from digest.models import Delivery, DeliveryEvent, Edition

State = Delivery.State
CANCELLED = "edition cancelled"
RESUMED = "resumed by the operator"
ALARMING = ("bounced", "complained")
LATELY = timedelta(hours=1)


@dataclass(frozen=True)
class Account:
    """An edition's rows at one instant: `states` has every state, and sums to `eligible`."""

    eligible: int
    states: dict[str, int]


def account(edition: Edition) -> Account:
    """Counted in one statement, so that no row is counted twice or missed."""
    rows = Delivery.objects.filter(edition=edition).values_list("state")
    counted = dict(rows.annotate(Count("pk")).order_by())
    states = {state.value: counted.get(state.value, 0) for state in State}
    return Account(sum(states.values()), states)


def pause(edition: Edition, reason: str) -> bool:
    """Start no new hand-over. False if it was held already."""
    return hold(edition, Edition.Hold.PAUSED, reason)


def hold(edition: Edition, kind: Edition.Hold, reason: str) -> bool:
    going = Edition.objects.filter(pk=edition.pk, hold=Edition.Hold.NONE)
    return bool(going.update(hold=kind, hold_reason=reason[:200]))


def resume(edition: Edition) -> bool:
    """Go on with what is open. False if it was not paused: a cancelled one stays so."""
    paused = Edition.objects.filter(pk=edition.pk, hold=Edition.Hold.PAUSED)
    return bool(paused.update(hold=Edition.Hold.NONE, hold_reason=RESUMED))


def cancel(edition: Edition, reason: str, *, now: datetime) -> int:
    """End it for good; how many open rows were skipped at once."""
    with transaction.atomic():
        Edition.objects.filter(pk=edition.pk).update(
            hold=Edition.Hold.CANCELLED, hold_reason=reason[:200]
        )
    return skip_cancelled(now)


def skip_cancelled(now: datetime) -> int:
    """End pending rows of cancelled editions: those that a sender gave back, too."""
    cancelled = Edition.objects.filter(hold=Edition.Hold.CANCELLED).values("pk")
    rows = Delivery.objects.filter(is_open=True, state=State.PENDING, edition__in=cancelled)
    return rows.update(state=State.SKIPPED, reason=CANCELLED, outcome_at=now)


def pause_alarming(now: datetime) -> list[Edition]:
    """Pause editions of which too many mails bounce or are reported as spam."""
    paused = []
    for edition in lately_reported(now):
        reason = bounces.alarm(toll(edition))
        # Once is enough: who has looked at it and resumed it knows better.
        if reason and edition.hold_reason != RESUMED and pause(edition, reason):
            paused.append(edition)
    return paused


def lately_reported(now: datetime) -> list[Edition]:
    """Editions that are not held, and of which mails bounced or were reported just now."""
    lately = DeliveryEvent.objects.filter(
        kind__in=ALARMING, at__gte=now - LATELY, delivery__isnull=False
    )
    ids = set(lately.values_list("delivery__edition", flat=True))
    return list(Edition.objects.filter(pk__in=ids, hold=Edition.Hold.NONE))


def toll(edition: Edition) -> bounces.Toll:
    """Each mail counts once; `accepted` is counted as far as it can matter."""
    events = DeliveryEvent.objects.filter(
        delivery__edition=edition, kind__in=ALARMING, at__gte=edition.published_at
    )
    count = dict(events.values_list("kind").annotate(Count("delivery", distinct=True)))
    bounced, complained = count.get("bounced", 0), count.get("complained", 0)
    accepted = Delivery.objects.filter(edition=edition, state=State.ACCEPTED)
    matters = bounces.most_that_matter(bounced, complained)
    return bounces.Toll(accepted[:matters].count(), bounced, complained)
