"""History: what happened around a delivery, appended and never changed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from digest.models import Delivery, DeliveryEvent
from digest.transport import relays
from digest.transport.outcomes import Outcome, Verdict

Source = DeliveryEvent.Source
# Looked at and ended where the intent would have been written.
NEVER_HANDED_OVER = {Delivery.State.SKIPPED, Delivery.State.EXPIRED}


def note(
    deliveries: Iterable[Delivery], kind: str, *, source: str, reason: str, now: datetime
) -> None:
    """Append one event per delivery, with the state and reply that it replaces."""
    DeliveryEvent.objects.bulk_create(
        DeliveryEvent(
            delivery=delivery,
            at=now,
            source=source,
            kind=kind,
            reason=reason,
            reply=f"was {delivery.state}: {delivery.reason} {delivery.reply}".strip()[:500],
        )
        for delivery in deliveries
    )


def note_outcomes(
    outcomes: Mapping[int, Outcome], refused: Mapping[int, str], *, now: datetime
) -> None:
    """Append what the next attempt would overwrite; an accepted row says it all.

    `refused` has the address hashes of those that a server refused: a refusal counts as a
    bounce of that address (see feedback/events.py).
    """
    events = [
        DeliveryEvent(
            delivery_id=pk,
            email_hash=refused.get(pk, ""),
            at=now,
            source=Source.SENDER,
            kind=str(outcome.verdict),
            reason=outcome.reason[:60],
            reply=outcome.reply.replace("\0", "")[:500],
        )
        for pk, outcome in outcomes.items()
        if outcome.verdict not in (Verdict.ACCEPTED, Verdict.RETURNED)
    ]
    if events:
        DeliveryEvent.objects.bulk_create(events)


@dataclass(frozen=True)
class Step:
    """One thing that happened, at a UTC instant, and who says so."""

    at: datetime
    source: str
    kind: str
    reason: str = ""
    reply: str = ""


def steps(row: Delivery) -> list[Step]:
    """Return the full history of a delivery, oldest first; `reply` is the server's."""
    found = [Step(row.due_at, "plan", "due")]
    found += [
        Step(event.at, event.source, event.kind, event.reason, reply_of(event))
        for event in row.events.all()
    ]
    if row.intent_at and row.state not in NEVER_HANDED_OVER:
        by = f"by {relays.called(row.relay)}" if row.relay and relays.several() else ""
        found.append(Step(row.intent_at, "sender", "intent", by))
    if row.outcome_at:
        reason = "" if row.reason == row.state else row.reason
        found.append(Step(row.outcome_at, "ledger", row.state, reason, row.reply))
    return sorted(found, key=lambda step: step.at)


def came_back(row: Delivery) -> str:
    """Return the kind of the newest report about a mail that was handed over; "" without one."""
    kinds = [event.kind for event in row.events.all() if event.source == "provider"]
    return kinds[-1] if kinds else ""


def reply_of(event: DeliveryEvent) -> str:
    """Return the server's reply and the provider's id of the mail, if any."""
    name = f"(the provider's {event.message_id})" if event.message_id else ""
    return f"{event.reply} {name}".strip()
