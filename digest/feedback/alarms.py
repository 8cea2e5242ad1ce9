"""Alarms: checks for what must never happen, independent of the code that prevents it.

An alarm pauses the editions that it is about, once, and tells the ADMINS. It costs a scan
of a day's deliveries, so it runs every few minutes and not with each tick.
"""

import logging
from collections.abc import Collection
from datetime import datetime, timedelta

from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet

from digest.deliveries import control, schedule
from digest.feedback import bounce_rules
from digest.logs import alert
from digest.models import Delivery, DeliveryEvent, Edition
from subscribers.models import Subscriber

logger = logging.getLogger(__name__)

State = Delivery.State
DAY = timedelta(hours=24)
# The mail may be with the reader.
HANDED = (State.SUBMITTING, State.ACCEPTED, State.UNKNOWN)
# In a day: a daily, a weekly, and one that was late. A day in the past that an operator
# sends by hand is none of these: it goes out when the plan would have given it up.
MOST_A_DAY = 3
IN_TIME = Q(
    edition__kind=Edition.Kind.DAILY, intent_at__lt=F("due_at") + schedule.DAILY_LATENESS
) | Q(
    edition__kind__in=[Edition.Kind.WEEKLY, Edition.Kind.MISSED],
    intent_at__lt=F("due_at") + schedule.WEEKLY_LATENESS,
)
# Only editions this new can have mails of the last day: later ones are expired.
RECENT = timedelta(days=3)
ALARMING = ("bounced", "complained")
LATELY = timedelta(hours=1)
MOST = 1000  # a thousand are enough for an alarm


def watch(now: datetime) -> list[Edition]:
    """Pause editions of which mails went out twice; return the paused ones."""
    for edition in recently_reported(now):
        if words := bounce_rules.warning(feedback_counts(edition)):
            logger.warning("%s: %s", edition, words)
    paused = []
    for reason, ids in (
        (
            "an address was handed two mails of an edition, or too many in a day",
            over_handed(now),
        ),
        ("the provider has reported two mails of one delivery", reported_twice(now)),
    ):
        held = pause(ids, reason)
        if held:
            paused += held
            editions = ", ".join(map(str, held))
            some = ", ".join(map(str, sorted(ids)[:10]))
            alert(f"{editions}: paused, {reason}. Look at `manage.py delivery` of {some}")
    return paused


def over_handed(now: datetime) -> set[int]:
    """Return ids of the last day's deliveries to readers who were handed too many.

    Counts by reader, which compares no text; then by address, for the few readers who
    share one, which should never happen.
    """
    recent = Edition.objects.filter(published_at__gte=now - RECENT)
    handed = Delivery.objects.filter(
        edition__in=list(recent.values_list("pk", flat=True)),
        state__in=HANDED,
        intent_at__gte=now - DAY,
        subscriber__isnull=False,
    )
    found = over_limit(handed, "subscriber")
    people = Subscriber.objects.values("email_hash").annotate(rows=Count("pk"))
    shared = list(people.filter(rows__gt=1).values_list("email_hash", flat=True)[:MOST])
    if shared:
        theirs = handed.filter(subscriber__email_hash__in=shared)
        found |= over_limit(theirs, "subscriber__email_hash")
    return found


def over_limit(handed: QuerySet[Delivery], whose: str) -> set[int]:
    """Return ids of the deliveries whose group (by the field `whose`) is over the limit."""
    counted = handed.values(whose).annotate(
        mails=Count("pk"),
        editions=Count("edition", distinct=True),
        in_time=Count("pk", filter=IN_TIME),
    )
    wrong = counted.filter(Q(mails__gt=F("editions")) | Q(in_time__gt=MOST_A_DAY))
    names = list(wrong.values_list(whose, flat=True)[:MOST])
    rows = handed.filter(**{f"{whose}__in": names}) if names else handed.none()
    return set(rows.values_list("pk", flat=True))


def reported_twice(now: datetime) -> set[int]:
    """Return ids of deliveries with reports of two mails that no operator sent again."""
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
    """Pause the deliveries' editions that are going out and were never resumed; return them."""
    if not ids:
        return []
    among = Edition.objects.filter(delivery__in=ids, hold=Edition.Hold.NONE)
    going = among.filter(resumed_at=None).distinct()
    return [edition for edition in going if control.pause(edition, reason)]


def pause_alarming(now: datetime) -> list[Edition]:
    """Pause editions of which too many mails bounce or are reported as spam."""
    paused = []
    for edition in recently_reported(now):
        reason = bounce_rules.alarm(feedback_counts(edition))
        # Pause once only: an operator who resumed it has looked at it.
        if reason and edition.resumed_at is None and control.pause(edition, reason):
            alert(f"{edition} is paused: too many mails bounced or were reported")
            paused.append(edition)
    return paused


def recently_reported(now: datetime) -> list[Edition]:
    """Return editions not held whose mails bounced or were reported in the last hour."""
    lately = DeliveryEvent.objects.filter(
        kind__in=ALARMING, at__gte=now - LATELY, delivery__isnull=False
    )
    ids = set(lately.values_list("delivery__edition", flat=True))
    return list(Edition.objects.filter(pk__in=ids, hold=Edition.Hold.NONE))


def feedback_counts(edition: Edition) -> bounce_rules.FeedbackCounts:
    """Count each mail once; count `accepted` only as far as it can matter."""
    events = DeliveryEvent.objects.filter(
        delivery__edition=edition, kind__in=ALARMING, at__gte=edition.published_at
    )
    count = dict(events.values_list("kind").annotate(Count("delivery", distinct=True)))
    bounced, complained = count.get("bounced", 0), count.get("complained", 0)
    accepted = Delivery.objects.filter(edition=edition, state=State.ACCEPTED)
    matters = bounce_rules.most_that_matter(bounced, complained)
    return bounce_rules.FeedbackCounts(accepted[:matters].count(), bounced, complained)
