"""Reports about a mail after it was sent: bounced, complained, delivered … in Anymail's words.

Reports come in batches, from a provider's webhook or as bounce mails. Each is kept once,
in whatever order and however often it comes. It never moves a delivery, but for one that
is unknown, of which it is evidence; readers are kept from mail by it (see bounce_rules.py).
"""

import logging
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from anymail.signals import EventType, RejectReason
from django.db import transaction
from django.db.models import Exists, OuterRef

from digest import logs
from digest.deliveries import control
from digest.feedback import bounce_rules
from digest.feedback.bounce_rules import Meaning
from digest.models import Delivery, DeliveryEvent, folded
from digest.sql import Rows, Statement, fetch
from subscribers import subscriptions, suppression, webhooks
from subscribers.addresses import BadAddress, address_hash, canonical
from subscribers.consent import Origin
from subscribers.models import Subscriber, Suppression

logger = logging.getLogger(__name__)

Reason = Suppression.Reason

# These may keep a reader from mail.
GRAVE = {
    EventType.BOUNCED,
    EventType.REJECTED,
    EventType.COMPLAINED,
    EventType.UNSUBSCRIBED,
}
# What the operator's own systems are told.
TOLD = {EventType.BOUNCED, EventType.COMPLAINED}
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
# As the sender notes it: the server's own no is a bounce that needed no mail.
REFUSED = Delivery.State.REFUSED
BOUNCES = [EventType.BOUNCED, REFUSED]
# Ticks come each ten seconds; this outlasts an hour without any.
LATELY = timedelta(hours=2)
ALWAYS = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Report:
    """What somebody says of one mail. `key` is the same for each repetition of it."""

    kind: str
    key: str
    at: datetime
    delivery_id: int | None = None
    recipient: str = ""
    words: str = ""
    reject_reason: str = ""
    message_id: str = ""


@dataclass(frozen=True, slots=True)
class Traced:
    """A report, and the address that it is about as a keyed hash; "" if of nobody's."""

    report: Report
    delivery_id: int | None
    email_hash: str
    is_late: bool = False  # about something before this mail was handed over
    is_evidence: bool = False  # about a mail of which we do not know
    run: str = ""  # in which the mail was handed over


def take(reports: Iterable[Report], *, now: datetime) -> int:
    """Keep the reports and act on them; return the number of new ones.

    A few statements whatever their number, in one transaction: when this raises, nothing
    was kept and the provider has to send them again.
    """
    once = {report.key: report for report in reports}
    found = trace(list(once.values()))
    if not found:
        return 0
    with transaction.atomic():
        lock({one.email_hash for one in found if one.report.kind in GRAVE} - {""})
        new = keep(found)
        if ids := {one.delivery_id or 0 for one in new if one.is_evidence}:
            resolve_reported(now, among=ids)
        webhooks.tell_of_addresses(
            [
                (
                    f"delivery.{one.report.kind}",
                    one.email_hash,
                    {"delivery": one.delivery_id},
                )
                for one in new
                if one.report.kind in TOLD and not one.is_late
            ],
            now=now,
        )
        judge([one for one in new if one.email_hash and not one.is_late], now=now)
    for one in new:
        with logs.about(run=one.run, delivery=one.delivery_id or 0):
            logger.info("report: %s", clean(one.report.kind, 20))
    return len(new)


def trace(reports: Sequence[Report]) -> list[Traced]:
    """Find whose mails these are, by the delivery they name or by the address."""
    ids = {report.delivery_id for report in reports if report.delivery_id}
    fields = ["pk", "subscriber__email_hash", "intent_at", "state", "lease_token"]
    rows = Delivery.objects.filter(pk__in=ids).values_list(*fields) if ids else ()
    known = {row[0]: row[1:] for row in rows}
    for row in filter(None, map(folded.find, ids - known.keys())):
        # As of no delivery: its row is gone, and its reader is known all the same.
        owner = row.subscriber.email_hash if row.subscriber else None
        known[row.pk] = (owner, row.intent_at, "", row.lease_token)
    return [
        traced(report, *known.get(report.delivery_id or 0, (None, None, "", "")))
        for report in reports
    ]


def traced(
    report: Report,
    owner: str | None,
    intent_at: datetime | None,
    state: str,
    lease_token: str,
) -> Traced:
    """Return the report with its delivery's reader, intent and state ("" if it has none)."""
    return Traced(
        report,
        report.delivery_id if state else None,
        owner or hash_of(report.recipient),
        is_late=bool(intent_at and report.at < intent_at - CLOCKS_DIFFER),
        is_evidence=state == Delivery.State.UNKNOWN,
        run=lease_token[: logs.RUN_LENGTH],
    )


def hash_of(recipient: str) -> str:
    try:
        return address_hash(canonical(recipient))
    except BadAddress:
        return ""


def lock(hashes: set[str]) -> None:
    """Lock these readers' rows, as whatever changes them does, until the transaction ends."""
    if hashes:
        rows = Subscriber.objects.filter(email_hash__in=hashes).order_by("pk")
        list(rows.select_for_update(no_key=True).values_list("pk", flat=True))


# Insert the reports that are not known yet, by the unique key of events. Sorted by it, or
# two batches with the same keys could wait for each other.
KEEP = Statement(
    postgresql="""
INSERT INTO digest_deliveryevent
    (delivery_id, email_hash, at, source, kind, reason, reply, message_id, event_key)
SELECT r.delivery_id, r.email_hash, r.at, 'provider', r.kind, r.reason, r.reply,
    r.message_id, r.event_key
FROM unnest(%(delivery_id)s::bigint[], %(email_hash)s::text[], %(at)s::timestamptz[],
    %(kind)s::text[], %(reason)s::text[], %(reply)s::text[], %(message_id)s::text[],
    %(event_key)s::text[])
    AS r(delivery_id, email_hash, at, kind, reason, reply, message_id, event_key)
ORDER BY r.event_key
ON CONFLICT (event_key) DO NOTHING RETURNING event_key""",
    sqlite="""
INSERT INTO digest_deliveryevent
    (delivery_id, email_hash, at, source, kind, reason, reply, message_id, event_key)
SELECT value ->> 0, value ->> 1, value ->> 2, 'provider', value ->> 3, value ->> 4,
    value ->> 5, value ->> 6, value ->> 7
FROM json_each(%(rows)s) WHERE true ORDER BY value ->> 7
ON CONFLICT (event_key) DO NOTHING RETURNING event_key""",
)
KEPT = (
    "delivery_id",
    "email_hash",
    "at",
    "kind",
    "reason",
    "reply",
    "message_id",
    "event_key",
)


def keep(found: Sequence[Traced]) -> list[Traced]:
    """Insert the reports in one statement and return the new ones.

    Concurrent duplicates wait on the unique key.
    """
    rows = [
        (
            one.delivery_id,
            one.email_hash,
            one.report.at,
            clean(one.report.kind, 20),
            clean(one.report.reject_reason, 60),
            # Words may name a person; nothing would ever delete those about an erased reader.
            clean(one.report.words if one.email_hash else "", 500),
            clean(one.report.message_id, 200),
            one.report.key,
        )
        for one in found
    ]
    kept = fetch(KEEP, rows=Rows(KEPT, rows, numbers=("delivery_id",)))
    new = {key for (key,) in kept}
    return [one for one in found if one.report.key in new]


def clean(text: str, length: int) -> str:
    """Cut text to a column's length, without what steers a terminal or no database takes.

    Commands print what anybody's server has said of a mail.
    """
    shown = (one if one.isprintable() else " " * one.isspace() for one in text)
    return "".join(shown)[:length]


def judge(new: Sequence[Traced], *, now: datetime) -> None:
    """Suppress addresses that complained, do not exist, or keep bouncing."""
    hashes: dict[str, set[str]] = {kind: set() for kind in GRAVE}
    gone = set()
    for one in new:
        if one.report.kind not in GRAVE:
            continue
        meaning = meaning_of(one.report)
        if meaning and not meaning.is_a_point:
            continue  # about the mail or about us, not about the address
        hashes[one.report.kind].add(one.email_hash)
        if meaning is Meaning.GONE:
            gone.add(one.email_hash)
    for email_hash in sorted(hashes[EventType.UNSUBSCRIBED]):
        leave(email_hash, now=now)
    gone |= worn_out(hashes[EventType.BOUNCED] - gone)
    suppression.suppress_all(hashes[EventType.COMPLAINED], Reason.COMPLAINED, now=now)
    suppression.suppress_all(gone, Reason.BOUNCED, now=now)


def meaning_of(report: Report) -> Meaning | None:
    """Return what a bounce or a rejection is about; None for reports of another kind."""
    if report.kind not in {EventType.BOUNCED, EventType.REJECTED}:
        return None
    meaning = bounce_rules.meaning(report.words)
    if meaning.is_a_point and report.reject_reason == RejectReason.INVALID:
        return Meaning.GONE
    return meaning


def leave(email_hash: str, *, now: datetime) -> None:
    """Unsubscribe a reader who unsubscribed at the provider, as our page would."""
    suppression.suppress(email_hash, Reason.LEFT, now=now)
    for pk in Subscriber.objects.filter(email_hash=email_hash).values_list("pk", flat=True):
        subscriptions.unsubscribe(pk, origin=Origin("the provider's report"), now=now)


def suppress_refused(now: datetime) -> None:
    """Suppress addresses that servers have refused in the SMTP session on enough days."""
    lately = DeliveryEvent.objects.filter(kind=REFUSED, at__gte=now - LATELY)
    hashes = set(lately.exclude(email_hash="").values_list("email_hash", flat=True))
    suppression.suppress_all(worn_out(hashes), Reason.BOUNCED, now=now)


def worn_out(hashes: set[str]) -> set[str]:
    """Return the addresses that have bounced on enough days."""
    if not hashes:
        return set()
    kept = DeliveryEvent.objects.filter(email_hash__in=hashes, kind__in=BOUNCES)
    bounces: dict[str, list[tuple[date, datetime, str]]] = {}
    for email_hash, at, words in kept.values_list("email_hash", "at", "reply"):
        day = at.astimezone(UTC).date()
        bounces.setdefault(email_hash, []).append((day, at, words))
    # Only of these few are the words looked at: it is asked each few seconds.
    often = {
        email_hash: found
        for email_hash, found in bounces.items()
        if len({day for day, _, _ in found}) >= bounce_rules.ENOUGH
    }
    lifted = suppression.lifted_at(often) if often else {}
    return {
        email_hash
        for email_hash, found in often.items()
        if is_worn_out(found, since=lifted.get(email_hash, ALWAYS))
    }


def is_worn_out(bounces: list[tuple[date, datetime, str]], *, since: datetime) -> bool:
    """Return whether the bounces on enough days count. What a lift forgave does not."""
    days = [
        day
        for day, at, words in bounces
        if at > since and bounce_rules.meaning(words).is_a_point
    ]
    return bounce_rules.score(days) >= bounce_rules.ENOUGH


def resolve_reported(now: datetime, *, among: Collection[int] | None = None) -> int:
    """Resolve unknown rows that have a report; return the number. `among`: ids.

    It runs after each batch of reports and in the sweep, so it does not matter whether the
    report or the end of the lease comes first.
    """
    rows = Delivery.objects.filter(is_unknown=True)
    if among is not None:
        rows = rows.filter(pk__in=among)
    count = 0
    for kinds, state in ((TAKEN, Delivery.State.ACCEPTED), (NOT_TAKEN, REFUSED)):
        reports = DeliveryEvent.objects.filter(
            delivery=OuterRef("pk"),
            source=DeliveryEvent.Source.PROVIDER,
            kind__in=kinds,
            at__gte=OuterRef("intent_at") - CLOCKS_DIFFER,
        )
        known = rows.filter(Exists(reports))
        ids = list(known.values_list("pk", flat=True)[:BATCH])
        if ids:
            count += control.settle(
                ids,
                state,
                Delivery.Reason.REPORTED,
                source=DeliveryEvent.Source.PROVIDER,
                now=now,
            )
    return count
