"""Sweep: end what nobody will end otherwise, so that a crash costs time and no second mail."""

import logging
from datetime import datetime

from digest.deliveries import (
    alarms,
    breaker,
    control,
    evidence,
    journal,
    ledger,
    submissions,
)
from digest.models import Delivery

State = Delivery.State

logger = logging.getLogger(__name__)


def sweep(now: datetime) -> None:
    """Replay kept outcomes, end leases, expire what is too late, give up what is unknown."""
    if taken := journal.replay(now):
        logger.warning("%d outcomes recorded that had waited on disk", taken)
    returned, unknown = ledger.reap(now)
    if returned or unknown:
        logger.warning("leases over: %d rows pending again, %d unknown", returned, unknown)
    if known := evidence.weigh(now):
        logger.warning("%d unknown rows resolved by reports", known)
    for edition in control.pause_alarming(now):
        alarms.page(f"{edition} is paused: too many mails bounced or were reported")
    skipped = control.skip_cancelled(now)
    expired, abandoned = expire(now), abandon(now)
    submissions.prune(now)
    breaker.forget(now)
    if skipped or expired or abandoned:
        logger.warning(
            "%d rows skipped, %d expired, %d unknown abandoned", skipped, expired, abandoned
        )


def expire(now: datetime) -> int:
    """End pending rows that are too late, whether or not anybody could send them."""
    rows = Delivery.objects.filter(
        is_open=True, state=State.PENDING, not_before__lte=now, expires_at__lte=now
    )
    return rows.update(state=State.EXPIRED, reason="too late", outcome_at=now)


def abandon(now: datetime) -> int:
    """End unknown rows whose mail would be too late by now; their reason stays."""
    rows = Delivery.objects.filter(is_unknown=True, expires_at__lte=now)
    return rows.update(state=State.ABANDONED, outcome_at=now)
