"""Any email service provider that Anymail knows: one API call for one reader's mail."""

import logging
import time
from collections.abc import Iterable, Iterator

import requests
from anymail.backends.base import AnymailBaseBackend
from anymail.exceptions import AnymailError
from django.core.mail import EmailMultiAlternatives, mailers

from digest.transport import idempotency
from digest.transport.base import Letter, Mail, as_text
from digest.transport.esp_errors import of_error
from digest.transport.outcomes import NOT_TRIED, POISON, Outcome, Verdict, of_recipient

logger = logging.getLogger(__name__)

# What an API takes as a field of its own, or makes itself.
APART = {"From", "To", "Subject", "MIME-Version", "Content-Type"}
# By Anymail's table of features; their reports name the mail by the provider's id only.
WITHOUT_METADATA = {"mailersend", "postal"}
# A sender that slept longer than this may meet others who ask for its mails by their keys.
AWAKE_SECONDS = 600


class Provider:
    """A transport by Anymail's backend of that provider."""

    def __init__(self) -> None:
        self.backend: AnymailBaseBackend = mailers["default"]
        self.name = getattr(self.backend, "esp_name", "").lower()
        self.has_keys = self.name in idempotency.KEPT

    def hand_over(self, mails: Iterable[Mail]) -> Iterator[tuple[int, Outcome]]:
        began = time.monotonic()
        for mail in mails:
            asleep = self.has_keys and time.monotonic() - began > AWAKE_SECONDS
            yield mail.delivery_id, NOT_TRIED if asleep else self.call(mail)

    def call(self, mail: Mail) -> Outcome:
        outcome = self.ask(mail)
        if outcome.verdict is Verdict.UNKNOWN and self.has_keys:
            # The same key and the same bytes are taken once. Only a yes counts: another
            # no, even a sure one, is about this request and not about the first.
            again = self.ask(mail)
            return again if again.verdict is Verdict.ACCEPTED else outcome
        return outcome

    def ask(self, mail: Mail) -> Outcome:
        """Make one request, with the key of the mail's intent if the provider has keys."""
        try:
            assert mail.letter  # noqa: S101
            letter = mail.letter()
            key = idempotency.key(mail.delivery_id, letter.sent_at)
            message = self.message(mail, letter, key=key)
        except Exception:  # one poisoned row must not stop an edition
            logger.exception("delivery %d cannot be composed", mail.delivery_id)
            return POISON
        try:
            self.backend.open()
            if self.name == "resend":
                self.backend.session.headers["Idempotency-Key"] = key
            self.backend.send_messages([message])
        except (AnymailError, requests.RequestException) as error:
            return of_error(error)
        return of_sent(message)

    def message(self, mail: Mail, letter: Letter, *, key: str) -> EmailMultiAlternatives:
        """Return the mail as a Django message, with what this provider wants beside it."""
        message = as_django(mail, letter)
        if self.name == "brevo":
            message.extra_headers["idempotencyKey"] = key
        if self.name not in WITHOUT_METADATA:
            metadata = {"delivery_id": str(mail.delivery_id)}
            message.metadata = metadata  # type: ignore[attr-defined]
        return message

    def close(self) -> None:
        self.backend.close()


def of_sent(message: EmailMultiAlternatives) -> Outcome:
    """Judge a call that raised nothing, for its one reader."""
    status = getattr(message, "anymail_status", None)
    if status is None:  # a backend that is none of Anymail's
        return of_recipient("sent", "")
    (said,) = status.status or {"unknown"}
    return of_recipient(said, f"id {status.message_id}")


def as_django(mail: Mail, letter: Letter) -> EmailMultiAlternatives:
    """Return the mail as a Django message, for a provider's API."""
    fields = {**letter.shared, **letter.own}
    message = EmailMultiAlternatives(
        subject=fields["Subject"],
        body=as_text(letter.text),
        from_email=fields["From"],
        to=[mail.recipient],
        headers={name: fields[name] for name in fields if name not in APART},
    )
    message.attach_alternative(as_text(letter.html), "text/html")
    return message
