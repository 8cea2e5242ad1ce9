"""What a provider reports of a mail later: bounced, complained, delivered …

Each report is kept once, in whatever order and however often it comes. It never moves a
delivery, but for one that is unknown, of which it is evidence. Words are Anymail's.
"""

import hashlib
import logging
from datetime import UTC, datetime, timedelta

from anymail.signals import AnymailTrackingEvent, EventType, RejectReason
from django.db import IntegrityError, transaction
from django.utils import timezone

from digest.deliveries import bounces
from digest.models import Delivery, DeliveryEvent
from subscribers import suppression
from subscribers.addresses import BadAddress, address_hash, canonical
from subscribers.models import Suppression

logger = logging.getLogger(__name__)

State = Delivery.State
# The provider has had the mail, whatever became of it then.
EVIDENCE = {
    EventType.SENT,
    EventType.DELIVERED,
    EventType.DEFERRED,
    EventType.BOUNCED,
    EventType.COMPLAINED,
    EventType.OPENED,
    EventType.CLICKED,
}
# Mailgun signs a token and a time, but not the report: each token counts once, and soon.
FRESH = timedelta(minutes=15)


class Replayed(Exception):
    """A report whose signature is too old: somebody may have kept it."""


def on_tracking(sender: object, event: AnymailTrackingEvent, **_: object) -> None:
    """Receiver of Anymail's `tracking`; an exception makes the provider send it again."""
    try:
        take(event, now=timezone.now())
    except Replayed:
        logger.warning("a provider's report with an old signature was ignored")


def take(event: AnymailTrackingEvent, *, now: datetime) -> bool:
    """Keep the report and do what follows from it; False if it was known. Raises Replayed."""
    delivery = delivery_of(event)
    owner = delivery.subscriber if delivery else None
    email_hash = owner.email_hash if owner else hash_of(event.recipient)
    words = " ".join(filter(None, [event.mta_response, event.description]))
    try:
        with transaction.atomic():
            DeliveryEvent.objects.create(
                delivery=delivery,
                email_hash=email_hash,
                at=event.timestamp or now,
                source=DeliveryEvent.Source.PROVIDER,
                kind=str(event.event_type)[:20],
                reason=str(event.reject_reason or "")[:60],
                reply=words.replace("\0", "")[:500],
                event_key=key(event, now=now),
            )
            if delivery and event.event_type in EVIDENCE:
                resolve(delivery, event, now=now)
            if email_hash and not is_older(event, delivery):
                judge(email_hash, event, words, now=now)
    except IntegrityError:
        if DeliveryEvent.objects.filter(event_key=key(event, now=now)).exists():
            return False
        raise
    return True


def delivery_of(event: AnymailTrackingEvent) -> Delivery | None:
    named = str((event.metadata or {}).get("delivery_id", ""))
    if not (named.isascii() and named.isdecimal() and len(named) < 19):
        return None
    return Delivery.objects.select_related("subscriber").filter(pk=int(named)).first()


def hash_of(recipient: str | None) -> str:
    try:
        return address_hash(canonical(recipient or ""))
    except BadAddress:
        return ""


def key(event: AnymailTrackingEvent, *, now: datetime) -> str:
    """The same for each repetition of a report. Raises Replayed."""
    signed = event.esp_event.get("signature") if isinstance(event.esp_event, dict) else None
    if isinstance(signed, dict) and "token" in signed:
        at = datetime.fromtimestamp(int(signed.get("timestamp", 0)), UTC)
        if abs(now - at) > FRESH:
            raise Replayed
        parts = [signed["token"]]
    else:
        parts = [event.event_id or "", event.event_type, event.message_id]
        parts += [event.recipient, "" if event.event_id else event.timestamp]
    return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()


def is_older(event: AnymailTrackingEvent, delivery: Delivery | None) -> bool:
    """About something before this mail was handed over."""
    if not (delivery and delivery.intent_at and event.timestamp):
        return False
    # Providers' clocks differ from ours, and some count whole seconds.
    return bool(event.timestamp < delivery.intent_at - timedelta(minutes=5))


def resolve(delivery: Delivery, event: AnymailTrackingEvent, *, now: datetime) -> None:
    rows = Delivery.objects.filter(pk=delivery.pk, state=State.UNKNOWN)
    rows.update(
        state=State.ACCEPTED,
        reason=f"the provider reported: {event.event_type}"[:60],
        outcome_at=now,
    )


def judge(
    email_hash: str, event: AnymailTrackingEvent, words: str, *, now: datetime
) -> None:
    """Write no more to who complained, to what does not exist or bounces on and on."""
    Reason = Suppression.Reason
    if event.event_type == EventType.COMPLAINED:
        suppression.suppress(email_hash, Reason.COMPLAINED, now=now)
    elif event.event_type == EventType.UNSUBSCRIBED:
        suppression.suppress(email_hash, Reason.LEFT, now=now)
    elif event.event_type in {EventType.BOUNCED, EventType.REJECTED}:
        if bounces.POLICY.search(words):
            return  # about the mail or about us, not about the address
        gone = bounces.NO_SUCH_ADDRESS.search(words)
        if gone or event.reject_reason == RejectReason.INVALID or worn_out(email_hash):
            suppression.suppress(email_hash, Reason.BOUNCED, now=now)


def worn_out(email_hash: str) -> bool:
    bounced = DeliveryEvent.objects.filter(email_hash=email_hash, kind=EventType.BOUNCED)
    days = [
        at.date()
        for at, words in bounced.values_list("at", "reply")
        if not bounces.POLICY.search(words)
    ]
    return bounces.score(days) >= bounces.ENOUGH
