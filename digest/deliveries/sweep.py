"""Sweep: end the rows that no sender will end, fold old ones, drop what is kept no longer.

So a crash costs time and no second mail.
"""

import logging
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from digest.deliveries import (
    control,
    idempotent_retry,
    ledger,
    outcome_journal,
    throughput,
)
from digest.models import Delivery, DeliveryEvent, Edition, FoldedDeliveries, Frame
from digest.models.folded import FOLDED_AFTER, SPAN, span_of
from digest.sql import Statement, among, change
from digest.throttling import circuit_breaker

State = Delivery.State

logger = logging.getLogger(__name__)

KEPT = timedelta(days=90)
# One short transaction each, so that senders need not wait.
BATCH = 5000
SPANS = 200
OPEN, UNKNOWN = Q(is_open=True), Q(is_unknown=True)


def end_leases(now: datetime) -> None:
    """Record outcomes kept on disk, then end the leases that ran out."""
    if taken := outcome_journal.replay(now):
        logger.warning("%d outcomes recorded that had waited on disk", taken)
    returned, unknown = ledger.rescue_expired(now)
    if returned or unknown:
        logger.warning("leases over: %d rows pending again, %d unknown", returned, unknown)


def end_overdue(now: datetime) -> None:
    """End rows of cancelled editions and rows that are too late, and drop what is stale.

    Call it after reports have been reconciled: an unknown row that a report resolves must
    not be abandoned first.
    """
    skipped = control.skip_cancelled(now)
    expired, abandoned = expire(now), abandon(now)
    idempotent_retry.prune_submissions(now)
    circuit_breaker.forget(now)
    if skipped or expired or abandoned:
        logger.warning(
            "%d rows skipped, %d expired, %d unknown abandoned", skipped, expired, abandoned
        )


def expire(now: datetime) -> int:
    """End pending rows that are too late, whether or not anybody could send them."""
    due = Delivery.objects.open_until(now)
    rows = due.filter(state=State.PENDING, expires_at__lte=now)
    count = 0
    while ended := expire_some(rows, now):
        count += ended
    return count


@transaction.atomic
def expire_some(rows: QuerySet[Delivery], now: datetime) -> int:
    """End a batch of these rows. What a sender writes just now is left to it."""
    free = rows.select_for_update(skip_locked=True).values_list("pk", flat=True)
    ended = Delivery.objects.filter(pk__in=among(list(free[:BATCH])))
    return ended.update(
        state=State.EXPIRED, reason=Delivery.Reason.TOO_LATE, outcome_at=now
    )


def abandon(now: datetime) -> int:
    """End unknown rows whose mail would be too late by now; their reason stays."""
    rows = Delivery.objects.filter(is_unknown=True, expires_at__lte=now)
    return rows.update(state=State.ABANDONED, outcome_at=now)


def fold_deliveries(now: datetime, *, batches: int = 1000) -> int:
    """Fold deliveries of editions older than FOLDED_AFTER and return how many.

    In at most `batches` short transactions, each of a span of readers; the next call goes on.
    An edition is closed first; one with an open or unknown delivery waits. What has a history
    stays in the ledger with it, as events belong to rows there.
    """
    count = 0
    for edition in older_than(FOLDED_AFTER, now):
        if edition.folded_at or close(edition, now, unless=OPEN | UNKNOWN):
            for rows in islice(spans(edition), batches):
                count += fold(edition, rows)
                batches -= 1
    return count


def older_than(age: timedelta, now: datetime) -> QuerySet[Edition]:
    """Return old editions, oldest first: of old days that were not published just now."""
    old = Edition.objects.filter(day__lt=(now - age).date(), published_at__lt=now - age)
    return old.order_by("day")


@transaction.atomic
def close(edition: Edition, now: datetime, *, unless: Q) -> bool:
    """Let nobody plan the edition from now on; False if it has no rows, or such as `unless`.

    A reader whose row is gone from the ledger must not get another. It is for good. A plan
    under way keeps its hold on the row until its rows are there (plan.plan_edition).
    """
    list(Edition.objects.select_for_update().filter(pk=edition.pk))
    rows = Delivery.objects.filter(edition=edition)
    if rows.filter(unless).exists() or not rows.exists():
        return False
    return bool(Edition.objects.filter(pk=edition.pk).update(folded_at=now))


def spans(edition: Edition) -> Iterator[QuerySet[Delivery]]:
    """Yield what is over and has no history, by spans of readers, then nobody's by ids.

    Each span is found behind the one before, by delivery_unique: nothing is read twice.
    """
    history = DeliveryEvent.objects.filter(delivery=OuterRef("pk"))
    over = Delivery.objects.filter(edition=edition, is_open=False, is_unknown=False)
    rows = over.exclude(Exists(history))
    for of, column in ((rows, "subscriber"), (rows.filter(subscriber=None), "pk")):
        after = 0
        while True:
            rest = of.filter(**{f"{column}__gte": after}).order_by(column)
            first = rest.values_list(column, flat=True).first()
            if first is None:
                break
            after = first - first % SPAN + SPAN
            yield rest.filter(**{f"{column}__lt": after})


@transaction.atomic
def fold(edition: Edition, rows: QuerySet[Delivery]) -> int:
    """Fold these rows, of one span, into those that are folded already; return how many."""
    found = list(rows.select_for_update())
    if not found:
        return 0
    span = span_of(found[0])
    known = FoldedDeliveries.objects.select_for_update().filter(edition=edition, span=span)
    before = known.first()
    folded = before or FoldedDeliveries(edition=edition, span=span)
    folded.fill([*(before.deliveries() if before else ()), *found])
    folded.save()
    return change(DROP, ids=[row.pk for row in found])


def prune_deliveries(now: datetime, *, batches: int = 100) -> int:
    """Delete deliveries of editions older than KEPT and return how many.

    Deletes their history and the frames of their mails too, in at most `batches` batches;
    the next call continues. An edition and its blocks stay, as the archive shows them. It is
    closed first, and waits while a delivery is open.
    """
    dropped = 0
    for edition in older_than(KEPT, now):
        if not (edition.folded_at or close(edition, now, unless=OPEN)):
            continue
        over = Delivery.objects.filter(edition=edition, is_open=False)
        while batches and (ids := list(over.values_list("pk", flat=True)[:BATCH])):
            dropped += drop(ids)
            batches -= 1
        folded = FoldedDeliveries.objects.filter(edition=edition)
        while batches and (rows := list(folded.order_by("span")[:SPANS])):
            dropped += sum(row.size for row in rows)
            folded.filter(pk__in=[row.pk for row in rows]).delete()
            batches -= 1
        kept = Delivery.objects.filter(edition=edition).exists()
        if not (kept or folded.exists()):
            Frame.objects.filter(edition=edition).delete()
    throughput.prune(now)
    old = DeliveryEvent.objects.filter(delivery=None, at__lt=now - KEPT)
    while batches and (ids := list(old.values_list("pk", flat=True)[:BATCH])):
        old.filter(pk__in=ids).delete()
        batches -= 1
    return dropped


# Delete what is known of deliveries, by its index on delivery_id.
DROP_HISTORY = Statement(
    "DELETE FROM digest_deliveryevent WHERE delivery_id = ANY(%(ids)s::bigint[])",
    "DELETE FROM digest_deliveryevent"
    " WHERE delivery_id IN (SELECT value FROM json_each(%(ids)s))",
)
# Delete deliveries, by their primary key.
DROP = Statement(
    "DELETE FROM digest_delivery WHERE id = ANY(%(ids)s::bigint[])",
    "DELETE FROM digest_delivery WHERE id IN (SELECT value FROM json_each(%(ids)s))",
)


def drop(ids: list[int]) -> int:
    """Delete these deliveries without loading them, and return how many went."""
    with transaction.atomic():
        change(DROP_HISTORY, ids=ids)
        return change(DROP, ids=ids)
