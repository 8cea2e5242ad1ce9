"""What the errors of servers and providers mean for the mail."""

import smtplib

import pytest
import requests
from anymail.exceptions import (
    AnymailRecipientsRefused,
    AnymailRequestsAPIError,
    AnymailUnsupportedFeature,
)

from subscribers.notices.errors import meaning


def answered(status: int) -> AnymailRequestsAPIError:
    response = requests.Response()
    response.status_code = status
    return AnymailRequestsAPIError("no", response=response)


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (smtplib.SMTPRecipientsRefused({"a@b.test": (450, b"later")}), "pending"),
        (smtplib.SMTPRecipientsRefused({"a@b.test": (550, b"no")}), "refused"),
        (smtplib.SMTPSenderRefused(421, b"busy", "a@b.test"), "pending"),
        (smtplib.SMTPDataError(554, b"no"), "refused"),
        (smtplib.SMTPDataError(-1, b"?"), "unknown"),
        (smtplib.SMTPNotSupportedError("utf8"), "refused"),
        (smtplib.SMTPServerDisconnected("gone"), "unknown"),
        (TimeoutError(), "unknown"),
        (ConnectionResetError(), "unknown"),
        (answered(400), "refused"),
        (answered(401), "pending"),
        (answered(408), "unknown"),
        (answered(429), "pending"),
        (answered(503), "unknown"),
        (AnymailRequestsAPIError("no answer"), "unknown"),
        (AnymailRecipientsRefused(), "refused"),
        (AnymailUnsupportedFeature("x"), "refused"),
    ],
)
def test_only_an_explicit_no_allows_another_try(error: Exception, state: str) -> None:
    outcome = meaning(error)
    assert outcome
    assert outcome.state == state


def test_an_error_that_says_nothing_has_no_meaning() -> None:
    assert meaning(ZeroDivisionError()) is None


def test_the_words_of_a_server_are_safe_to_store() -> None:
    outcome = meaning(smtplib.SMTPDataError(554, b"no\x00\r\n\xff" + b"x" * 500))
    assert outcome
    assert outcome.reason.isprintable()
    assert len(outcome.reason) <= 200
