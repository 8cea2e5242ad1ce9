"""The addresses never to be written to: keyed hashes that outlive the person's row.

Who has left is on the list too, and off it by a confirmation of their own; every other
reason bars even the mail that asks for one.
"""

from collections.abc import Collection, Iterable
from datetime import datetime

from subscribers.models import Suppression

LEFT = Suppression.Reason.LEFT


def suppress(email_hash: str, reason: Suppression.Reason, *, now: datetime) -> bool:
    """True if that changed anything: the first reason is kept, but any outdoes LEFT."""
    found, created = Suppression.objects.get_or_create(
        email_hash=email_hash, defaults={"reason": reason, "at": now}
    )
    if created or reason == LEFT or found.reason != LEFT:
        return created
    changed = Suppression.objects.filter(pk=found.pk, reason=LEFT)
    return bool(changed.update(reason=reason, at=now))


def suppress_all(
    hashes: Collection[str], reason: Suppression.Reason, *, now: datetime
) -> None:
    """The same for many addresses, in two statements."""
    if hashes:
        rows = [
            Suppression(email_hash=each, reason=reason, at=now) for each in sorted(hashes)
        ]
        Suppression.objects.bulk_create(rows, ignore_conflicts=True)
        if reason != LEFT:
            left = Suppression.objects.filter(email_hash__in=hashes, reason=LEFT)
            left.update(reason=reason, at=now)


def suppress_each(rows: Iterable[tuple[str, Suppression.Reason, datetime]]) -> None:
    """Suppress (hash, reason, since when), by the same rules, in a few statements."""
    found = {email_hash: (reason, at) for email_hash, reason, at in rows}
    Suppression.objects.bulk_create(
        [
            Suppression(
                email_hash=email_hash, reason=found[email_hash][0], at=found[email_hash][1]
            )
            for email_hash in sorted(found)
        ],
        ignore_conflicts=True,
    )
    for reason in {reason for reason, _ in found.values()} - {LEFT}:
        hashes = {one for one, (why, _) in found.items() if why == reason}
        left = Suppression.objects.filter(email_hash__in=hashes, reason=LEFT)
        left.update(reason=reason)


def lift(email_hash: str) -> None:
    """The holder has confirmed anew; a bar stays."""
    Suppression.objects.filter(email_hash=email_hash, reason=LEFT).delete()


def is_suppressed(email_hash: str) -> bool:
    """No digest, and no import that brings it back."""
    return Suppression.objects.filter(email_hash=email_hash).exists()


def is_barred(email_hash: str) -> bool:
    """No mail at all, not even to ask for a confirmation."""
    return Suppression.objects.filter(email_hash=email_hash).exclude(reason=LEFT).exists()
