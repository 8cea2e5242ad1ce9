"""The single mails we owe: rows of Notice, written in the transaction that causes them.

send.py hands them over. A link is mailed again here too, under the same quota and with
the same silence towards whoever asks.
"""

from collections.abc import Mapping
from datetime import datetime

from django.db import transaction

from subscribers import rate_limits
from subscribers.addresses import Address, address_hash, counting_key
from subscribers.bulk import insert
from subscribers.models import Notice, Subscriber
from subscribers.suppression import is_barred


def enqueue(
    subscriber: Subscriber,
    kind: Notice.Kind,
    *,
    now: datetime,
    email: str = "",
    preferences: dict[str, object] | None = None,
) -> None:
    """Put a mail into the outbox, unless the mailbox had its share (see rate_limits.py).

    It goes to the canonical `email` where that is not the subscriber's own. A mail to
    confirm asks about these `preferences`; without any, about the subscriber's row.
    """
    mailbox = counting_key(email or subscriber.email)
    if rate_limits.may_write(mailbox, kind, now=now):
        Notice.objects.create(
            subscriber=subscriber,
            kind=kind,
            email=email,
            mailbox=mailbox,
            created_at=now,
            not_before=now,
            preferences=preferences or {},
        )


def enqueue_all(
    addresses: Mapping[int, str], kind: Notice.Kind, *, now: datetime
) -> set[int]:
    """Do the same for many readers, addresses by id, and return the ids of who gets a mail.

    Call it under rate_limits.no_sign_up_meanwhile. Spellings of one mailbox share one.
    """
    mailboxes: dict[str, int] = {}
    for subscriber_id, email in addresses.items():
        mailboxes.setdefault(counting_key(email), subscriber_id)
    free = rate_limits.may_be_written(mailboxes.keys(), kind, now=now)
    same: dict[str, object] = {"kind": kind, "created_at": now, "not_before": now}
    insert(
        Notice,
        [
            same | {"subscriber_id": mailboxes[mailbox], "mailbox": mailbox}
            for mailbox in sorted(free)
        ],
    )
    return {mailboxes[mailbox] for mailbox in free}


def welcome(subscriber: Subscriber, *, now: datetime) -> None:
    """Put the welcome of this confirmation into the outbox; the row is locked.

    It counts for no quota: only the holder of the mailbox confirms. One that still waits was
    of a confirmation before the reader left, and never goes out.
    """
    waiting = Notice.objects.filter(
        subscriber=subscriber, kind=Notice.Kind.WELCOME, state=Notice.State.PENDING
    )
    waiting.update(state=Notice.State.REFUSED, reason="not wanted any more")
    Notice.objects.create(
        subscriber=subscriber, kind=Notice.Kind.WELCOME, created_at=now, not_before=now
    )


@transaction.atomic
def ask_again(
    subscriber_id: int, *, now: datetime, preferences: dict[str, object] | None = None
) -> None:
    """Mail a fresh link: to confirm if that is open, else to the preferences.

    To confirm the `preferences` of the old link, or else of the last mail that asked. A
    reader who has left gets none: a new sign-up is the way back.
    """
    subscriber = known(subscriber_id)
    if subscriber is None:
        return
    if subscriber.state == Subscriber.State.PENDING:
        asked = preferences or last_asked(subscriber)
        enqueue(subscriber, Notice.Kind.CONFIRM, now=now, preferences=asked)
    elif subscriber.state != Subscriber.State.UNSUBSCRIBED:
        enqueue(subscriber, Notice.Kind.PREFERENCES, now=now)


def last_asked(subscriber: Subscriber) -> dict[str, object]:
    """Return the preferences that the newest mail to confirm asks about."""
    mails = Notice.objects.filter(subscriber=subscriber, kind=Notice.Kind.CONFIRM)
    newest = mails.order_by("-pk").values_list("preferences", flat=True).first()
    return newest or {}


@transaction.atomic
def ask_for_data(subscriber_id: int, *, now: datetime) -> None:
    """Mail the link to download or erase everything, also to who has left."""
    subscriber = known(subscriber_id)
    if subscriber is not None:
        enqueue(subscriber, Notice.Kind.DATA, now=now)


def known(subscriber_id: int) -> Subscriber | None:
    """Return the reader, or None if they are gone or may not be written to."""
    subscriber = Subscriber.objects.filter(pk=subscriber_id).first()
    if subscriber is None or is_barred(subscriber.email_hash):
        return None
    return subscriber


def ask_by_address(email: Address, *, now: datetime) -> None:
    """Mail what `ask_again` does to an address, if it is known."""
    found = by_address(email)
    if found is not None:
        ask_again(found, now=now)


def ask_for_data_by_address(email: Address, *, now: datetime) -> None:
    """Mail what `ask_for_data` does to an address, if it is known."""
    found = by_address(email)
    if found is not None:
        ask_for_data(found, now=now)


def by_address(email: Address) -> int | None:
    rows = Subscriber.objects.filter(email_hash=address_hash(email))
    return rows.values_list("pk", flat=True).first()
