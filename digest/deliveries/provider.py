"""Any email service provider that Anymail knows: one API call for one reader's mail."""

import email
import email.policy
import logging
import secrets
from collections.abc import Iterator, Sequence

import requests
from anymail.exceptions import AnymailError, AnymailRecipientsRefused
from django.core.mail import EmailMultiAlternatives, mailers

from digest.deliveries.mail import Mail
from digest.deliveries.outcomes import (
    POISON,
    Outcome,
    Phase,
    Verdict,
    of_silence,
    of_status,
)

logger = logging.getLogger(__name__)


class Provider:
    """A transport by Anymail's backend of that provider."""

    def __init__(self) -> None:
        self.backend = mailers["default"]
        # https://resend.com/docs/dashboard/emails/idempotency-keys: kept for 24 hours.
        self.has_keys = getattr(self.backend, "esp_name", "") == "Resend"

    def hand_over(self, mails: Sequence[Mail]) -> Iterator[tuple[int, Outcome]]:
        for mail in mails:
            yield mail.delivery_id, self.call(mail)

    def call(self, mail: Mail) -> Outcome:
        try:
            message = as_django(mail)
        except Exception:  # one poisoned row must not stop an edition
            logger.exception("delivery %d cannot be composed", mail.delivery_id)
            return POISON
        key = f"{mail.delivery_id}-{secrets.token_urlsafe(12)}"
        outcome = self.post(message, key)
        if outcome.verdict is Verdict.UNKNOWN and self.has_keys:
            # The same key and the same bytes are taken once. Only a yes counts: another
            # no, even a sure one, is about this request and not about the first.
            again = self.post(message, key)
            return again if again.verdict is Verdict.ACCEPTED else outcome
        return outcome

    def post(self, message: EmailMultiAlternatives, key: str) -> Outcome:
        try:
            self.backend.open()
            if session := getattr(self.backend, "session", None) if self.has_keys else None:
                session.headers["Idempotency-Key"] = key
            self.backend.send_messages([message])
        except AnymailRecipientsRefused as error:
            return of_status(422, str(error))
        except (AnymailError, requests.RequestException) as error:
            return of_error(error)
        status = getattr(message, "anymail_status", None)
        return of_status(200, f"id {status.message_id}" if status else "")

    def close(self) -> None:
        self.backend.close()


def of_error(error: Exception) -> Outcome:
    """Judge an exception by its cause: the class does not tell sent from not sent."""
    cause: BaseException | None = error
    while cause:
        if isinstance(cause, requests.ConnectTimeout | requests.exceptions.SSLError):
            return of_silence(Phase.CONNECT, str(cause))
        if isinstance(cause, requests.ConnectionError) and "NewConnectionError" in str(
            cause
        ):
            return of_silence(Phase.CONNECT, str(cause))
        cause = cause.__cause__ or cause.__context__
    response = getattr(error, "response", None)
    status = getattr(error, "status_code", None)
    if not isinstance(status, int):
        status = getattr(response, "status_code", None)
    return of_status(status, str(error), retry_after(response))


def retry_after(response: object) -> float:
    """Seconds of the Retry-After header (RFC 9110 section 10.2.3), an hour at most."""
    headers = getattr(response, "headers", None) or {}
    value = str(headers.get("Retry-After", ""))
    return min(float(value), 3600.0) if value.isdigit() else 0.0


def as_django(mail: Mail) -> EmailMultiAlternatives:
    """The composed mail as a Django message, for a provider's API."""
    parsed = email.message_from_bytes(mail.compose(), policy=email.policy.default)
    text, html = parsed.get_body(("plain",)), parsed.get_body(("html",))
    skipped = {"from", "to", "subject", "mime-version", "content-type"}
    message = EmailMultiAlternatives(
        subject=str(parsed["Subject"]),
        body=text.get_content() if text else "",
        from_email=str(parsed["From"]),
        to=[mail.recipient],
        headers={
            name: str(value)
            for name, value in parsed.items()
            if name.lower() not in skipped
        },
    )
    if html:
        message.attach_alternative(html.get_content(), "text/html")
    message.metadata = {"delivery_id": str(mail.delivery_id)}  # type: ignore[attr-defined]
    return message
