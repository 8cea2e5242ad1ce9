"""Pauses that end by themselves: on a local date, at the reader's own hour."""

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from subscribers import subscriptions
from subscribers.consent import Origin
from subscribers.models import Subscriber
from subscribers.schedules import first_hour

MONTH = timedelta(days=30)
AHEAD = timedelta(hours=15)  # no zone is further ahead of UTC
ORIGIN = Origin("end of the pause")


def local_date(subscriber: Subscriber, now: datetime) -> date:
    """Today, where the reader is. Needs the schedule."""
    return now.astimezone(ZoneInfo(subscriber.schedule.timezone)).date()


def in_a_month(subscriber_id: int, *, now: datetime) -> date | None:
    """The local date 30 days on; None for a reader who is gone."""
    rows = Subscriber.objects.select_related("schedule").filter(pk=subscriber_id)
    found = rows.first()
    return local_date(found, now) + MONTH if found else None


def resume_due(now: datetime) -> int:
    """Resume readers at the first wished hour on or after their date; how many.

    Not at midnight: the edition of the evening before would still be in time then.
    """
    waiting = Subscriber.objects.filter(
        state=Subscriber.State.PAUSED, paused_until__lte=(now + AHEAD).date()
    ).select_related("schedule")
    due = [
        reader.pk
        for reader in waiting
        if reader.paused_until and first_hour(reader.schedule, reader.paused_until) <= now
    ]
    for subscriber_id in due:
        subscriptions.resume(subscriber_id, origin=ORIGIN, now=now)
    return len(due)
