"""The Celery tasks: wake-ups that find their work in the database and may run twice."""

import logging
from datetime import datetime, timedelta

from celery import shared_task
from django.utils import timezone

from digest.alert import alert
from digest.deliveries import (
    fencing,
    heartbeats,
    idempotent_retry,
    ledger,
    retention,
    shutdown,
)
from digest.deliveries.clock import DatabaseClock
from digest.deliveries.plan import plan
from digest.deliveries.schedule import week_ended
from digest.deliveries.send import send_due
from digest.deliveries.sweep import end_leases, end_overdue
from digest.editions.publish import NothingToPublish, publish
from digest.feedback import alarms, reconcile
from digest.models import Delivery, Edition
from digest.papers import ingest, source_days, sources
from digest.ranking import directions

logger = logging.getLogger(__name__)

# A sender works this long and then wakes the next one, behind the waiting tasks: ticks, and
# the mail of a reader who has just signed up.
SEND_FOR = timedelta(seconds=3)
SENDERS = 8


def wake_sender() -> None:
    send.apply_async(expires=10)


def catch_up(now: datetime) -> None:
    """Finish work that no sender finishes: leases, reported unknown rows, and late rows.

    The order matters: a report resolves an unknown row before the row would be abandoned.
    """
    end_leases(now)
    reconcile.resolve_reported(now)
    alarms.pause_alarming(now)
    end_overdue(now)
    directions.refresh()


@shared_task
def tick() -> None:
    """Catch up, plan the due editions, and wake senders if deliveries are ready."""
    now = ledger.database_now()
    catch_up(now)
    planned = plan(now)
    if Delivery.objects.ready(now).exists():
        logger.info("planned %d deliveries, waking senders", planned)
        for _ in range(SENDERS):
            wake_sender()
    if idempotent_retry.waiting(now).exists():
        ask_again.apply_async(expires=10)
    heartbeats.beat(heartbeats.Loop.TICK, now)


@shared_task
def send() -> None:
    """Send due deliveries for SEND_FOR; wake the next sender if more may be due."""
    end = ledger.database_now() + SEND_FOR
    try:
        if tally := send_due(DatabaseClock(), until=end):
            logger.info("sent: %s", dict(tally))
    except fencing.SendingRefused as refused:
        logger.error("sending is refused: %s", refused)
        return
    now = ledger.database_now()
    heartbeats.beat(heartbeats.Loop.SEND, now)
    if now >= end and not shutdown.asked():
        wake_sender()


@shared_task
def ask_again() -> None:
    """Repeat requests whose response was lost, by their idempotency keys."""
    try:
        idempotent_retry.ask_again(ledger.database_now())
    except fencing.SendingRefused as refused:
        logger.error("repeating lost requests is refused: %s", refused)


@shared_task
def watch() -> None:
    """Look for mails that were sent twice, and pause their editions."""
    alarms.watch(ledger.database_now())


@shared_task
def drop_old() -> None:
    """Delete deliveries past their retention."""
    if dropped := retention.drop_old(ledger.database_now()):
        logger.info("%d old deliveries deleted", dropped)


@shared_task
def fetch_and_publish() -> None:
    """Fetch and publish the newest complete day with its votes, and missed days.

    The first failure ends it, so that a source that is down is not asked seven times.
    """
    now = timezone.now()
    for day in source_days.due(now):
        try:
            ingest.fetch(now=now, day=day)
            publish(day, now=now)
        except (sources.NotYetPublished, NothingToPublish) as error:
            logger.info("nothing published: %s", error)
        except sources.SourceError as error:
            logger.warning("nothing published: %s", error)
            break
    if message := source_days.new_alarm(now):
        alert(message)


@shared_task
def publish_week() -> None:
    """Publish the week that has ended, unless it is published."""
    now = timezone.now()
    try:
        publish(week_ended(sources.newest_day(now)), now=now, kind=Edition.Kind.WEEKLY)
    except NothingToPublish as error:
        logger.warning("no week published: %s", error)
