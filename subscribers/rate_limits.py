"""What keeps our forms from being used against other people's mailboxes.

First of all the target counts: every single mail we owe is a Notice that carries the
counting key of its mailbox, whoever asked and from wherever. Requests are counted by
network, by domain and as a whole. Whoever has no proof of work (no JavaScript, say)
waits a little longer while the forms are busy. Nothing here shows in any answer.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_network

from django.db import connection
from django.db.models import F

from subscribers import proof_of_work
from subscribers.models import Notice, Request, Subscriber

PAUSE = timedelta(minutes=15)
DAY = timedelta(hours=24)
DAILY = 3

HOUR = timedelta(hours=1)
PER_NETWORK = 30  # requests an hour from one /24 or /48: a lecture hall, no botnet
CALM = 500  # requests an hour up to which nobody needs a proof of work
PER_DOMAIN = 1000  # handled an hour for one mail domain: the rest waits
PER_INSTANCE = 5000  # handled an hour in all: the rest waits
UNPROVED = 60  # handled an hour without proof while the forms are busy
SLOW = timedelta(minutes=15)
HASTY = timedelta(seconds=3)
IMPORTING = 0x696D7074  # the advisory lock's number: an import, or many sign-ups


@dataclass(frozen=True)
class Filled:
    """How a form was filled in: a field that people can't see, its stamp, its proof."""

    trap: str = ""
    stamp: str = ""
    solution: str = ""


# -- the target ------------------------------------------------------------------


def one_at_a_time(mailbox: str) -> None:
    """Until the transaction ends, nobody else counts or signs up this mailbox.

    A row lock cannot do it: at a first sign-up there is no row yet. On SQLite the
    immediate transaction already stands alone.
    """
    if connection.vendor == "postgresql":
        number = int.from_bytes(bytes.fromhex(mailbox)[:8], signed=True)
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_advisory_xact_lock_shared(%s), pg_advisory_xact_lock(%s)",
                [IMPORTING, number],
            )


def no_sign_up_meanwhile() -> None:
    """The same for all mailboxes at once: one lock, as an import has too many of them."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [IMPORTING])


def may_write(mailbox: str, kind: Notice.Kind, *, now: datetime) -> bool:
    """At most three single mails in 24 hours, and of one kind one in 15 minutes.

    Call it under one_at_a_time, in the transaction that makes the notice.
    """
    return mailbox in may_be_written({mailbox}, kind, now=now)


def may_be_written(
    mailboxes: Collection[str], kind: Notice.Kind, *, now: datetime
) -> set[str]:
    """Return those of the mailboxes that may get such a mail, as `may_write` says."""
    recent = Notice.objects.filter(mailbox__in=mailboxes, created_at__gt=now - DAY)
    sent: dict[str, list[tuple[str, datetime]]] = {}
    for mailbox, sent_kind, at in recent.values_list("mailbox", "kind", "created_at"):
        sent.setdefault(mailbox, []).append((sent_kind, at))
    return {one for one in mailboxes if has_room(sent.get(one, []), kind, now=now)}


def has_room(
    sent: Sequence[tuple[str, datetime]], kind: Notice.Kind, *, now: datetime
) -> bool:
    """Whether the day's mails to one mailbox leave room for another of this kind."""
    return len(sent) < DAILY and all(
        at <= now - PAUSE for sent_kind, at in sent if sent_kind == kind
    )


def forget(subscriber: Subscriber) -> None:
    """The holder has answered what we sent: it counts against their mailbox no more."""
    answered = Notice.objects.filter(subscriber=subscriber, email="")
    answered.exclude(mailbox="").update(mailbox="")


# -- requests --------------------------------------------------------------------


def wait(filled: Filled, *, proved: bool, now: datetime) -> timedelta:
    """How long a request is left lying before it is looked at."""
    if not proved and is_busy(now):
        return SLOW
    return HASTY if proof_of_work.too_fast(filled.stamp, now=now) else timedelta(0)


def is_busy(now: datetime) -> bool:
    """Whether more is asked of us than people ask for: then a proof of work counts."""
    newest = Request.objects.order_by("-at").values_list("at", flat=True)
    return any(at > now - HOUR for at in newest[CALM : CALM + 1])


def refusal(request: Request) -> str:
    """Why nothing is done about a request, in a word; empty if something is."""
    if request.trapped:
        return "trapped"
    if not is_global(request.network):
        return ""
    before = Request.objects.filter(
        network=request.network, at__gt=request.at - HOUR, pk__lt=request.pk
    )
    crowded = len(before.values_list("pk")[:PER_NETWORK]) >= PER_NETWORK
    return "network" if crowded else ""


def must_wait(request: Request, *, now: datetime) -> bool:
    """Whether domain, instance or the slow lane have had their hour's share."""
    done = Request.objects.filter(outcome="done", handled_at__gt=now - HOUR)
    shares = [
        (done.filter(domain=request.domain), PER_DOMAIN),
        (done, PER_INSTANCE),
    ]
    if request.proof is None and request.not_before > request.at and is_busy(now):
        shares.append((done.filter(proof=None, not_before__gt=F("at")), UNPROVED))
    return any(len(rows.values_list("pk")[:most]) >= most for rows, most in shares)


def is_global(network: str) -> bool:
    """Whether it is a network of the open internet: a proxy's or our own is no measure."""
    return bool(network) and ip_network(network).is_global
