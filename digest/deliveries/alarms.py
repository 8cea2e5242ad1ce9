"""Alarms: a look at what must never be, apart from the code that is to prevent it.

An alarm pauses the editions that it is about, once, and tells the ADMINS. It costs a scan
of a day's deliveries, so it runs every few minutes and not with each tick.
"""

import logging
from collections.abc import Collection
from datetime import datetime, timedelta

from django.core.mail import mail_admins
from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet

from digest.deliveries import bounces, control
from digest.models import Delivery, DeliveryEvent, Edition
from digest.scrub import scrub
from subscribers.models import Subscriber

logger = logging.getLogger(__name__)

State = Delivery.State
DAY = timedelta(hours=24)
# The mail may be with the reader.
HANDED = (State.SUBMITTING, State.ACCEPTED, State.UNKNOWN)
# In a day: a daily, a weekly, and one that was late.
MOST_A_DAY = 3
# Whose mails of the last day may be: later ones are expired.
RECENT = timedelta(days=3)
MOST = 1000  # a thousand are enough for an alarm


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
    """Deliveries of the last day to readers who were handed more than they may get.

    By reader, which needs no text compared; then by address, for the few readers who
    share one, which there should never be.
    """
    recent = Edition.objects.filter(published_at__gte=now - RECENT)
    handed = Delivery.objects.filter(
        edition__in=list(recent.values_list("pk", flat=True)),
        state__in=HANDED,
        intent_at__gte=now - DAY,
        subscriber__isnull=False,
    )
    found = crowded(handed, "subscriber")
    people = Subscriber.objects.values("email_hash").annotate(rows=Count("pk"))
    shared = list(people.filter(rows__gt=1).values_list("email_hash", flat=True)[:MOST])
    if shared:
        theirs = handed.filter(subscriber__email_hash__in=shared)
        found |= crowded(theirs, "subscriber__email_hash")
    return found


def crowded(handed: QuerySet[Delivery], whose: str) -> set[int]:
    """Ids of those among them that are too many for the one whose they are."""
    counted = handed.values(whose).annotate(
        mails=Count("pk"), editions=Count("edition", distinct=True)
    )
    wrong = counted.filter(Q(mails__gt=F("editions")) | Q(mails__gt=MOST_A_DAY))
    names = list(wrong.values_list(whose, flat=True)[:MOST])
    rows = handed.filter(**{f"{whose}__in": names}) if names else handed.none()
    return set(rows.values_list("pk", flat=True))


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
    return set(wrong[:MOST])


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
    words = scrub(words)
    try:
        mail_admins(words[:100], words)
    except Exception as error:  # of whatever transport
        logger.error("the ADMINS could not be told: %s", type(error).__name__)
