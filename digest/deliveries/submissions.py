"""Submit groups to providers with idempotency keys or batches, kept with their intents."""

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from django.conf import settings

from digest.deliveries import keys
from digest.models import Submission

# Longer than any provider keeps a key, and long enough to look at a lost answer.
KEPT_FOR = timedelta(days=3)


def provider() -> str:
    """The name in anymail://NAME; empty for SMTP."""
    parts = urlsplit(settings.MAILER_URL)
    return (parts.hostname or "") if parts.scheme == "anymail" else ""


def account() -> str:
    """Provider and a hash of its settings: another account knows none of our keys."""
    name = provider()
    words = sorted(
        f"{key}={value}"
        for key, value in settings.ANYMAIL.items()
        if key.startswith(name.upper())
    )
    digest = hashlib.blake2b(
        "\n".join(words).encode(), digest_size=8, key=settings.SECRET_KEY.encode()[:64]
    )
    return f"{name[:20]}-{digest.hexdigest()}"


def note(members: Sequence[int], now: datetime) -> None:
    """Keep a group in the transaction of its intents, where it may be asked about."""
    if members and (settings.PROVIDER_BATCH or keys.usable_for(provider())):
        Submission.objects.create(account=account(), intent_at=now, members=list(members))


def prune(now: datetime) -> int:
    return Submission.objects.filter(intent_at__lt=now - KEPT_FOR).delete()[0]
