"""The operator's hands on an edition: count it, pause it, resume it, cancel it.

A hold is looked at in every commit of intents, so it holds for each hand-over after it.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Count, Min, QuerySet
from django.db.models.functions import Greatest

from digest.deliveries import history
from digest.models import Delivery, DeliveryEvent, Edition
from digest.throttling import circuit_breaker
from subscribers.models import Subscriber, Suppression

State = Delivery.State
# What is sent again gets this long at least, however late it is.
RETRY_FOR = timedelta(hours=6)
BATCH = 1000


@dataclass(frozen=True)
class Account:
    """An edition's rows at one instant: `states` has every state, and sums to `eligible`."""

    eligible: int
    states: dict[str, int]


def account(edition: Edition) -> Account:
    """Count an edition's rows by state in one statement: none is counted twice or missed."""
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


def resume(edition: Edition, *, now: datetime) -> bool:
    """Go on with what is open, and let no alarm pause it again.

    False if it was not paused: a cancelled one stays so.
    """
    paused = Edition.objects.filter(pk=edition.pk, hold=Edition.Hold.PAUSED)
    return bool(paused.update(hold=Edition.Hold.NONE, hold_reason="", resumed_at=now))


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
    return rows.update(
        state=State.SKIPPED, reason=Delivery.Reason.CANCELLED, outcome_at=now
    )


def why_waiting(editions: QuerySet[Edition], now: datetime) -> list[str]:
    """Say why rows of these editions are still open: one line for each cause."""
    rows = Delivery.objects.filter(is_open=True, edition__in=editions)
    found = [
        f"{edition} is {edition.hold}: {edition.hold_reason or 'no reason given'}; "
        f"`manage.py edition {edition.day} resume` lets a paused one go on"
        for edition in Edition.objects.filter(
            pk__in=rows.values("edition"), hold__gt=Edition.Hold.NONE
        )
    ]
    rest = circuit_breaker.resting(now)
    if rest and rest.until > now and rows.exists():
        found.append(f"the provider cannot be used; senders rest until {at(rest.until)}")
    later = rows.filter(state=State.PENDING, not_before__gt=now).order_by("not_before")
    counted = later.values_list("reason").order_by("reason")
    for reason, count, first in counted.annotate(Count("pk"), Min("not_before")):
        words = f" ({reason})" if reason else ""
        found.append(f"{count} wait, the first until {at(first)}{words}")
    return found


def at(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M:%S}Z"


def retry_refused(edition: Edition, since: datetime, *, now: datetime) -> int:
    """Put back what was refused since then, and lift the bars that came with it.

    For when the relay refused us and readers were charged. Safe to repeat when it was cut
    short. Return how many rows are pending again.
    """
    rows = Delivery.objects.filter(
        edition=edition, state=State.REFUSED, outcome_at__gte=since
    ).order_by("pk")
    count = 0
    while moved := put_back(list(rows[:BATCH]), now=now):
        count += moved
    return count


@transaction.atomic
def put_back(found: list[Delivery], *, now: datetime) -> int:
    rows = Delivery.objects.filter(pk__in=[row.pk for row in found], state=State.REFUSED)
    refused = list(rows.select_for_update())
    source = DeliveryEvent.Source.OPERATOR
    history.note(
        refused, State.PENDING, source=source, reason=Delivery.Reason.SENT_AGAIN, now=now
    )
    lift_bars(refused)
    # Neither do they count as bounces any more.
    DeliveryEvent.objects.filter(
        delivery__in=refused, source=DeliveryEvent.Source.SENDER, kind=State.REFUSED
    ).update(email_hash="")
    return rows.update(
        state=State.PENDING,
        reason=Delivery.Reason.SENT_AGAIN,
        attempts=0,
        not_before=now,
        expires_at=Greatest("expires_at", now + RETRY_FOR),
        lease_token="",
        outcome_at=None,
    )


def lift_bars(refused: list[Delivery]) -> None:
    """Lift the suppressions that these very refusals made: they have the same instant."""
    bars = Suppression.objects.filter(
        reason=Suppression.Reason.BOUNCED,
        at__in={row.outcome_at for row in refused},
        email_hash__in=Subscriber.objects.filter(
            pk__in=[row.subscriber_id for row in refused]
        ).values("email_hash"),
    )
    bars.delete()
