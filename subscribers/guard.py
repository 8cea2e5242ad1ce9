"""How often one mailbox may be written to because somebody typed its address.

Counted on the target, in the outbox itself: every single mail we owe is a Notice that
carries the counting key of its mailbox, whoever asked and from wherever.
"""

from datetime import datetime, timedelta

from django.db import connection

from subscribers.models import Notice

PAUSE = timedelta(minutes=15)
DAY = timedelta(hours=24)
DAILY = 3


def one_at_a_time(mailbox: str) -> None:
    """Until the transaction ends, nobody else counts or signs up this mailbox.

    A row lock cannot do it: at a first sign-up there is no row yet. On SQLite the
    immediate transaction already stands alone.
    """
    if connection.vendor == "postgresql":
        number = int.from_bytes(bytes.fromhex(mailbox)[:8], signed=True)
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [number])


def may_write(mailbox: str, kind: Notice.Kind, *, now: datetime) -> bool:
    """At most one notice of a kind in 15 minutes and three in 24 hours.

    Call it under one_at_a_time, in the transaction that makes the notice.
    """
    recent = Notice.objects.filter(
        mailbox=mailbox, kind=kind, created_at__gt=now - DAY
    ).values_list("created_at", flat=True)
    instants = list(recent)
    return len(instants) < DAILY and all(at <= now - PAUSE for at in instants)
