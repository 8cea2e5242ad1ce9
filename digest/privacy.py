"""What this side holds of one person: to be shown to them, and to be let go of."""

from typing import Any

from django.db.models import Q

from digest.models import Delivery, DeliveryEvent, Vote
from subscribers import consent
from subscribers.models import Subscriber


def held(subscriber: Subscriber) -> dict[str, list[dict[str, object]]]:
    """Table name → rows, for the reader's own copy of their data."""
    fields = ["edition__kind", "edition__day", "state", "due_at", "picks", "reason"]
    fields += ["reply", "intent_at", "outcome_at"]
    rows = Delivery.objects.of_readers(subscriber.pk).order_by("pk")
    ids = list(rows.values_list("pk", flat=True))
    reports = DeliveryEvent.objects.filter(Q(delivery__in=ids) | unmatched(subscriber))
    votes = Vote.objects.filter(subscriber=subscriber).order_by("pk")
    told = ["delivery__edition__day", "at", "source", "kind", "reason", "reply"]
    return {
        "deliveries": [dict(row) for row in rows.values(*fields)],
        "delivery_events": [dict(row) for row in reports.values(*told)],
        "votes": [dict(row) for row in votes.values("paper__arxiv_id", "value", "at")],
    }


def unmatched(subscriber: Subscriber) -> Q:
    """Reports on an address of theirs, former ones too, that name no delivery.

    A former address that has another reader by now is left to that one.
    """
    hashes = list(consent.addresses_of(subscriber))
    others = Subscriber.objects.filter(email_hash__in=hashes).exclude(pk=subscriber.pk)
    foreign = others.values_list("email_hash", flat=True)
    return Q(delivery=None, email_hash__in=set(hashes) - set(foreign))


def forget(sender: type[Subscriber], instance: Subscriber, **kwargs: Any) -> None:
    """Make a reader's deliveries nobody's before the reader's row goes.

    They stay without the server's replies, which often repeat the address.
    """
    ids = list(Delivery.objects.of_readers(instance.pk).values_list("pk", flat=True))
    theirs = Q(delivery__in=ids) | unmatched(instance)
    DeliveryEvent.objects.filter(theirs).update(reply="", email_hash="")
    Delivery.objects.filter(pk__in=ids).update(reply="", subscriber=None)
