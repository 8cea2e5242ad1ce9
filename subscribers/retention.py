"""How long rows are kept, and the one reminder before an unconfirmed address goes.

| what | how long |
|---|---|
| an address that never confirmed | 7 days |
| a reader who has left | 90 days; then the keyed hash alone stays |
| requests at the forms | 24 hours, without the person as soon as they are handled |
| links, single mails | 90 days |
| uploaded files of readers | until they are imported, 1 day at most; their reports 90 days |
| remembered browsers | 30 days, or until the reader leaves or changes the address |
| receipts of readers whose row is gone | 3 years; then blanked |
"""

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Exists, Max, OuterRef

from subscribers import consent, import_jobs, privacy
from subscribers.models import Browser, ConsentEvent, Link, Notice, Request, Subscriber
from subscribers.notices import outbox
from subscribers.subscriptions import State, locked, locked_with_mailbox

REMIND_AFTER = timedelta(hours=24)
REMIND_UNTIL = timedelta(hours=47)
UNCONFIRMED = timedelta(days=7)
LEFT = timedelta(days=90)
REQUESTS = timedelta(hours=24)
MAILS = timedelta(days=90)
RECEIPTS = timedelta(days=3 * 365)
BATCH = 500


def remind(now: datetime) -> int:
    """Enqueue one reminder each for those who asked a day ago and have not confirmed.

    Returns how many.
    """
    mails = Notice.objects.filter(subscriber=OuterRef("pk"))
    asked = mails.filter(kind=Notice.Kind.CONFIRM, state=Notice.State.ACCEPTED)
    waiting = Subscriber.objects.filter(
        Exists(asked),
        ~Exists(mails.filter(kind=Notice.Kind.REMINDER)),
        state=State.PENDING,
        changed_at__lte=now - REMIND_AFTER,
        changed_at__gt=now - REMIND_UNTIL,
    )
    ids = list(waiting.values_list("pk", flat=True)[:BATCH])
    return sum(remind_one(pk, now=now) for pk in ids)


@transaction.atomic
def remind_one(subscriber_id: int, *, now: datetime) -> bool:
    subscriber = locked_with_mailbox(subscriber_id)
    kind = Notice.Kind.REMINDER
    if subscriber is None or subscriber.state != State.PENDING:
        return False
    if Notice.objects.filter(subscriber=subscriber, kind=kind).exists():
        return False
    asked = outbox.last_asked(subscriber)
    outbox.enqueue(subscriber, kind, now=now, preferences=asked)
    return True


def purge(now: datetime) -> None:
    """Delete all that is past its time. Safe to run twice, at once, or half-way."""
    rows = Subscriber.objects.values_list("pk", flat=True)
    stale = rows.filter(state=State.PENDING, changed_at__lte=now - UNCONFIRMED)
    for pk in list(stale[:BATCH]):
        drop_unconfirmed(pk, now=now)
    gone = rows.filter(state=State.UNSUBSCRIBED, changed_at__lte=now - LEFT)
    Subscriber.objects.filter(pk__in=list(gone[:BATCH]), state=State.UNSUBSCRIBED).delete()
    Request.objects.filter(at__lte=now - REQUESTS, handled_at__isnull=False).delete()
    Link.objects.filter(expires_at__lte=now - MAILS).delete()
    Browser.objects.filter(expires_at__lte=now).delete()
    import_jobs.purge(now)
    final = Notice.objects.exclude(state__in=["pending", "submitting"])
    final.filter(created_at__lte=now - MAILS).delete()
    # Receipts of a reader's row are kept with it, whatever address they were given under.
    gone_for_long = ConsentEvent.objects.filter(at__lte=now - RECEIPTS, subscriber=None)
    known = Subscriber.objects.filter(email_hash=OuterRef("email_hash"))
    old = gone_for_long.exclude(email_hash="").exclude(Exists(known))
    consent.blank(list(old.values_list("pk", flat=True)[:BATCH]))


@transaction.atomic
def drop_unconfirmed(subscriber_id: int, *, now: datetime) -> None:
    """Erase the row; one that was once confirmed reverts to unsubscribed, with its receipts.

    It reverts as of the day on which the reader left: by signing them up again and again, a
    stranger could otherwise keep us from ever deleting them.
    """
    subscriber = locked(subscriber_id)
    if subscriber is None or subscriber.state != State.PENDING:
        return
    if now - subscriber.changed_at < UNCONFIRMED:
        return
    once = {ConsentEvent.Kind.CONFIRMED, ConsentEvent.Kind.IMPORTED}
    receipts = consent.of_person(subscriber)
    if receipts.filter(kind__in=once).exists():
        gone = {ConsentEvent.Kind.UNSUBSCRIBED, ConsentEvent.Kind.BLOCKED}
        left = receipts.filter(kind__in=gone).aggregate(at=Max("at"))["at"] or now
        Subscriber.objects.filter(pk=subscriber.pk).update(
            state=State.UNSUBSCRIBED, unsubscribed_at=left, changed_at=left
        )
    else:
        privacy.erase(subscriber.pk, now=now)
