"""Sweep: end the rows that no sender will end, and drop those that are kept no longer.

So a crash costs time and no second mail.
"""

import logging
from datetime import datetime, timedelta

from django.db import transaction

from digest.deliveries import (
    control,
    idempotent_retry,
    ledger,
    outcome_journal,
    throughput,
)
from digest.models import Delivery, DeliveryEvent, Edition, Frame
from digest.sql import Statement, change
from digest.throttling import circuit_breaker

State = Delivery.State

logger = logging.getLogger(__name__)

KEPT = timedelta(days=90)
# One short transaction each, so that senders need not wait.
BATCH = 5000


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
    return rows.update(state=State.EXPIRED, reason=Delivery.Reason.TOO_LATE, outcome_at=now)


def abandon(now: datetime) -> int:
    """End unknown rows whose mail would be too late by now; their reason stays."""
    rows = Delivery.objects.filter(is_unknown=True, expires_at__lte=now)
    return rows.update(state=State.ABANDONED, outcome_at=now)


def prune_deliveries(now: datetime, *, batches: int = 100) -> int:
    """Delete deliveries of editions older than KEPT and return how many.

    Deletes their history and the frames of their mails too, in at most `batches` batches;
    the next call continues. An edition and its blocks stay, as the archive shows them.
    An open delivery is never deleted.
    """
    dropped = 0
    for edition in Edition.objects.filter(day__lt=(now - KEPT).date()).order_by("day"):
        over = Delivery.objects.filter(edition=edition, is_open=False)
        while batches and (ids := list(over.values_list("pk", flat=True)[:BATCH])):
            dropped += drop(ids)
            batches -= 1
        if not Delivery.objects.filter(edition=edition).exists():
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
