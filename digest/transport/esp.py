"""Any email service provider that Anymail knows: one API call for one reader's mail."""

import hashlib
import logging
import re
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta

import requests
from anymail.backends.base import AnymailBaseBackend
from anymail.exceptions import (
    AnymailError,
    AnymailInvalidAddress,
    AnymailRecipientsRefused,
    AnymailSerializationError,
    AnymailUnsupportedFeature,
)
from django.conf import settings
from django.core.mail import EmailMultiAlternatives, mailers

from digest.transport import retry_after
from digest.transport.base import Letter, Mail, as_text
from digest.transport.outcomes import (
    NOT_TRIED,
    POISON,
    Outcome,
    Phase,
    Verdict,
    of_recipient,
    of_silence,
    of_status,
)

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
        self.has_keys = self.name in KEPT

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
            key = idempotency_key(mail.delivery_id, letter.sent_at)
            message = self.message(mail, letter, key=key)
        except Exception:  # one poisoned row must not stop an edition
            logger.exception("delivery %d cannot be composed", mail.delivery_id)
            return POISON
        try:
            if self.backend.open():
                settle_surroundings(self.backend)
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
        # In test mode a report would be of the operator, and be charged to the reader.
        if self.name not in WITHOUT_METADATA and not settings.TEST_MODE_TO:
            metadata = {"delivery_id": str(mail.delivery_id)}
            message.metadata = metadata  # type: ignore[attr-defined]
        return message

    def close(self) -> None:
        self.backend.close()


def settle_surroundings(backend: AnymailBaseBackend) -> None:
    """Read the environment's proxy and certificates once for a session, not for each mail.

    A .netrc is left alone: the provider's key is in the settings.
    """
    session = getattr(backend, "session", None)
    if isinstance(session, requests.Session):
        found = session.merge_environment_settings(backend.api_url, {}, None, None, None)
        session.proxies, session.verify = found["proxies"], found["verify"]
        session.trust_env = False


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
        body=as_text(letter.text, letter.values),
        from_email=fields["From"],
        to=[mail.recipient],
        headers={name: fields[name] for name in fields if name not in APART},
    )
    message.attach_alternative(as_text(letter.html, letter.values), "text/html")
    return message


# -- the judge of failures ---------------------------------------------------------------

# An error is judged by its cause, as classes do not tell: Anymail raises the same class for a
# message that a provider refused and for one that it took, when the answer was lost on the way.


# https://postmarkapp.com/developer/api/overview#error-codes: token, maintenance, sender
# signature, credits, account. They come with 422 and are no reader's fault.
POSTMARK_US = frozenset({10, 100, 400, 401, 405, 412, 413})
# botocore's: nothing was sent. By name, as boto3 need not be there.
NEVER_REACHED = {"EndpointConnectionError", "ConnectTimeoutError"}
# urllib3's words for no address, no connection, no handshake; a TLS error later is none.
BEFORE_REQUEST = re.compile(
    "NewConnectionError|NameResolutionError|CERTIFICATE|HANDSHAKE|WRONG_VERSION|PROTOCOL_VERSION"
)


def of_error(error: Exception) -> Outcome:
    """Judge an error that Anymail or requests raised."""
    if isinstance(error, AnymailRecipientsRefused):
        return of_recipient("rejected", str(error))
    if isinstance(error, AnymailInvalidAddress | AnymailSerializationError):
        return Outcome(Verdict.REFUSED, "cannot be composed", str(error)[:500])
    if isinstance(error, AnymailUnsupportedFeature):
        reason = "provider lacks a feature"
        return Outcome(Verdict.RETRY, reason, str(error)[:500], charged=False)
    for cause in causes(error):
        if never_reached(cause):
            return of_silence(Phase.CONNECT, str(cause))
    response = answer(error)
    if isinstance(response, Mapping):  # botocore's
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        return of_status(status, str(error))
    return of_answer(response, str(error))


def of_answer(response: object, text: str) -> Outcome:
    """Judge an HTTP answer to one message, or to a whole request."""
    status = getattr(response, "status_code", None)
    said = body(response)
    if said.get("code") == BREVO_KNOWS:
        return Outcome(Verdict.ACCEPTED, "taken before by this key", f"{status} {text}")
    if status == 422 and said.get("ErrorCode") in POSTMARK_US:
        status = 403
    headers = getattr(response, "headers", None) or {}
    return of_status(status, text, retry_after.seconds(headers))


def causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause:
        yield cause
        cause = cause.__cause__ or cause.__context__


def never_reached(cause: BaseException) -> bool:
    if isinstance(cause, requests.ConnectTimeout):
        return True
    if isinstance(cause, requests.ConnectionError):
        return bool(BEFORE_REQUEST.search(str(cause)))
    return type(cause).__name__ in NEVER_REACHED


def answer(error: BaseException) -> object:
    """Return the response that came with the error, or None. An error's response is falsy."""
    given = (getattr(cause, "response", None) for cause in causes(error))
    return next((response for response in given if response is not None), None)


def body(response: object) -> dict[str, object]:
    try:
        said = response.json()  # type: ignore[attr-defined]
    except (AttributeError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}


# -- idempotency keys --------------------------------------------------------------------

# With a key, a provider takes a request once, however often it comes. A key belongs to an
# intent: the delivery and the instant, both in the ledger before the first byte leaves. So a
# mail can be asked for again by the same key after a crash, and another attempt after an
# explicit no has another key.


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


def idempotency_key(delivery_id: int, intent_at: datetime) -> str:
    """Return the key of an intent, equal in any process; a UUID, as Brevo wants one."""
    intent = f"{delivery_id} {intent_at.astimezone(UTC).isoformat()}".encode()
    digest = hashlib.blake2b(intent, digest_size=16, person=b"daily papers").digest()
    return str(uuid.UUID(bytes=digest, version=4))
