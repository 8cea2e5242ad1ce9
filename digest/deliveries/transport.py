"""The transport that settings.MAILER_URL names.

A transport is given a group of mails whose intents are committed and yields an outcome
for each, as it becomes known; it never raises for what a server does.
"""

from collections.abc import Iterator, Sequence
from typing import Protocol
from urllib.parse import urlsplit

from django.conf import settings

from digest.deliveries.mail import Mail
from digest.deliveries.outcomes import Outcome
from digest.deliveries.provider import Provider
from digest.deliveries.smtp import Smtp


class Transport(Protocol):
    def hand_over(self, mails: Sequence[Mail]) -> Iterator[tuple[int, Outcome]]: ...
    def close(self) -> None: ...


def open_transport() -> Transport:
    """Connects at the first hand-over, and again after a lost connection."""
    parts = urlsplit(settings.MAILER_URL)
    return Provider() if parts.scheme == "anymail" else Smtp(parts)
