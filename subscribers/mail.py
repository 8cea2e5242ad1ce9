"""The one door for single mails: a Notice, its template triplet, one hand-over.

The connection is opened before the claim, so a mail server that is down costs no
notice an attempt. The claim commits `submitting` before the first byte; from then on
only an explicit no of the server allows a second try. What ends without an answer is
`unknown` and never sent again: its reader asks anew.
"""

import hashlib
import logging
import textwrap
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.message import EmailMessage
from email.policy import SMTP, Policy
from email.utils import format_datetime, parseaddr
from functools import partial

import css_inline
from django.conf import settings
from django.core.mail import EmailMultiAlternatives, mailers
from django.db import transaction
from django.db.models import F
from django.template.loader import render_to_string
from django.utils import translation

from subscribers import links
from subscribers.addresses import address_hash, masked
from subscribers.models import Link, Notice, Subscriber
from subscribers.replies import Outcome, meaning
from subscribers.suppression import is_barred

logger = logging.getLogger(__name__)

BATCH = 50
ATTEMPTS = 5
FIRST_WAIT = timedelta(minutes=1)  # then 4, 16 and 64
SILENT_FOR = timedelta(minutes=10)
TOO_OLD = timedelta(hours=48)
READING = {Subscriber.State.ACTIVE, Subscriber.State.PAUSED}
WANTED_BY: dict[Notice.Kind, set[Subscriber.State]] = {
    Notice.Kind.CONFIRM: {Subscriber.State.PENDING},
    Notice.Kind.REMINDER: {Subscriber.State.PENDING},
    Notice.Kind.DATA: set(Subscriber.State),
}
PURPOSES = {
    Notice.Kind.CONFIRM: Link.Purpose.CONFIRM,
    Notice.Kind.REMINDER: Link.Purpose.CONFIRM,
    Notice.Kind.ADDRESS: Link.Purpose.ADDRESS,
    Notice.Kind.DATA: Link.Purpose.DATA,
    Notice.Kind.ALREADY: Link.Purpose.PREFERENCES,
    Notice.Kind.PREFERENCES: Link.Purpose.PREFERENCES,
}
# To the reader's own mailbox only: /u/ belongs in no mail that may reach a stranger.
WITH_WAY_OUT = {Notice.Kind.ALREADY, Notice.Kind.PREFERENCES, Notice.Kind.MOVED}


class Unreachable(Exception):
    """The mail server takes no connection or no login; nothing was claimed."""


class SevenBitMail(EmailMultiAlternatives):
    """Parts in 7 bits (quoted-printable where needed), headers never folded.

    Python folds a long List-Unsubscribe or Message-ID into encoded words, which no
    mail program reads (RFC 8058 and RFC 5322 3.6.4 allow none).
    """

    def message(self, *, policy: Policy | None = None) -> EmailMessage:
        narrow = (policy or SMTP).clone(cte_type="7bit", max_line_length=76)
        built = super().message(policy=narrow)
        built.policy = built.policy.clone(max_line_length=998)
        # Short, as it is not folded; no quoted-printable text can hold it (RFC 2045 6.7).
        built.set_boundary("=_daily-papers")
        return built


@dataclass(frozen=True)
class Claim:
    """One notice that is ours to hand over, and what its templates need."""

    notice: Notice
    subscriber: Subscriber
    topics: list[str]
    token: str

    @property
    def kind(self) -> Notice.Kind:
        return Notice.Kind(self.notice.kind)

    @property
    def address(self) -> str:
        return self.notice.email or self.subscriber.email


def send_open_notices(*, now: datetime) -> None:
    """Send what is due, oldest first, a batch at most. Safe to run at once and twice."""
    due = Notice.objects.open(now).order_by("not_before", "pk")
    ids = list(due.values_list("pk", flat=True)[:BATCH])
    try:
        for notice_id in ids:
            send_notice(notice_id, now=now)
    except Unreachable as error:
        logger.warning("%s notices wait: mail server not reachable: %s", len(ids), error)


def send_notice(notice_id: int, *, now: datetime) -> None:
    """Claim one notice, hand it over, record the outcome. Raises Unreachable.

    Does nothing if it is not due, or somebody else has it.
    """
    mailer = mailers["default"]
    try:
        mailer.open()
    except OSError as error:  # smtplib's errors are among them
        raise Unreachable(type(error).__name__) from error
    try:
        claim = claim_notice(notice_id, now=now)
        if claim is not None:
            outcome = hand_over(claim, mailer.send_messages, now=now)
            record_outcome(claim.notice, outcome, now=now)
    finally:
        with suppress(OSError):
            mailer.close()


@transaction.atomic
def claim_notice(notice_id: int, *, now: datetime) -> Claim | None:
    """pending → submitting, with a fresh token; None if it is not ours to send.

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
        close(notice, Outcome(Notice.State.REFUSED, "not wanted any more"))
        return None
    purpose = PURPOSES.get(kind)
    return Claim(
        notice=notice,
        subscriber=subscriber,
        topics=list(subscriber.topics.values_list("label", flat=True)),
        token=links.make(subscriber, purpose, now=now, email=notice.email)
        if purpose
        else "",
    )


def hand_over(
    claim: Claim, send: Callable[[list[EmailMultiAlternatives]], int], *, now: datetime
) -> Outcome:
    """The outcome of one mail. An error nobody expected is recorded, then raised."""
    try:
        message = compose(claim, now=now)
        message.message()
    except Exception as error:
        close(claim.notice, Outcome(Notice.State.REFUSED, type(error).__name__))
        raise
    try:
        send([message])
    except Exception as error:
        outcome = meaning(error)
        if outcome is None:
            close(claim.notice, Outcome(Notice.State.UNKNOWN, type(error).__name__))
            raise
        return outcome
    return Outcome(Notice.State.ACCEPTED, "")


def record_outcome(notice: Notice, outcome: Outcome, *, now: datetime) -> None:
    """An explicit no comes back later, at most ATTEMPTS times; the rest is final."""
    if outcome.state == Notice.State.PENDING and notice.attempts >= ATTEMPTS:
        outcome = Outcome(Notice.State.REFUSED, outcome.reason)
    wait = FIRST_WAIT * 4 ** (notice.attempts - 1)
    close(notice, outcome, not_before=now + wait)
    logger.info("notice %s of kind %s: %s", notice.pk, notice.kind, outcome.state)


def close(notice: Notice, outcome: Outcome, *, not_before: datetime | None = None) -> None:
    """Write the outcome, unless another attempt has begun since.

    An answer that comes after the sweep still ends an unknown, but never reopens it.
    """
    states = [Notice.State.SUBMITTING]
    if outcome.state != Notice.State.PENDING:
        states.append(Notice.State.UNKNOWN)
    ours = Notice.objects.filter(pk=notice.pk, attempts=notice.attempts, state__in=states)
    ours.update(
        state=outcome.state,
        reason=outcome.reason,
        not_before=not_before or notice.not_before,
    )


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


def compose(claim: Claim, *, now: datetime) -> EmailMultiAlternatives:
    """The mail of one notice, in its reader's language.

    To confirm, it holds no word that a stranger chose.
    """
    name = f"mail/{claim.kind}"
    context = links_of(claim) | {
        "masked_email": masked(claim.address),
        "subscriber": claim.subscriber,
        "schedule": claim.subscriber.schedule,
        "topics": claim.topics,
        "site_url": settings.SITE_URL,
        "postal_address": settings.POSTAL_ADDRESS,
    }
    with translation.override(language_of(claim.subscriber)):
        subject = render_to_string(f"{name}.subject.txt", context, using="text")
        text = render_to_string(f"{name}.txt", context, using="text")
        html = render_to_string(f"{name}.html", context, using="html")
    message = SevenBitMail(
        subject=" ".join(subject.split()),
        body=wrapped(text),
        from_email=settings.FROM_EMAIL,
        to=[claim.address],
        headers=headers(claim, now=now),
    )
    inliner = css_inline.CSSInliner(load_remote_stylesheets=False)
    message.attach_alternative(inliner.inline(html), "text/html")
    if claim.kind in WITH_WAY_OUT:
        message.extra_headers |= one_click(claim.subscriber)
    return message


def language_of(subscriber: Subscriber) -> str:
    """English, if the reader's own is offered no more."""
    code = subscriber.language
    return code if code in dict(settings.LANGUAGES) else settings.LANGUAGE_CODE


def wrapped(text: str) -> str:
    """Lines of at most 72 characters; a link, being one word, is never broken."""
    fill = partial(textwrap.fill, width=72, break_long_words=False, break_on_hyphens=False)
    lines = text.split("\n")
    return "\n".join(fill(line) if len(line) > 72 else line for line in lines)


def links_of(claim: Claim) -> dict[str, object]:
    found: dict[str, object] = {}
    if purpose := PURPOSES.get(claim.kind):
        found[f"{purpose}_url"] = links.url(purpose, claim.token)
        if purpose in {Link.Purpose.CONFIRM, Link.Purpose.ADDRESS}:
            found["block_url"] = links.url("block", claim.token)
    if claim.kind in WITH_WAY_OUT:
        token = claim.subscriber.unsubscribe_token
        found["unsubscribe_url"] = links.unsubscribe_url(token)
    return found


def headers(claim: Claim, *, now: datetime) -> dict[str, str]:
    """Of every single mail: RFC 3834 for automatic mail, and a name of its own."""
    notice = claim.notice
    seed = f"{notice.pk} {notice.created_at.isoformat()}"
    digest = hashlib.sha256(seed.encode()).hexdigest()[:16]
    domain = parseaddr(settings.FROM_EMAIL)[1].rpartition("@")[2]
    return {
        "Message-ID": f"<notice-{notice.pk}-{digest}@{domain}>",
        "Date": format_datetime(now),
        "Auto-Submitted": "auto-generated",
        "X-Auto-Response-Suppress": "All",
    }


def one_click(subscriber: Subscriber) -> dict[str, str]:
    """RFC 8058."""
    url = links.unsubscribe_url(subscriber.unsubscribe_token)
    return {
        "List-Unsubscribe": f"<{url}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }
