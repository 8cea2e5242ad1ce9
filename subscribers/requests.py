"""Requests from our forms: counted, stored with one INSERT, and handled afterwards.

So the answer takes the same time and bytes whatever we know of an address. Every way
in, be it a page or an API, goes through `put`, so the same limits hold for all of them.
"""

import logging
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime, timedelta

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connections, transaction

from subscribers import address_change, rate_limits, subscriptions
from subscribers.addresses import Address, domain_hash
from subscribers.consent import Origin
from subscribers.models import Request
from subscribers.notices import outbox
from subscribers.preferences import Preferences, from_json
from subscribers.rate_limits import Filled

logger = logging.getLogger(__name__)

Kind = Request.Kind
BATCH = 20  # then those with a proof that have come meanwhile go first again
LATER = timedelta(minutes=10)
TOO_OLD = timedelta(hours=24)
STORED = [field for field in Request._meta.local_concrete_fields if not field.primary_key]
COLUMNS = ", ".join(str(field.column) for field in STORED)
MARKS = ", ".join("%s" for _ in STORED)
INSERT = f"INSERT INTO subscribers_request ({COLUMNS}) VALUES ({MARKS}) ON CONFLICT (proof) DO NOTHING"  # noqa: S608


def sign_up(
    email: Address,
    preferences: Preferences,
    *,
    origin: Origin,
    filled: Filled,
    now: datetime,
) -> None:
    """Ask to subscribe."""
    row = Request(kind=Kind.SIGN_UP, email=email, preferences=asdict(preferences))
    put(row, origin=origin, filled=filled, now=now)


def ask_for(
    kind: Request.Kind, email: Address, *, origin: Origin, filled: Filled, now: datetime
) -> None:
    """Ask for a link to the preferences or to one's data."""
    put(Request(kind=kind, email=email), origin=origin, filled=filled, now=now)


def ask_to_move(
    subscriber_id: int, email: Address, *, origin: Origin, filled: Filled, now: datetime
) -> None:
    """Ask for mail at another address, for the holder of a link."""
    row = Request(kind=Kind.ADDRESS, email=email, subscriber_id=subscriber_id)
    put(row, origin=origin, filled=filled, now=now)


def put(row: Request, *, origin: Origin, filled: Filled, now: datetime) -> None:
    """Take a request in, whatever is known of its address.

    Two statements: what came in the last hour, and the row itself. A network that has asked
    for its share leaves none. It is answered sooner, which tells of its network alone: the
    address is not looked up in either case.
    """
    row.domain = domain_hash(row.email)
    row.source, row.wording, row.network = origin.source, origin.wording, origin.network
    row.at = now
    row.trapped = bool(filled.trap)
    row.proof = rate_limits.solved(filled.solution)
    crowd = rate_limits.crowd(row.network, now=now)
    if crowd.is_full(row.network, proved=row.proof is not None):
        return
    row.not_before = now + rate_limits.wait(
        filled, proved=row.proof is not None, busy=crowd.busy
    )
    if not store(row):  # this proof was shown before
        row.proof = None
        row.not_before = now + rate_limits.wait(filled, proved=False, busy=crowd.busy)
        store(row)


def store(row: Request) -> bool:
    """Insert a new row, unless its proof is there already; return whether it was inserted.

    One statement, the same for both databases, which is its own transaction: `save` in one costs
    three and the work of composing it, a quarter of a sign-up. Each value is what `save` writes.
    """
    database = connections[DEFAULT_DB_ALIAS]  # `connection` looks it up at each word
    values = [
        field.get_db_prep_save(field.pre_save(row, add=True), database) for field in STORED
    ]
    with database.cursor() as cursor:
        cursor.execute(INSERT, values)
        return bool(cursor.rowcount)


def handle_open(*, now: datetime) -> int:
    """Look at what is due, a batch at most; return its size. Safe to run at once.

    Requests with a proof of work go first, then the oldest. While the instance has had its
    hour's share, none is looked at: however many lie there, they cost nothing meanwhile.
    """
    done = Request.objects.done(now - rate_limits.HOUR).values_list("pk")
    if len(done[: rate_limits.PER_INSTANCE]) >= rate_limits.PER_INSTANCE:
        too_old = Request.objects.open(now).filter(at__lt=now - TOO_OLD)
        too_old.update(**forgotten(now, "too late"))
        return 0
    ids = next_in_line(now)
    for request_id in ids:
        try:
            handle(request_id, now=now)
        except DatabaseError:
            raise
        except Exception as error:  # its words may hold an address
            logger.error("request %s failed: %s", request_id, type(error).__name__)
            Request.objects.filter(pk=request_id).update(not_before=now + LATER)
    return len(ids)


def next_in_line(now: datetime) -> list[int]:
    """Return a batch of what is due. Each half has its index: a flood is not sorted."""
    found: list[int] = []
    for unproved in (False, True):
        rows = Request.objects.open(now).filter(proof__isnull=unproved)
        ids = rows.order_by("not_before", "pk").values_list("pk", flat=True)
        found += ids[: BATCH - len(found)]
    return found


@transaction.atomic
def handle(request_id: int, *, now: datetime) -> None:
    """Do what was asked and forget who asked, in one transaction."""
    rows = Request.objects.open(now).filter(pk=request_id)
    request = rows.select_for_update(skip_locked=True).first()
    if request is None:
        return
    closed = request.kind == Kind.SIGN_UP and not settings.SIGN_UP_OPEN
    outcome = "closed" if closed else rate_limits.refusal(request)
    if not outcome and rate_limits.must_wait(request, now=now):
        if now - request.at < TOO_OLD:
            rows.update(not_before=now + LATER)
            return
        outcome = "too late"
    if not outcome:
        HANDLERS[Kind(request.kind)](request, now)
        outcome = "done"
    Request.objects.filter(pk=request.pk).update(**forgotten(now, outcome))


def forgotten(now: datetime, outcome: str) -> dict[str, object]:
    """Return what is left of a request once it is handled: nothing of who asked."""
    gone: dict[str, object] = {"email": "", "preferences": {}, "subscriber": None}
    return gone | {"handled_at": now, "outcome": outcome}


def subscribe(request: Request, now: datetime) -> None:
    subscriptions.subscribe(
        Address(request.email),
        from_json(request.preferences),
        origin=origin_of(request),
        now=now,
    )


def mail_link(request: Request, now: datetime) -> None:
    outbox.ask_by_address(Address(request.email), now=now)


def mail_data_link(request: Request, now: datetime) -> None:
    outbox.ask_for_data_by_address(Address(request.email), now=now)


def mail_new_address(request: Request, now: datetime) -> None:
    if request.subscriber_id is not None:
        address_change.ask(request.subscriber_id, request.email, now=now)


def origin_of(request: Request) -> Origin:
    return Origin(request.source, request.network, request.wording)


HANDLERS: dict[Request.Kind, Callable[[Request, datetime], None]] = {
    Kind.SIGN_UP: subscribe,
    Kind.LINK: mail_link,
    Kind.DATA: mail_data_link,
    Kind.ADDRESS: mail_new_address,
}
