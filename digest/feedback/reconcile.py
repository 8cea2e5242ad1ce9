"""Resolve unknown deliveries by reports about them: a report is evidence.

Runs after each batch of reports and in the sweep, so it does not matter whether the
report or the end of the lease comes first.
"""

from collections.abc import Collection
from datetime import datetime, timedelta

from anymail.signals import EventType
from django.db.models import Exists, OuterRef

from digest.deliveries import control
from digest.models import Delivery, DeliveryEvent

State = Delivery.State
PROVIDER = DeliveryEvent.Source.PROVIDER

# The server has had the mail, whatever became of it then.
TAKEN = {
    EventType.QUEUED,
    EventType.SENT,
    EventType.DELIVERED,
    EventType.DEFERRED,
    EventType.BOUNCED,
    EventType.COMPLAINED,
    EventType.OPENED,
    EventType.CLICKED,
}
# The server says that it will not send it.
NOT_TAKEN = {EventType.REJECTED, EventType.FAILED}
# Others' clocks differ from ours, and some count whole seconds.
CLOCKS_DIFFER = timedelta(minutes=5)
BATCH = 1000


def resolve_reported(now: datetime, *, among: Collection[int] | None = None) -> int:
    """Resolve unknown rows that have a report; return the number. `among`: ids."""
    rows = Delivery.objects.filter(is_unknown=True)
    if among is not None:
        rows = rows.filter(pk__in=among)
    count = 0
    for kinds, state in ((TAKEN, State.ACCEPTED), (NOT_TAKEN, State.REFUSED)):
        reports = DeliveryEvent.objects.filter(
            delivery=OuterRef("pk"),
            source=PROVIDER,
            kind__in=kinds,
            at__gte=OuterRef("intent_at") - CLOCKS_DIFFER,
        )
        known = rows.filter(Exists(reports))
        ids = list(known.values_list("pk", flat=True)[:BATCH])
        if ids:
            count += control.settle(
                ids, state, Delivery.Reason.REPORTED, source=PROVIDER, now=now
            )
    return count
