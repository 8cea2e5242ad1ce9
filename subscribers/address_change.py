"""Mail at another address: confirmed at the new one, told to the old one."""

from datetime import datetime

from django.db import transaction
from django.db.models import QuerySet

from subscribers import links
from subscribers.addresses import address_hash
from subscribers.consent import Origin, record
from subscribers.models import ConsentEvent, Link, Notice, Subscriber, Suppression
from subscribers.notices import outbox
from subscribers.subscriptions import CONFIRMED, locked_with_mailbox
from subscribers.suppression import is_barred, lift, suppress


@transaction.atomic
def ask(subscriber_id: int, email: str, *, now: datetime) -> None:
    """Mail a link to the canonical new address, unless it is barred or reads already."""
    subscriber = locked_with_mailbox(subscriber_id, email)
    if subscriber is None or subscriber.state not in CONFIRMED:
        return
    if not is_barred(address_hash(email)) and not holders(email).exists():
        outbox.enqueue(subscriber, Notice.Kind.ADDRESS, now=now, email=email)


@transaction.atomic
def confirm(token: str, *, origin: Origin, now: datetime) -> Subscriber:
    """Move to the new address by the link that was mailed to it.

    No import of an old list brings the old one back; a sign-up of its holder does.

    Raises links.BadLink; links.Expired also if the address reads already or is barred.
    """
    link = links.read(token, Link.Purpose.ADDRESS, now=now)
    subscriber = locked_with_mailbox(link.subscriber_id)
    if subscriber is None:
        raise links.Unknown
    taken = holders(link.email).exclude(pk=subscriber.pk).exists()
    if subscriber.state not in CONFIRMED or taken or is_barred(address_hash(link.email)):
        raise links.Expired(link)
    links.use_up(link, now=now)
    old = subscriber.email
    outbox.enqueue(subscriber, Notice.Kind.MOVED, now=now, email=old)
    in_the_way = Subscriber.objects.filter(email_hash=address_hash(link.email))
    in_the_way.exclude(pk=subscriber.pk).delete()  # a row that never confirmed, or left
    subscriber.email = link.email
    subscriber.email_hash = address_hash(link.email)
    subscriber.changed_at = now
    subscriber.save(update_fields=["email", "email_hash", "changed_at"])
    lift(subscriber.email_hash)
    suppress(address_hash(old), Suppression.Reason.LEFT, now=now)
    links.end_all(subscriber, now=now)
    detail: dict[str, object] = {"link": link.pk, "from": address_hash(old)}
    record(subscriber, ConsentEvent.Kind.MOVED, origin=origin, now=now, detail=detail)
    return subscriber


def holders(email: str) -> QuerySet[Subscriber]:
    return Subscriber.objects.filter(email_hash=address_hash(email), state__in=CONFIRMED)
