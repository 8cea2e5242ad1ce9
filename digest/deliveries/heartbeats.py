"""Heartbeats: the workers' loops say that they run, and /readyz asks whether they still do.

A worker may be alive and take nothing from the broker, so what counts is that a tick has
come through, and that somebody sends while rows are due.
"""

from datetime import datetime, timedelta
from enum import StrEnum

from digest.models import Delivery, Heartbeat

MISSED = 3


class Loop(StrEnum):
    TICK = "tick"
    SEND = "send"


# How often at least: a tick may wait for a sender, and a sender for its slice's replies.
PERIODS = {Loop.TICK: timedelta(seconds=20), Loop.SEND: timedelta(seconds=60)}


def beat(loop: Loop, now: datetime) -> None:
    """One statement, whether or not there is a row."""
    Heartbeat.objects.bulk_create(
        [Heartbeat(loop=loop, at=now)],
        update_conflicts=True,
        unique_fields=["loop"],
        update_fields=["at"],
    )


def troubles(now: datetime) -> list[str]:
    """What does not run, in words; nothing if all does."""
    beats = dict(Heartbeat.objects.values_list("loop", "at"))
    found = [said(Loop.TICK, beats.get(Loop.TICK), now)]
    waited = now - MISSED * PERIODS[Loop.SEND]
    if Delivery.objects.ready(waited).exists():
        found.append(said(Loop.SEND, beats.get(Loop.SEND), now))
    return [words for words in found if words]


def said(loop: Loop, at: datetime | None, now: datetime) -> str:
    if at is None:
        return f"{loop}: has never run; start a worker and beat"
    if now - at > MISSED * PERIODS[loop]:
        return f"{loop}: last ran {(now - at).total_seconds():.0f} seconds ago"
    return ""
