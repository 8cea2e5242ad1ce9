"""The operator's hands on an edition, on unknown hand-overs, and on a restored database.

A hold is looked at in every commit of intents, so it holds for each hand-over after it.
"""

import logging
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.db import transaction
from django.db.models import Count, Max, Min, Q, QuerySet
from django.db.models.functions import Greatest

from digest.deliveries import fencing, history
from digest.deliveries.plan import HORIZON, plan
from digest.deliveries.schedule import DAILY_LATENESS, release_at
from digest.models import Delivery, DeliveryEvent, Edition, Submission, folded
from digest.throttling import circuit_breaker
from digest.transport import relays
from digest.transport.outcomes import RELAY_REFUSES
from subscribers import webhooks
from subscribers.models import Subscriber, Suppression

logger = logging.getLogger(__name__)

State, Reason = Delivery.State, Delivery.Reason
OPERATOR = DeliveryEvent.Source.OPERATOR
# What is sent again gets this long at least, however late it is.
AGAIN_FOR = timedelta(hours=6)
BATCH = 1000


@dataclass(frozen=True)
class Account:
    """An edition's rows at one instant: `states` has every state, and sums to `eligible`."""

    eligible: int
    states: dict[str, int]


def account(edition: Edition) -> Account:
    """Count an edition's rows by state in one statement: none is counted twice or missed.

    In two for an edition whose rows are folded, and while that goes on.
    """
    rows = Delivery.objects.filter(edition=edition).values_list("state")
    counted = Counter(dict(rows.annotate(Count("pk")).order_by()))
    if edition.folded_at:
        for _, state, _, number in folded.counted([edition.pk]):
            counted[state] += number
    states = {state.value: counted[state.value] for state in State}
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


@transaction.atomic
def skip_cancelled(now: datetime) -> int:
    """End pending rows of cancelled editions, claimed ones too.

    What a sender writes just now is left to the next call: none waits for the other.
    """
    cancelled = Edition.objects.filter(hold=Edition.Hold.CANCELLED).values("pk")
    rows = Delivery.objects.filter(is_open=True, state=State.PENDING, edition__in=cancelled)
    free = rows.select_for_update(skip_locked=True, of=("self",)).values("pk")
    ended = Delivery.objects.filter(pk__in=free)
    return ended.update(state=State.SKIPPED, reason=Reason.CANCELLED, outcome_at=now)


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
    rests = [rest for rest in circuit_breaker.rests(now) if rest.until > now]
    for rest in rests if rests and rows.exists() else ():
        called = relays.called(rest.relay)
        found.append(f"{called} cannot be used; senders rest until {at(rest.until)}")
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


def forgive(ids: Collection[int], *, now: datetime) -> int:
    """Put back refused rows of which it turned out that the relay refuses everybody.

    They end as ever when they are too late. Return how many rows are pending again.
    """
    rows = list(Delivery.objects.filter(pk__in=sorted(ids), state=State.REFUSED))
    source, reason = DeliveryEvent.Source.SENDER, RELAY_REFUSES
    count = put_back(rows, source=source, reason=reason, keep_for=timedelta(0), now=now)
    if count:
        logger.warning("%d mails were refused by the relay's fault: pending again", count)
    return count


@transaction.atomic
def put_back(
    found: list[Delivery],
    *,
    source: str = OPERATOR,
    reason: str = Reason.SENT_AGAIN,
    keep_for: timedelta = AGAIN_FOR,
    now: datetime,
) -> int:
    rows = Delivery.objects.filter(pk__in=[row.pk for row in found], state=State.REFUSED)
    refused = list(rows.select_for_update())
    history.note(refused, State.PENDING, source=source, reason=reason, now=now)
    lift_bars(refused)
    # Neither do they count as bounces any more.
    DeliveryEvent.objects.filter(
        delivery__in=refused, source=DeliveryEvent.Source.SENDER, kind=State.REFUSED
    ).update(email_hash="")
    return rows.update(
        state=State.PENDING,
        reason=reason,
        attempts=0,
        not_before=now,
        expires_at=Greatest("expires_at", now + keep_for),
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


# -- unknown hand-overs ------------------------------------------------------------------

# Nothing here runs by itself: to send again what is unknown may send twice, and that is for a
# person to say.


def unknown(ids: Sequence[int] = ()) -> QuerySet[Delivery]:
    """Return unknown rows, oldest hand-over first; only of these ids, if given."""
    rows = Delivery.objects.filter(is_unknown=True).select_related("edition")
    return (rows.filter(pk__in=ids) if ids else rows).order_by("intent_at", "pk")


def mark_sent(ids: Sequence[int], *, now: datetime) -> int:
    reason = Reason.MARKED_SENT
    return settle(ids, State.ACCEPTED, reason, source=OPERATOR, now=now)


def abandon(ids: Sequence[int], *, now: datetime) -> int:
    reason = Reason.ABANDONED
    return settle(ids, State.ABANDONED, reason, source=OPERATOR, now=now)


def settle(
    ids: Sequence[int], state: Delivery.State, reason: str, *, source: str, now: datetime
) -> int:
    """End unknown rows, keep their old state in their history, and return how many."""
    with transaction.atomic():
        rows = locked(ids)
        history.note(rows, state, source=source, reason=reason, now=now)
        return chosen(rows).update(state=state, reason=reason, outcome_at=now)


def resend(ids: Sequence[int], *, now: datetime) -> int:
    """Make unknown rows pending again; a reader may get an edition twice by it, only here."""
    with transaction.atomic():
        rows = locked(ids)
        reason = Reason.SENT_AGAIN
        history.note(rows, State.PENDING, source=OPERATOR, reason=reason, now=now)
        return chosen(rows).update(
            state=State.PENDING,
            reason=reason,
            not_before=now,
            expires_at=Greatest("expires_at", now + AGAIN_FOR),
            lease_token="",
            outcome_at=None,
        )


def quarantine(since: datetime, *, until: datetime | None = None, now: datetime) -> int:
    """Mark as unknown what may have gone out since the backup; return how many rows.

    Rows that the restored database has lost are made first, or the next tick would make
    them and send. So are those that come due later, up to `until` and to what this machine
    remembers, as `deliver --now` or a clock that was ahead has sent them. An open row counts
    whenever it came due: it was open at the backup, and who knows what became of it. Safe to
    repeat when it was cut short.
    """
    ahead = sent_ahead(until, now=now)
    plan_ahead(now, ahead)
    # What had been in flight may have gone out since by another key: nobody asks again.
    Submission.objects.all().delete()
    webhooks.give_up_posts(now)
    rows = Delivery.objects.filter(is_open=True, due_at__lte=ahead, expires_at__gt=since)
    count = 0
    while moved := set_aside(rows[:BATCH], now=now):
        count += moved
    return count


def sent_ahead(until: datetime | None, *, now: datetime) -> datetime:
    """Return until when what comes due may have been sent: now, or a later instant.

    No edition of a day until today comes due after the horizon.
    """
    known = [one for one in (until, fencing.sent_until()) if one]
    return min(max([now, *known]), now + HORIZON)


def plan_ahead(now: datetime, until: datetime) -> None:
    """Make the rows of all that comes due until then, as if it were that late already.

    In steps that are shorter than any lateness, so that nothing ends as too late. The next
    tick looks again from now on: who joins meanwhile has no row yet.
    """
    at = now
    while at < until:
        plan(at)
        at += DAILY_LATENESS / 2
    plan(until)
    Edition.objects.filter(planned_until__gt=now).update(planned_until=now)


def sent_since(since: datetime) -> datetime | None:
    """Return the latest due instant of what was handed over since then; None for nothing.

    A restore asks the database that it replaces.
    """
    ended, open_now = Q(outcome_at__gte=since), Q(is_open=True)
    editions = Edition.objects.filter(day__gte=(since - HORIZON).date())
    rows = Delivery.objects.filter(edition__in=editions.values("pk"), intent_at__gte=since)
    found = [
        rows.filter(which).aggregate(latest=Max("due_at"))["latest"]
        for which in (ended, open_now)
    ]
    return max(filter(None, found), default=None)


@transaction.atomic
def set_aside(open_rows: QuerySet[Delivery], *, now: datetime) -> int:
    rows = list(open_rows.select_for_update())
    reason = Reason.QUARANTINED
    history.note(rows, State.UNKNOWN, source=OPERATOR, reason=reason, now=now)
    return chosen(rows).update(state=State.UNKNOWN, reason=reason, outcome_at=now)


def locked(ids: Sequence[int]) -> list[Delivery]:
    rows = Delivery.objects.select_for_update().filter(state=State.UNKNOWN, pk__in=ids)
    return list(rows)


def chosen(rows: Sequence[Delivery]) -> QuerySet[Delivery]:
    return Delivery.objects.filter(pk__in=[row.pk for row in rows])


def unpublished(
    since: datetime, *, until: datetime | None = None, now: datetime
) -> list[date]:
    """Return the days that may have been sent since then and have no edition here."""
    first, last = since.date() - timedelta(days=1), sent_ahead(until, now=now)
    days = [first + timedelta(days=step) for step in range((last.date() - first).days + 1)]
    editions = Edition.objects.of_papers().filter(day__gte=first)
    known = set(editions.values_list("day", flat=True))
    return [day for day in days if since <= release_at(day) <= last and day not in known]
