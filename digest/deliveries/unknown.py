"""The operator's hands on hand-overs whose outcome is not known, and on a restored database.

Nothing here runs by itself: to send again what is unknown may send twice, and that is
for a person to say.
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Greatest

from digest.deliveries import history
from digest.deliveries.plan import plan
from digest.deliveries.schedule import release_at
from digest.models import Delivery, DeliveryEvent, Edition, Submission

State, Reason = Delivery.State, Delivery.Reason
OPERATOR = DeliveryEvent.Source.OPERATOR
# What is sent again gets this long at least, however late it is.
AGAIN_FOR = timedelta(hours=6)
BATCH = 1000


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


def quarantine(since: datetime, *, now: datetime) -> int:
    """Mark as unknown what may have gone out since the backup; return how many rows.

    Rows that the restored database has lost are made first, or the next tick would make
    them and send. An open row counts whenever it came due: it was open at the backup, and
    who knows what became of it. Safe to repeat when it was cut short.
    """
    plan(now)
    # What had been in flight may have gone out since by another key: nobody asks again.
    Submission.objects.all().delete()
    rows = Delivery.objects.filter(is_open=True, due_at__lte=now, expires_at__gt=since)
    count = 0
    while moved := set_aside(rows[:BATCH], now=now):
        count += moved
    return count


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


def unpublished(since: datetime, *, now: datetime) -> list[date]:
    """Return the days released since then of which the database has no edition."""
    first = since.date() - timedelta(days=1)
    days = [first + timedelta(days=step) for step in range((now.date() - first).days + 1)]
    known = set(Edition.objects.filter(day__gte=first).values_list("day", flat=True))
    return [day for day in days if since <= release_at(day) <= now and day not in known]
