"""A reader's mail in the operator's browser: as it would go out now, and as it was sent."""

import re
from email import message_from_bytes, policy

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils.csp import CSP
from django.views.decorators.csp import csp_override
from django.views.decorators.http import require_safe

from digest.deliveries import ledger, replay
from digest.models import Edition, folded
from digest.ops.console.views import see_editions, see_readers
from digest.ops.mailbox.views import MAIL_CSP
from subscribers.models import Subscriber

LINK = re.compile(r"https?://[^\s\"'<>]+")


@see_editions
@see_readers
@require_safe
@csp_override(MAIL_CSP | {"frame-ancestors": [CSP.NONE]})
def preview(request: HttpRequest, pk: int, reader: int) -> HttpResponse:
    """Show an edition as this reader would get it, with links to our pages taken out.

    They hold what only the reader may hold: the power to unsubscribe and to vote.
    """
    found = get_object_or_404(Edition, pk=pk)
    subscriber = get_object_or_404(Subscriber, pk=reader)
    try:
        content = replay.preview(subscriber, found, now=ledger.database_now())
    except replay.NothingToShow as error:
        raise Http404(f"Nothing to show: {error}.") from None
    return HttpResponse(part_of(content, "html"))


@see_editions
@see_readers
@require_safe
@csp_override(MAIL_CSP | {"frame-ancestors": [CSP.NONE]})
def sent(request: HttpRequest, pk: int) -> HttpResponse:
    """Show a delivery's mail as it was handed over, its links to our pages taken out, too."""
    if (row := folded.find(pk)) is None:
        raise Http404
    try:
        return HttpResponse(part_of(replay.replay(row).content, "html"))
    except replay.NothingToShow as error:
        raise Http404(f"Nothing to show: {error}.") from None


def part_of(content: bytes, kind: str) -> str:
    """Return the html or plain part of a mail, its links to our pages taken out."""
    part = message_from_bytes(content, policy=policy.default).get_body((kind,))
    return LINK.sub(without_path, part.get_content() if part else "")


def without_path(link: re.Match[str]) -> str:
    """Return a link to our own site without its path, any other as it is."""
    return settings.SITE_URL if link[0].startswith(settings.SITE_URL) else link[0]
