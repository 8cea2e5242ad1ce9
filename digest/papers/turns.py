"""Turns at a source's requests, over all processes and machines.

A row in the database per source says from when on it may be asked again. A source that asks
us to wait is left alone until then; one that allows a single connection, or a request
every few seconds, is asked by whoever holds its turn.
"""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from digest.models import SourceTurn
from digest.papers.download import RateLimited

NONE = timedelta(0)
PATIENCE = 10  # seconds to wait for another's turn
EVER = datetime(1970, 1, 1, tzinfo=UTC)


class Clock:
    """The instant that was passed in, going on; and the way to wait by it."""

    def __init__(self, now: datetime) -> None:
        self.start, self.began = now, time.monotonic()

    def __call__(self) -> datetime:
        return self.start + timedelta(seconds=time.monotonic() - self.began)

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


@contextmanager
def turn(
    source: str, clock: Clock, *, lease: timedelta = NONE, pause: timedelta = NONE
) -> Iterator[None]:
    """Hold the turn at a source while the block asks it; then the source has `pause`.

    A turn ends with its lease if its process died; with a lease of zero any number may ask
    at once. Waits a few seconds for another's turn to end. Raises RateLimited.
    """
    until = _claim(source, clock, lease)
    rows = SourceTurn.objects.filter(source=source)
    try:
        yield
    except RateLimited as limited:
        pause = max(pause, timedelta(seconds=limited.reset_seconds))
        rest = clock() + pause
        SourceTurn.objects.bulk_create(
            [SourceTurn(source=source, free_at=rest)], ignore_conflicts=True
        )
        rows.filter(free_at__lt=rest).update(free_at=rest)
        raise
    finally:
        if until:  # and unless the lease is over, and the turn another's
            rows.filter(free_at=until).update(free_at=clock() + pause)


def _claim(source: str, clock: Clock, lease: timedelta) -> datetime | None:
    """Return until when the turn is ours, committed before anything is asked."""
    rows = SourceTurn.objects.filter(source=source)
    if lease:
        SourceTurn.objects.bulk_create(
            [SourceTurn(source=source, free_at=EVER)], ignore_conflicts=True
        )
    for is_last in (False, True):
        now = clock()
        if lease and rows.filter(free_at__lte=now).update(free_at=now + lease):
            return now + lease
        free_at = rows.values_list("free_at", flat=True).first() or EVER
        if not lease and free_at <= now:
            return None
        wait = max(0.0, (free_at - now).total_seconds())
        if is_last or wait > PATIENCE:
            break
        clock.sleep(wait)
    raise RateLimited(math.ceil(wait) or 1)
