"""The addresses never to be written to: keyed hashes that outlive the person's row."""

from datetime import datetime

from subscribers.models import Suppression


def suppress(email_hash: str, reason: Suppression.Reason, *, now: datetime) -> bool:
    """True if the address was not suppressed before; the first reason is kept."""
    _, created = Suppression.objects.get_or_create(
        email_hash=email_hash, defaults={"reason": reason, "at": now}
    )
    return created


def is_suppressed(email_hash: str) -> bool:
    return Suppression.objects.filter(email_hash=email_hash).exists()
