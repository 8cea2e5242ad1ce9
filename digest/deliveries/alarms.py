"""Alarms: a look at what must never be, apart from the code that is to prevent it.

An alarm pauses the editions that it is about, once, and tells the ADMINS. It costs a scan
of a day's deliveries, so it runs every few minutes and not with each tick.
"""

import logging
from collections.abc import Collection
from datetime import datetime, timedelta

from django.core.mail import mail_admins
from django.db.models import Count, Exists, F, OuterRef, Q

from digest.deliveries import bounces, control
from digest.models import Delivery, DeliveryEvent, Edition

logger = logging.getLogger(__name__)

State = Delivery.State
DAY = timedelta(hours=24)
# The mail may be with the reader.
HANDED = (State.SUBMITTING, State.ACCEPTED, State.UNKNOWN)
# In a day: a daily, a weekly, and one that was late.
MOST_A_DAY = 3
MOST_NAMED = 1000


def watch(now: datetime) -> list[Edition]:
    """Look for mails that went out twice; the editions that were paused because of it."""
    for edition in control.lately_reported(now):
        if words := bounces.warning(control.toll(edition)):
            logger.warning("%s: %s", edition, words)
    paused = []
    for reason, ids in (
        ("an address was handed two mails of an edition, or too many in a day", twice(now)),
        ("the provider has reported two mails of one delivery", doubled(now)),
    ):
        held = pause(ids, reason)
        if held:
            paused += held
            editions = ", ".join(map(str, held))
            some = ", ".join(map(str, sorted(ids)[:10]))
            page(f"{editions}: paused, {reason}. Look at `manage.py delivery` of {some}")
    return paused


def twice(now: datetime) -> set[int]:
    """Deliveries of the last day to addresses that were handed more than they may get."""
    handed = Delivery.objects.filter(
        state__in=HANDED, intent_at__gte=now - DAY, subscriber__isnull=False
    )
    counted = handed.values("subscriber__email_hash").annotate(
        mails=Count("pk"), editions=Count("edition", distinct=True)
    )
    wrong = counted.filter(Q(mails__gt=F("editions")) | Q(mails__gt=MOST_A_DAY))
    hashes = list(wrong.values_list("subscriber__email_hash", flat=True)[:MOST_NAMED])
    rows = handed.filter(subscriber__email_hash__in=hashes)
    return set(rows.values_list("pk", flat=True)) if hashes else set()


def doubled(now: datetime) -> set[int]:
    """Deliveries of which reports name two mails, and that no operator had sent again."""
    lately = DeliveryEvent.objects.filter(
        at__gte=now - DAY, source=DeliveryEvent.Source.PROVIDER, delivery__isnull=False
    )
    again = DeliveryEvent.objects.filter(
        delivery=OuterRef("delivery"),
        source=DeliveryEvent.Source.OPERATOR,
        kind=State.PENDING,
    )
    mails = lately.exclude(message_id="").filter(~Exists(again)).values("delivery")
    counted = mails.annotate(mails=Count("message_id", distinct=True))
    wrong = counted.filter(mails__gt=1).values_list("delivery", flat=True)
    return set(wrong[:MOST_NAMED])


def pause(ids: Collection[int], reason: str) -> list[Edition]:
    """Those of the deliveries' editions that were going out, and that nobody resumed."""
    if not ids:
        return []
    among = Edition.objects.filter(delivery__in=ids, hold=Edition.Hold.NONE)
    going = among.exclude(hold_reason=control.RESUMED).distinct()
    return [edition for edition in going if control.pause(edition, reason)]


def page(words: str) -> None:
    """Log it as an error, and mail it to the ADMINS; that may fail as all mail may."""
    logger.error(words)
    try:
        mail_admins(words[:100], words)
    except Exception as error:  # of whatever transport
        logger.error("the ADMINS could not be told: %s", type(error).__name__)
