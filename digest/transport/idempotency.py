"""Idempotency keys: with one, a provider takes a request once, however often it comes.

A key belongs to an intent: the delivery and the instant, both in the ledger before the
first byte leaves. So a mail can be asked for again by the same key after a crash, and
another attempt after an explicit no has another key.
"""

import hashlib
import uuid
from datetime import UTC, datetime, timedelta

# https://resend.com/docs/dashboard/emails/idempotency-keys: the first answer again.
# https://developers.brevo.com/docs/heterogenous-versions-batch-emails: an error that says
# that the key is known.
KEPT = {"resend": timedelta(hours=24), "brevo": timedelta(minutes=30)}
# Longer than a request may take and than two machines' clocks may differ.
MARGIN = timedelta(minutes=5)
BREVO_KNOWS = "duplicate_parameter"


def usable_for(provider: str) -> timedelta:
    """Return how long after the intent its key may be used again; zero without keys."""
    return max(KEPT.get(provider, timedelta()) - MARGIN, timedelta())


def key(delivery_id: int, intent_at: datetime) -> str:
    """Return the key of an intent, equal in any process; a UUID, as Brevo wants one."""
    intent = f"{delivery_id} {intent_at.astimezone(UTC).isoformat()}".encode()
    digest = hashlib.blake2b(intent, digest_size=16, person=b"daily papers").digest()
    return str(uuid.UUID(bytes=digest, version=4))
