"""What a provider's answers, silences and errors mean: by cause, as classes do not tell."""

import pytest
import requests
from anymail.exceptions import (
    AnymailAPIError,
    AnymailInvalidAddress,
    AnymailRequestsAPIError,
    AnymailUnsupportedFeature,
)

from digest.transport.esp import of_error
from digest.transport.open import open_transport
from digest.transport.outcomes import Verdict, of_recipient


@pytest.mark.parametrize(
    ("status", "verdict", "bad_address"),
    [
        ("sent", Verdict.ACCEPTED, False),
        ("queued", Verdict.ACCEPTED, False),
        ("invalid", Verdict.REFUSED, True),
        ("rejected", Verdict.REFUSED, True),
        ("failed", Verdict.REFUSED, False),
        ("unknown", Verdict.UNKNOWN, False),
    ],
)
def test_a9_each_status_of_anymail_has_one_meaning(status, verdict, bad_address):
    outcome = of_recipient(status, "id 1")
    assert (outcome.verdict, outcome.bad_address) == (verdict, bad_address)
    assert outcome.reply == f"{status} id 1"


def answer(status: int, body: str = "{}", **headers: str) -> requests.Response:
    response = requests.Response()
    response.status_code = status
    response._content = body.encode()
    response.headers.update(headers)
    return response


def raised(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


CASES = [
    (AnymailRequestsAPIError("x", response=answer(422)), Verdict.REFUSED, True),
    (
        AnymailRequestsAPIError("x", response=answer(422, '{"ErrorCode": 405}')),
        Verdict.RETRY,
        False,
    ),
    (AnymailRequestsAPIError("x", response=answer(404)), Verdict.RETRY, False),
    (AnymailRequestsAPIError("x", response=answer(200, "<html>")), Verdict.ACCEPTED, True),
    (
        AnymailRequestsAPIError(
            "x", response=answer(400, '{"code": "duplicate_parameter"}')
        ),
        Verdict.ACCEPTED,
        True,
    ),
    (requests.ReadTimeout("slow"), Verdict.UNKNOWN, True),
    (requests.ConnectTimeout("slow"), Verdict.RETRY, False),
    (requests.ConnectionError("Connection aborted: reset by peer"), Verdict.UNKNOWN, True),
    (requests.exceptions.SSLError("CERTIFICATE_VERIFY_FAILED"), Verdict.RETRY, False),
    (requests.exceptions.SSLError("EOF occurred in violation"), Verdict.UNKNOWN, True),
    (AnymailInvalidAddress("no such domain"), Verdict.REFUSED, True),
    (AnymailUnsupportedFeature("no metadata"), Verdict.RETRY, False),
    (raised(AnymailAPIError("x"), requests.ConnectTimeout("slow")), Verdict.RETRY, False),
]


@pytest.mark.parametrize(
    ("error", "verdict", "charged"), CASES, ids=lambda one: repr(one)[:40]
)
def test_a9_an_error_is_judged_by_its_cause(error, verdict, charged):
    outcome = of_error(error)
    assert (outcome.verdict, outcome.charged) == (verdict, charged)


def test_a9_ses_own_errors_say_the_status():
    cause = Exception("TooManyRequestsException")
    cause.response = {"ResponseMetadata": {"HTTPStatusCode": 429}}  # type: ignore[attr-defined]
    assert of_error(raised(AnymailAPIError("x"), cause)).verdict is Verdict.RETRY


CLOCK = "Fri, 17 Apr 2026 12:00:00 GMT"  # the provider's, whatever ours says


@pytest.mark.parametrize(
    ("wished", "seconds"),
    [
        ("90", 90),
        ("99999", 3600),
        ("Fri, 17 Apr 2026 12:02:00 GMT", 120),
        ("Friday, 17-Apr-26 12:02:00 GMT", 120),
        ("Fri Apr 17 12:02:00 2026", 120),
        ("Fri, 17 Apr 2026 11:59:00 GMT", 0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 3600),
    ],
)
def test_a9_a_wait_that_was_asked_for_is_kept(wished, seconds):
    response = answer(429, **{"Retry-After": wished, "Date": CLOCK})
    assert of_error(AnymailRequestsAPIError("x", response=response)).wait == seconds


@pytest.mark.parametrize(
    ("wished", "clock"),
    [
        ("", CLOCK),
        ("soon", CLOCK),
        ("-5", CLOCK),
        ("1e9", CLOCK),
        ("\u00b2", CLOCK),  # a digit, and no number
        ("\u0663", CLOCK),
        ("60, 120", CLOCK),
        ("Fri, 99 Apr 2026 12:02:00 GMT", CLOCK),
        ("Fri, 17 Apr 0000 12:02:00 GMT", CLOCK),
        ("Fri, 17 Apr 2026 12:02:00 GMT", "now"),
        ("Fri, 17 Apr 2026 12:02:00 GMT", ""),
    ],
)
def test_a9_a_wait_that_cannot_be_read_is_none(wished, clock):
    response = answer(429, **{"Retry-After": wished, "Date": clock})
    assert of_error(AnymailRequestsAPIError("x", response=response)).wait == 0


def test_a9_a_number_of_any_length_is_an_hour_at_most():
    response = answer(429, **{"Retry-After": "9" * 10_000})
    assert of_error(AnymailRequestsAPIError("x", response=response)).wait == 3600


@pytest.mark.embedded
@pytest.mark.django_db
@pytest.mark.parametrize("batch", [False, True])
def test_a2_a_provider_that_nobody_answers_for_costs_no_attempt(
    use, settings, mails, batch
):
    settings.PROVIDER_BATCH = batch
    use("postmark")
    closed = {"POSTMARK_API_URL": "http://127.0.0.1:9/"}
    settings.ANYMAIL = settings.ANYMAIL | closed
    transport = open_transport()
    outcomes = dict(transport.hand_over(mails("ann", "bob")))
    transport.close()
    assert [(one.verdict, one.charged) for one in outcomes.values()] == [
        (Verdict.RETRY, False)
    ] * 2
