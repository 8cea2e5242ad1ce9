"""What this side holds of one person: to be shown to them, and to be let go of."""

from typing import Any

from django.db.models import Q

from digest.models import Delivery, DeliveryEvent, Vote
from subscribers.models import Subscriber


def held(subscriber_id: int) -> dict[str, list[dict[str, object]]]:
    """Table name → rows, for the reader's own copy of their data."""
    fields = ["edition__kind", "edition__day", "state", "due_at", "picks", "reason"]
    fields += ["reply", "intent_at", "outcome_at"]
    rows = Delivery.objects.of_readers(subscriber_id).order_by("pk")
    ids = list(rows.values_list("pk", flat=True))
    reports = DeliveryEvent.objects.filter(delivery__in=ids)
    votes = Vote.objects.filter(subscriber=subscriber_id).order_by("pk")
    told = ["delivery__edition__day", "at", "source", "kind", "reason", "reply"]
    return {
        "deliveries": [dict(row) for row in rows.values(*fields)],
        "delivery_events": [dict(row) for row in reports.values(*told)],
        "votes": [dict(row) for row in votes.values("paper__arxiv_id", "value", "at")],
    }


def forget(sender: type[Subscriber], instance: Subscriber, **kwargs: Any) -> None:
    """Before a reader's row goes: its deliveries are nobody's, and without the server's
    replies, which often repeat the address."""
    ids = list(Delivery.objects.of_readers(instance.pk).values_list("pk", flat=True))
    theirs = Q(email_hash=instance.email_hash) | Q(delivery__in=ids)
    DeliveryEvent.objects.filter(theirs).update(reply="", email_hash="")
    Delivery.objects.filter(pk__in=ids).update(reply="", subscriber=None)
