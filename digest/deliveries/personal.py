"""What the ledger holds of one person: to be shown to them, and to be let go of."""

from typing import Any

from digest.models import Delivery
from subscribers.models import Subscriber


def held(subscriber_id: int) -> dict[str, list[dict[str, object]]]:
    """Table name → rows, for the reader's own copy of their data."""
    fields = ["edition__kind", "edition__day", "state", "due_at", "picks", "reason"]
    fields += ["reply", "intent_at", "outcome_at"]
    rows = Delivery.objects.filter(subscriber=subscriber_id).order_by("pk")
    return {"deliveries": [dict(row) for row in rows.values(*fields)]}


def forget(sender: type[Subscriber], instance: Subscriber, **kwargs: Any) -> None:
    """Before a reader's row goes: a server's reply often repeats the address."""
    Delivery.objects.filter(subscriber=instance.pk).exclude(reply="").update(reply="")
