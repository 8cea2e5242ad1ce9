"""The page to which email service providers post reports: /webhooks/PROVIDER/tracking/.

Anymail knows each provider's signature and words; this page adds what it leaves open. A
secret of our own is needed for each of them and looked at before anything is read, a whole
batch is kept in one transaction, and Mailgun's signature, which does not cover what it
signs, counts once and for a quarter of an hour only.
"""

import hashlib
import logging
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from anymail.exceptions import (
    AnymailConfigurationError,
    AnymailError,
    AnymailImproperlyInstalled,
)
from anymail.signals import AnymailTrackingEvent
from anymail.utils import get_request_basic_auth
from anymail.webhooks.base import AnymailCoreWebhookView
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import Resolver404, resolve
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from digest.feedback import events
from digest.feedback.events import Report

logger = logging.getLogger(__name__)

# The largest batches (a thousand events of Mandrill or SendGrid) have about one megabyte.
MOST_BYTES = 5 * 1024 * 1024
FRESH = timedelta(minutes=15)
WRONG = timedelta(days=366)  # a clock that is not worth keeping
# Anymail's own, and whatever it stumbles on.
UNREADABLE = (
    AnymailError,
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)


class WebhookRefused(Exception):
    """Not a report that may be believed; the message says why."""


@csrf_exempt
@require_http_methods(["POST", "HEAD"])
def tracking(request: HttpRequest, provider: str) -> HttpResponse:
    """Answer 200 when all reports are kept, now or before; 5xx asks to send them again."""
    secrets = settings.ANYMAIL["WEBHOOK_SECRET"]
    if not secrets:
        raise Http404
    given = get_request_basic_auth(request) or ""
    if not any(constant_time_compare(given, secret) for secret in secrets):
        # Amazon SNS gives its password only when asked for it.
        return HttpResponse(status=401, headers={"WWW-Authenticate": "Basic"})
    view = view_of(provider, method=str(request.method))
    if request.method == "HEAD":
        return HttpResponse()
    if int(request.META.get("CONTENT_LENGTH") or 0) > MOST_BYTES:
        return HttpResponse("too large\n", status=413)
    # Read here, as the limit of forms (DATA_UPLOAD_MAX_MEMORY_SIZE) is too low for batches.
    vars(request)["_body"] = request.read(MOST_BYTES)
    now = timezone.now()
    try:
        reports = read(view, request, now=now)
    except WebhookRefused as refused:
        logger.warning("a report to %s's address was refused: %s", provider, refused)
        return HttpResponse("refused\n", status=400)
    events.take(reports, now=now)
    return HttpResponse()


def view_of(provider: str, *, method: str) -> AnymailCoreWebhookView:
    """Return Anymail's view for that provider. Raises Http404."""
    found = resolve(f"/{provider}/tracking/", "anymail.urls").func
    try:
        view: AnymailCoreWebhookView = found.view_class()  # type: ignore[attr-defined]
        # Mandrill asks for the page before it gives the key; Anymail misses it too late.
        if method == "POST" and getattr(view, "webhook_key", "") is None:
            name = f"{provider.upper()}_WEBHOOK_KEY"
            raise AnymailConfigurationError(f"ANYMAIL_{name} is not set")
    except (AnymailConfigurationError, AnymailImproperlyInstalled, ValueError) as wrong:
        logger.error("reports from %s are not taken: %s", provider, wrong)
        raise Http404(str(wrong)) from None
    return view


def trouble(provider: str) -> str:
    """Return why reports of this provider would not be taken; empty if they would be."""
    try:
        view_of(provider, method="POST")
    except Resolver404:
        return ""  # it sends none
    except Http404 as wrong:
        return next(iter(str(wrong).splitlines()), "it is not set up")
    return ""


def read(
    view: AnymailCoreWebhookView, request: HttpRequest, *, now: datetime
) -> list[Report]:
    """Check the provider's signature and read what it says. Raises WebhookRefused."""
    try:
        view.run_validators(request)
        found: Iterable[AnymailTrackingEvent] = view.parse_events(request)
        return [report_of(event, view.esp_name, now=now) for event in found]
    except UNREADABLE as error:  # its words may repeat the body
        raise WebhookRefused(type(error).__name__) from None


def report_of(event: AnymailTrackingEvent, provider: str, *, now: datetime) -> Report:
    """Return the event as a Report. Raises WebhookRefused for an old signature."""
    at = event.timestamp or now
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return Report(
        kind=str(event.event_type),
        key=key(event, provider, now=now),
        at=at if abs(now - at) < WRONG else now,
        delivery_id=delivery_id_of(event),
        recipient=str(event.recipient or ""),
        words=" ".join(map(str, filter(None, [event.mta_response, event.description]))),
        reject_reason=str(event.reject_reason or ""),
        message_id=str(event.message_id or ""),
    )


def delivery_id_of(event: AnymailTrackingEvent) -> int | None:
    """Return the delivery's id that went out with the mail, or None."""
    metadata = event.metadata if isinstance(event.metadata, dict) else {}
    text = str(metadata.get("delivery_id", ""))
    known = text.isascii() and text.isdecimal() and len(text) < 19
    return int(text) if known else None


def key(event: AnymailTrackingEvent, provider: str, *, now: datetime) -> str:
    """Return a key, equal for each repetition of a report. Raises WebhookRefused."""
    if provider == "Mailgun":
        parts = ["Mailgun", mailgun_token(event.esp_event, now=now)]
    else:
        parts = [provider, event.event_id or "", event.event_type, event.message_id]
        parts += [event.recipient, "" if event.event_id else event.timestamp]
    text = "\n".join(map(str, parts))
    return hashlib.sha256(text.encode(errors="backslashreplace")).hexdigest()


def mailgun_token(signed: dict[str, object], *, now: datetime) -> str:
    """Return the token that Mailgun signed, newer form or older. Raises WebhookRefused."""
    block = signed.get("signature")
    fields = block if isinstance(block, dict) else signed
    if abs(now - datetime.fromtimestamp(int(str(fields["timestamp"])), UTC)) > FRESH:
        raise WebhookRefused("an old signature")
    return str(fields["token"])
