"""What came back from a provider's API, judged by its cause: classes do not tell.

Anymail raises the same class for a message that a provider refused and for one that it
took, when the answer was lost on the way.
"""

import re
from collections.abc import Iterator, Mapping

import requests
from anymail.exceptions import (
    AnymailInvalidAddress,
    AnymailRecipientsRefused,
    AnymailSerializationError,
    AnymailUnsupportedFeature,
)

from digest.transport import retry_after
from digest.transport.idempotency import BREVO_KNOWS
from digest.transport.outcomes import (
    Outcome,
    Phase,
    Verdict,
    of_recipient,
    of_silence,
    of_status,
)

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
