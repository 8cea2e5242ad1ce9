"""The addresses never to be written to: keyed hashes that outlive the person's row.

Readers who left are on the list, too, and a confirmation of their own takes them off; every other
reason bars even the mail that asks for one.
"""

from collections.abc import Collection, Iterable
from datetime import datetime

from django.conf import settings
from django.db import transaction
from django.db.models import Max

from subscribers import consent, webhooks
from subscribers.models import ConsentEvent, Subscriber, Suppression

LEFT = Suppression.Reason.LEFT
State = Subscriber.State


class NotBarred(ValueError):
    """There is no bar that an operator may lift; the message says why."""


@transaction.atomic(savepoint=False)
def suppress(email_hash: str, reason: Suppression.Reason, *, now: datetime) -> bool:
    """Suppress an address. Return True if that changed anything.

    The first reason stays, but any other outdoes LEFT.
    """
    found, created = Suppression.objects.get_or_create(
        email_hash=email_hash, defaults={"reason": reason, "at": now}
    )
    is_new = created
    if not created and reason != LEFT and found.reason == LEFT:
        changed = Suppression.objects.filter(pk=found.pk, reason=LEFT)
        is_new = bool(changed.update(reason=reason, at=now, taken_from=""))
    if is_new:
        tell([email_hash], reason, now=now)
    return is_new


def tell(hashes: Collection[str], reason: Suppression.Reason, *, now: datetime) -> None:
    """Tell the operator's own systems; that somebody left is an event of its own."""
    if reason != LEFT:
        kind, data = "subscriber.suppressed", {"reason": str(reason)}
        webhooks.tell_of_addresses([(kind, each, data) for each in hashes], now=now)


@transaction.atomic(savepoint=False)
def suppress_all(
    hashes: Collection[str], reason: Suppression.Reason, *, now: datetime
) -> None:
    """Suppress many addresses in a few statements."""
    if hashes:
        told = set(hashes) - barred(hashes) if settings.EVENTS_URL else set[str]()
        rows = [
            Suppression(email_hash=each, reason=reason, at=now) for each in sorted(hashes)
        ]
        Suppression.objects.bulk_create(rows, ignore_conflicts=True)
        if reason != LEFT:
            left = Suppression.objects.filter(email_hash__in=hashes, reason=LEFT)
            left.update(reason=reason, at=now, taken_from="")
        tell(told, reason, now=now)


def barred(hashes: Collection[str]) -> set[str]:
    """Return those that get no mail at all."""
    known = Suppression.objects.filter(email_hash__in=hashes).exclude(reason=LEFT)
    return set(known.values_list("email_hash", flat=True))


def suppress_each(
    rows: Iterable[tuple[str, Suppression.Reason, datetime]],
    *,
    taken_from: str,
    now: datetime,
) -> None:
    """Suppress (hash, reason, since when), by the same rules, in a few statements.

    `taken_from` names the import that they come by.
    """
    found: dict[str, tuple[Suppression.Reason, datetime]] = {}
    for email_hash, reason, at in rows:
        if email_hash not in found or found[email_hash][0] == LEFT != reason:
            found[email_hash] = (reason, at)
    known = barred(found) if settings.EVENTS_URL else set[str]()
    Suppression.objects.bulk_create(
        [
            Suppression(
                email_hash=email_hash,
                reason=found[email_hash][0],
                at=found[email_hash][1],
                taken_from=taken_from,
            )
            for email_hash in sorted(found)
        ],
        ignore_conflicts=True,
    )
    for reason in {reason for reason, _ in found.values()} - {LEFT}:
        hashes = {one for one, (why, _) in found.items() if why == reason}
        left = Suppression.objects.filter(email_hash__in=hashes, reason=LEFT)
        left.update(reason=reason, taken_from=taken_from)
        tell(hashes - known, reason, now=now)


def lift(email_hash: str) -> None:
    """Let an address that had left be written to again; a bar stays."""
    Suppression.objects.filter(email_hash=email_hash, reason=LEFT).delete()


def is_suppressed(email_hash: str) -> bool:
    """Return whether the address gets no digest and no import brings it back."""
    return Suppression.objects.filter(email_hash=email_hash).exists()


def is_barred(email_hash: str) -> bool:
    """Return whether the address gets no mail at all, not even to ask for a confirmation."""
    return Suppression.objects.filter(email_hash=email_hash).exclude(reason=LEFT).exists()


@transaction.atomic
def lift_bar(
    email_hash: str, why: str, *, origin: consent.Origin, now: datetime
) -> Subscriber | None:
    """Lift a bar that should not be there, with a receipt of who did it and why.

    Returns the reader if mail goes again. It goes to nobody whose consent does not stand:
    of anyone who is not a confirmed reader the bar becomes LEFT, off which only the
    holder's own confirmation takes the address. Raises NotBarred.
    """
    # In the sender's order: the reader's row, then the bar.
    reader = Subscriber.objects.select_for_update().filter(email_hash=email_hash).first()
    bar = Suppression.objects.select_for_update().filter(email_hash=email_hash).first()
    if bar is None:
        raise NotBarred("this address is not barred")
    if bar.reason == LEFT:
        raise NotBarred("the reader has left: only their own confirmation lifts that")
    detail: dict[str, object] = {
        "why": why[:500],
        "was": bar.reason,
        "since": bar.at.isoformat(),
    }
    kind = ConsentEvent.Kind.LIFTED
    receipt = consent.receipt(
        email_hash,
        kind,
        subscriber_id=reader.pk if reader else None,
        origin=origin,
        now=now,
        detail=detail,
    )
    consent.append([receipt])
    if reader and reader.state in (State.ACTIVE, State.PAUSED):
        bar.delete()
        return reader
    bar.reason = LEFT
    bar.save(update_fields=["reason"])
    return None


def lifted_at(hashes: Collection[str]) -> dict[str, datetime]:
    """Return when a bar of these addresses was last lifted: what was before is forgotten."""
    kind = ConsentEvent.Kind.LIFTED
    lifted = ConsentEvent.objects.filter(email_hash__in=hashes, kind=kind)
    return dict(lifted.values_list("email_hash").annotate(at=Max("at")))
