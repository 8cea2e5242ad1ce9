"""The clock of senders: the database's."""

import math
import time
from datetime import UTC, datetime, timedelta

from digest.deliveries.ledger import database_now


class DatabaseClock:
    """The database's clock without a statement for every look: asked each second anew.

    In between a monotonic clock goes on; it runs on while a process is stopped.
    """

    def __init__(self) -> None:
        self.asked, self.told = -math.inf, datetime.min.replace(tzinfo=UTC)

    def __call__(self) -> datetime:
        passed = time.monotonic() - self.asked
        if passed > 1:
            self.asked, passed = time.monotonic(), 0.0
            self.told = database_now()
        return self.told + timedelta(seconds=passed)
