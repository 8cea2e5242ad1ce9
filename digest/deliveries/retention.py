"""What of the ledger is dropped, and when: rows of editions 90 days after their day.

With them go their history and the frames that mails were made with; an edition itself
and its blocks stay, as the archive shows them.
"""

from datetime import datetime, timedelta

from django.db import connection, transaction

from digest.models import Delivery, DeliveryEvent, Edition, Frame
from digest.sql import id_list

KEPT = timedelta(days=90)
# A short transaction each: senders never wait for it.
BATCH = 5000


def drop_old(now: datetime, *, batches: int = 100) -> int:
    """Drop rows that are kept no longer, so many batches at most; how many went.

    What was cut short goes on at the next call. An open row is never dropped.
    """
    dropped = 0
    for edition in Edition.objects.filter(day__lt=(now - KEPT).date()).order_by("day"):
        over = Delivery.objects.filter(edition=edition, is_open=False)
        while batches and (ids := list(over.values_list("pk", flat=True)[:BATCH])):
            dropped += drop(ids)
            batches -= 1
        if not Delivery.objects.filter(edition=edition).exists():
            Frame.objects.filter(edition=edition).delete()
    old = DeliveryEvent.objects.filter(delivery=None, at__lt=now - KEPT)
    while batches and (ids := list(old.values_list("pk", flat=True)[:BATCH])):
        old.filter(pk__in=ids).delete()
        batches -= 1
    return dropped


HISTORY = "DELETE FROM digest_deliveryevent WHERE delivery_id {ids}"
ROWS = "DELETE FROM digest_delivery WHERE id {ids}"


def drop(ids: list[int]) -> int:
    """Two statements and no object: a day's million rows are two hundred of these."""
    among, values = id_list(ids)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(HISTORY.format(ids=among), [values])
        cursor.execute(ROWS.format(ids=among), [values])
        return int(cursor.rowcount)
