"""What an error of a hand-over says about the mail: not accepted, refused, or unknown.

Only an explicit answer of the server or provider counts as a no. A broken connection
or a timeout may come after the mail was accepted, and looks the same (RFC 1047).
"""

import smtplib
from dataclasses import dataclass

from anymail.exceptions import (
    AnymailAPIError,
    AnymailError,
    AnymailRecipientsRefused,
)

from subscribers.models import Notice

State = Notice.State
OURS_TO_MEND = {401, 402, 403, 429}  # key, bill or rate: the mail itself is fine
MAYBE_ACCEPTED = {408, 409, 425}


@dataclass(frozen=True)
class Outcome:
    """The state a notice goes to, and why in words safe to store."""

    state: Notice.State
    reason: str


def meaning(error: Exception) -> Outcome | None:
    """What to record for an error raised while sending; None if it says nothing.

    PENDING means surely not accepted, and worth another try.
    """
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        (reply, *_) = error.recipients.values()
        return of_smtp(*reply)
    if isinstance(error, smtplib.SMTPResponseException):
        return of_smtp(error.smtp_code, error.smtp_error)
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return Outcome(State.REFUSED, "the mail server lacks an extension we need")
    if isinstance(error, AnymailError):
        return of_provider(error)
    if isinstance(error, OSError):
        return Outcome(State.UNKNOWN, type(error).__name__)
    return None


def of_smtp(code: int, text: bytes | str) -> Outcome:
    words = text.decode(errors="replace") if isinstance(text, bytes) else text
    reason = f"{code} {printable(words)}"[:200]
    if 400 <= code < 500:
        return Outcome(State.PENDING, reason)
    if 500 <= code < 600:
        return Outcome(State.REFUSED, reason)
    return Outcome(State.UNKNOWN, reason)


def of_provider(error: AnymailError) -> Outcome:
    status = error.status_code or 0
    reason = f"{type(error).__name__} {status}"
    if isinstance(error, AnymailRecipientsRefused) or not isinstance(
        error, AnymailAPIError
    ):
        return Outcome(State.REFUSED, reason)
    if status in OURS_TO_MEND:
        return Outcome(State.PENDING, reason)
    if 400 <= status < 500 and status not in MAYBE_ACCEPTED:
        return Outcome(State.REFUSED, reason)
    return Outcome(State.UNKNOWN, reason)


def printable(words: str) -> str:
    return "".join(c if c.isprintable() else " " for c in words)
