"""Sweep: end the rows that no sender will end, so that a crash costs time and no second mail."""

import logging
from datetime import datetime

from digest.deliveries import control, idempotent_retry, ledger, outcome_journal
from digest.models import Delivery
from digest.throttling import circuit_breaker

State = Delivery.State

logger = logging.getLogger(__name__)


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
    rows = Delivery.objects.filter(
        is_open=True, state=State.PENDING, not_before__lte=now, expires_at__lte=now
    )
    return rows.update(state=State.EXPIRED, reason=Delivery.Reason.TOO_LATE, outcome_at=now)


def abandon(now: datetime) -> int:
    """End unknown rows whose mail would be too late by now; their reason stays."""
    rows = Delivery.objects.filter(is_unknown=True, expires_at__lte=now)
    return rows.update(state=State.ABANDONED, outcome_at=now)
