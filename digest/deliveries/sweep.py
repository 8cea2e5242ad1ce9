"""Sweep: end leases that ran out, so that a crash costs time and never a second mail."""

import logging
from datetime import datetime

from digest.deliveries import ledger

logger = logging.getLogger(__name__)


def sweep(now: datetime) -> None:
    returned, unknown = ledger.reap(now)
    if returned or unknown:
        logger.warning("leases over: %d rows pending again, %d unknown", returned, unknown)
