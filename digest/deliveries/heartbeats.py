"""Heartbeats: the workers' loops say that they run, and /readyz asks whether they still do.

A worker may be alive and take nothing from the broker, so what counts is that a tick has
come through, and that somebody sends while rows are due.
"""

import time
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from django.db.models import Q

from digest.deliveries import fencing
from digest.models import Delivery, Heartbeat

MISSED = 3
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Loop(StrEnum):
    TICK = "tick"
    SEND = "send"
    WATCH = "watch"
    PUBLISH = "publish"
    REFIT = "refit"
    MAILBOX = "mailbox"


# As long after one turn the next may begin: what piled up while nobody worked is not done
# again and again. By the database's clock, as beat's and the workers' may be wrong.
APART = {
    Loop.TICK: timedelta(seconds=5),
    Loop.WATCH: timedelta(seconds=150),
    Loop.PUBLISH: timedelta(seconds=900),
    Loop.REFIT: timedelta(hours=1),  # longer than a refit takes
    Loop.MAILBOX: timedelta(seconds=150),
}
# These say only that a turn begins, not that it has ended.
BEGINNING = {Loop.WATCH, Loop.PUBLISH, Loop.REFIT}
# Clocks ten minutes apart change nothing but what is told.
WORTH_TELLING, MOST_SKEW = 5.0, 660.0


# How often at least: a tick may wait for a sender, and a sender for its slice's replies.
PERIODS = {Loop.TICK: timedelta(seconds=20), Loop.SEND: timedelta(seconds=60)}


def beat(loop: Loop, now: datetime) -> None:
    """One statement, whether or not there is a row."""
    Heartbeat.objects.bulk_create(
        [Heartbeat(loop=loop, at=now)],
        update_conflicts=True,
        unique_fields=["loop"],
        update_fields=["at", "cause"],
    )


def turn(loop: Loop, now: datetime, *, beat_at: float | None = None) -> bool:
    """Begin a turn of the loop; False when another has just begun one.

    `beat_at` is when beat asked for it, in seconds by its clock. A turn that lies ahead of
    the database's clock was begun before somebody set that back.
    """
    row, made = Heartbeat.objects.get_or_create(loop=loop, defaults={"at": EPOCH})
    if made:
        fencing.begin()
    soon = Q(begun_at__gt=now - APART[loop], begun_at__lte=now)
    skew = {"worker_skew": time.time() - now.timestamp()}
    if beat_at is not None:
        skew["beat_skew"] = beat_at - now.timestamp()
    return bool(
        Heartbeat.objects.filter(pk=row.pk).exclude(soon).update(begun_at=now, **skew)
    )


def skews(now: datetime) -> dict[str, float]:
    """Seconds by which each clock that is worth telling is ahead of the database's."""
    found = {"web": time.time() - now.timestamp()}
    if tick := Heartbeat.objects.filter(loop=Loop.TICK).first():
        found |= {"worker": tick.worker_skew, "beat": tick.beat_skew}
    return {name: skew for name, skew in found.items() if abs(skew) > WORTH_TELLING}


def troubles(now: datetime) -> list[str]:
    """Return one message for each stalled loop; empty when all are healthy."""
    beats = dict(Heartbeat.objects.values_list("loop", "at"))
    found = [said(Loop.TICK, beats.get(Loop.TICK), now)]
    waited = now - MISSED * PERIODS[Loop.SEND]
    if Delivery.objects.ready(waited).exists():
        found.append(said(Loop.SEND, beats.get(Loop.SEND), now))
    return [words for words in found if words]


def said(loop: Loop, at: datetime | None, now: datetime) -> str:
    if at is None or at == EPOCH:
        return f"{loop}: has never run; start a worker and beat"
    if now - at > MISSED * PERIODS[loop]:
        return f"{loop}: last ran {(now - at).total_seconds():.0f} seconds ago"
    return ""
