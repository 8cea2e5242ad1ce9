"""The one door for single mails: a Notice, its template triplet, one hand-over.

The connection is opened before the claim, so a mail server that is down costs no
notice an attempt. The claim commits `submitting` before the first byte; from then on
only an explicit no of the server allows a second try. What ends without an answer is
`unknown` and never sent again: its reader asks anew.
"""

import logging
from dataclasses import asdict
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F

from digest.transport.open import SingleMail, SingleMails
from digest.transport.outcomes import Outcome, Verdict, without_addresses
from digest.transport.relays import several
from subscribers import links
from subscribers.addresses import address_hash
from subscribers.models import Link, Notice, Subscriber, Topic
from subscribers.notices.message import PURPOSES, Claim, compose
from subscribers.preferences import Preferences, bound_to
from subscribers.suppression import is_barred

logger = logging.getLogger(__name__)

BATCH = 50
ATTEMPTS = 5
FIRST_WAIT = timedelta(minutes=1)  # then 4, 16 and 64
MOST_GROWTH = 3
SILENT_FOR = timedelta(minutes=10)
TOO_OLD = timedelta(hours=48)
READING = {Subscriber.State.ACTIVE, Subscriber.State.PAUSED}
WANTED_BY: dict[Notice.Kind, set[Subscriber.State]] = {
    Notice.Kind.CONFIRM: {Subscriber.State.PENDING},
    Notice.Kind.REMINDER: {Subscriber.State.PENDING},
    Notice.Kind.WELCOME: {Subscriber.State.ACTIVE},  # it names the day of the first mail
    Notice.Kind.DATA: set(Subscriber.State),
}


STATES = {
    Verdict.ACCEPTED: Notice.State.ACCEPTED,
    Verdict.REFUSED: Notice.State.REFUSED,
    Verdict.RETRY: Notice.State.PENDING,
    Verdict.UNKNOWN: Notice.State.UNKNOWN,
}


class Unreachable(Exception):
    """The mail server takes no connection, no login, or no mail from us."""


def send_open_notices(*, now: datetime) -> int:
    """Send what is due, oldest first, a batch at most; return its size, 0 without a server.

    Safe to run at once and twice.
    """
    due = Notice.objects.open(now).order_by("not_before", "pk")
    ids = list(due.values_list("pk", flat=True)[:BATCH])
    mails = SingleMails()
    for notice_id in ids:
        try:
            send_notice(notice_id, mails, now=now)
        except Unreachable as error:
            if not mails.left():
                words = "%s notices wait, the relay cannot be used: %s"
                logger.warning(words, len(ids), error)
                return 0
            # Others' relays can: this one must not keep them waiting.
            Notice.objects.open(now).filter(pk=notice_id).update(
                not_before=now + FIRST_WAIT
            )
    return len(ids)


def send_notice(notice_id: int, mails: SingleMails, *, now: datetime) -> None:
    """Claim one notice, hand it over, record the outcome. Raises Unreachable.

    Does nothing if it is not due, or somebody else has it.
    """
    mailer = mails.open(recipient(notice_id) if several() else "")
    if isinstance(mailer, Outcome):
        raise Unreachable(mailer.reply)
    try:
        claim = claim_notice(notice_id, now=now)
        if claim is None:
            return
        outcome = hand_over(claim, mails, mailer, now=now)
        record_outcome(claim.notice, outcome, now=now)
    finally:
        mailer.close()
    if not outcome.charged:
        raise Unreachable(without_addresses(outcome.reply))


def recipient(notice_id: int) -> str:
    """Return the address that a notice goes to; empty if it is gone."""
    known = Notice.objects.filter(pk=notice_id).values_list("email", "subscriber__email")
    own, subscribers = known.first() or ("", "")
    return own or subscribers


@transaction.atomic
def claim_notice(notice_id: int, *, now: datetime) -> Claim | None:
    """Claim a pending notice and give it a fresh token; None if it is not ours to send.

    The token is made here, so that it never lies in the outbox.
    """
    taken = Notice.objects.open(now).filter(pk=notice_id)
    if not taken.update(
        state=Notice.State.SUBMITTING, submitted_at=now, attempts=F("attempts") + 1
    ):
        return None
    notice = Notice.objects.get(pk=notice_id)
    subscriber = Subscriber.objects.select_for_update().get(pk=notice.subscriber_id)
    kind = Notice.Kind(notice.kind)
    barred = is_barred(address_hash(notice.email or subscriber.email))
    if barred or subscriber.state not in WANTED_BY.get(kind, READING):
        close(notice, Notice.State.REFUSED, "not wanted any more")
        return None
    preferences = bound_to(notice, subscriber)
    topics = Topic.objects.filter(slug__in=preferences.topics)
    return Claim(
        notice=notice,
        subscriber=subscriber,
        preferences=preferences,
        topics=list(topics.values_list("label", flat=True)),
        token=link_for(notice, subscriber, preferences, now=now),
    )


def link_for(
    notice: Notice, subscriber: Subscriber, preferences: Preferences, *, now: datetime
) -> str:
    """Return a new token for the link in this mail; empty if it holds none."""
    purpose = PURPOSES.get(Notice.Kind(notice.kind))
    if purpose is None:
        return ""
    confirmed = asdict(preferences) if purpose == Link.Purpose.CONFIRM else None
    return links.make(
        subscriber,
        purpose,
        now=now,
        email=notice.email,
        preferences=confirmed,
        beside=notice.kind == Notice.Kind.REMINDER,
    )


def hand_over(
    claim: Claim, mails: SingleMails, mailer: SingleMail, *, now: datetime
) -> Outcome:
    """Return the outcome of one mail. An error nobody expected is recorded, then raised."""
    try:
        message = compose(claim, now=now)
        message.message()
    except Exception as error:
        close(claim.notice, Notice.State.REFUSED, type(error).__name__)
        raise
    try:
        return mails.hand_over(message, mailer)
    except Exception as error:
        close(claim.notice, Notice.State.UNKNOWN, type(error).__name__)
        raise


def record_outcome(notice: Notice, outcome: Outcome, *, now: datetime) -> None:
    """Write the outcome; a no for now is tried again later.

    At most ATTEMPTS times, unless it is the relay's fault or ours: then until TOO_OLD.
    """
    state = STATES[outcome.verdict]
    if state == Notice.State.PENDING and outcome.charged and notice.attempts >= ATTEMPTS:
        state = Notice.State.REFUSED
    reason = "" if state == Notice.State.ACCEPTED else outcome.reply or outcome.reason
    wait = FIRST_WAIT * 4 ** min(notice.attempts - 1, MOST_GROWTH)
    close(notice, state, reason, not_before=now + wait)
    logger.info("notice %s of kind %s: %s", notice.pk, notice.kind, state)


def close(
    notice: Notice,
    state: Notice.State,
    reason: str,
    *,
    not_before: datetime | None = None,
) -> None:
    """Write the outcome, unless another attempt has begun since.

    An answer that comes after the sweep still ends an unknown, but never reopens it.
    """
    states = [Notice.State.SUBMITTING]
    if state != Notice.State.PENDING:
        states.append(Notice.State.UNKNOWN)
    ours = Notice.objects.filter(pk=notice.pk, attempts=notice.attempts, state__in=states)
    ours.update(
        state=state,
        reason=printable(reason)[:200],
        not_before=not_before or notice.not_before,
    )


def printable(words: str) -> str:
    return "".join(c if c.isprintable() else " " for c in words)


def sweep(*, now: datetime) -> None:
    """End what a dead worker left open, and what has waited too long to be of use."""
    silent = Notice.objects.filter(
        state=Notice.State.SUBMITTING, submitted_at__lt=now - SILENT_FOR
    ).update(state=Notice.State.UNKNOWN, reason="no outcome recorded")
    late = Notice.objects.filter(
        state=Notice.State.PENDING, created_at__lt=now - TOO_OLD
    ).update(state=Notice.State.REFUSED, reason="too late")
    if silent or late:
        logger.warning("swept notices: %s unknown, %s too late", silent, late)
