"""The Celery tasks: wake-ups that find their work in the database and may run twice."""

import logging
from datetime import datetime, timedelta
from typing import Any

from celery import Task, current_app, shared_task
from django.conf import settings

from digest import outgoing, process
from digest.deliveries import (
    counts,
    fencing,
    heartbeats,
    idempotent_retry,
    ledger,
    preflight,
)
from digest.deliveries.heartbeats import Loop, turn
from digest.deliveries.ledger import DatabaseClock
from digest.deliveries.plan import due_editions, plan, weeks_wanted
from digest.deliveries.send import send_due
from digest.deliveries.sweep import (
    end_leases,
    end_overdue,
    fold_deliveries,
    prune_deliveries,
)
from digest.editions.publish import NothingToPublish, publish
from digest.feedback import alarms, bounce_mailbox, events
from digest.feedback.mailbox_session import MailboxTrouble
from digest.logs import alert
from digest.models import Act, Delivery, Edition, ReportedCount
from digest.papers import fullness, ingest, source_days, sources
from digest.ranking import directions, meaning, projections

logger = logging.getLogger(__name__)

# A sender works this long and then wakes the next one, behind the waiting tasks: ticks, and
# the mail of a reader who has just signed up.
SEND_FOR = timedelta(seconds=3)
SENDERS = 8


def wake_senders(count: int) -> None:
    """Ask for so many senders; none where SENDERS wait already, as each finds all that is due.

    Counted by the broker: an expiry would be by this machine's clock, and judged by another's.
    """
    with current_app.connection_or_acquire() as connection:
        queue: Any = current_app.amqp.queues["digests"](connection.default_channel)
        waiting = queue.queue_declare().message_count
    for _ in range(min(count, SENDERS - waiting)):
        send.apply_async()


def catch_up(now: datetime) -> None:
    """Finish work that no sender finishes: leases, reported unknown rows, and late rows.

    The order matters: a report resolves an unknown row before the row would be abandoned.
    """
    end_leases(now)
    events.resolve_reported(now)
    events.suppress_refused(now)
    alarms.pause_alarming(now)
    end_overdue(now)
    directions.refresh()


@shared_task(bind=True)
def tick(self: "Task[[], None]") -> None:
    """Catch up, plan the due editions, and wake senders if deliveries are ready."""
    now = ledger.database_now()
    if not turn(Loop.TICK, now, beat_at=self.request.get("sent_at")):
        return
    catch_up(now)
    preflight.check_new(due_editions(now), now)
    planned = plan(now, preflight.check_new)
    if Delivery.objects.ready(now).exists():
        logger.info("planned %d deliveries, waking senders", planned)
        wake_senders(SENDERS)
    if idempotent_retry.waiting(now).exists():
        ask_again.apply_async()
    heartbeats.beat(Loop.TICK, now)


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
    heartbeats.beat(Loop.SEND, now)
    if now >= end and not process.is_stopping():
        wake_senders(1)


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
    now = ledger.database_now()
    if turn(Loop.WATCH, now):
        alarms.watch(now)
        outgoing.tell_finished(now)


@shared_task
def count() -> None:
    """Count what is too large for a page to count by itself."""
    counts.refresh(ledger.database_now())


@shared_task
def send_events() -> None:
    """Send what is due to the operator's own systems and to chats."""
    outgoing.send_open(ledger.database_now())


@shared_task
def read_mailbox() -> None:
    """Read the bounce mailbox, if there is one."""
    now = ledger.database_now()
    if not settings.BOUNCE_MAILBOX_URL or not turn(Loop.MAILBOX, now):
        return
    try:
        if taken := bounce_mailbox.read(now):
            logger.info("bounce mailbox: %s", bounce_mailbox.told(taken))
    except MailboxTrouble as trouble:
        logger.warning("the bounce mailbox was not read: %s", trouble)


@shared_task
def drop_old() -> None:
    """Delete deliveries, acts of operators and reported counts past their retention."""
    now = ledger.database_now()
    if folded := fold_deliveries(now):
        logger.info("%d old deliveries folded", folded)
    if dropped := prune_deliveries(now):
        logger.info("%d old deliveries deleted", dropped)
    outgoing.prune(now)
    Act.objects.prune(now - Act.KEPT)
    ReportedCount.objects.filter(day__lt=(now - ReportedCount.KEPT).date()).delete()


def publish_due_days(now: datetime) -> None:
    """Fetch and publish the newest complete day with its votes, and missed days.

    The first failure ends it, so that a source that is down is not asked seven times.
    """
    for day in source_days.due(now):
        try:
            ingest.fetch(now=now, day=day, again=False)
            ingest.fill_gaps(now=now, day=day)
            if fullness.is_held(day, now):
                logger.info("the list of %s may be incomplete: it is held", day)
            else:
                publish(day, now=now)
        except (sources.NotYetPublished, NothingToPublish) as error:
            logger.info("nothing published: %s", error)
        except sources.SourceError as error:
            logger.warning("nothing published: %s", error)
            break
    if message := source_days.new_alarm(now):
        alert(message)


def refresh_votes(now: datetime) -> None:
    """Fetch the votes and comments of a few recent days again."""
    for day in source_days.to_refresh(now):
        try:
            ingest.fetch(now=now, day=day, again=False)
        except sources.SourceError as error:
            logger.info("votes of %s not refreshed: %s", day, error)
            break


@shared_task
def fetch_and_publish() -> None:
    """Publish the days that are due, unless another beat's wake-up has just done so."""
    now = ledger.database_now()
    if turn(Loop.PUBLISH, now):
        publish_due_days(now)
        refresh_votes(now)
        meaning.refresh()


@shared_task
def publish_week() -> None:
    """Publish the weeks that are due to somebody, unless they are published."""
    now = ledger.database_now()
    for day in weeks_wanted(sources.newest_day(now)):
        try:
            publish(day, now=now, kind=Edition.Kind.WEEKLY)
        except NothingToPublish as error:
            logger.warning("no week published: %s", error)


@shared_task(soft_time_limit=1700, time_limit=1800)
def refit() -> None:
    """Fit the ranking to this installation's papers, if a month has passed since the last.

    What dies half-way has stored nothing, and begins anew a day later.
    """
    now = ledger.database_now()
    if projections.is_due(now) and turn(Loop.REFIT, now):
        try:
            projections.refit(now)
        except projections.NotAdopted as error:
            logger.warning("no refitted projection: %s", error)
