"""Mail in the browser: one digest without its reader-specific parts, and editions.

Both pages contain the mail's inline styles, so their policy allows those and nothing else:
no script, no request.
"""

from collections.abc import Collection
from datetime import date

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone, translation
from django.utils.csp import CSP
from django.utils.translation import gettext
from django.views.decorators.cache import never_cache
from django.views.decorators.csp import csp_override
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe

from digest import signing
from digest.deliveries import replay
from digest.deliveries.replay import NothingToShow, rebuild
from digest.editions import phrases, web_version
from digest.models import Edition, folded
from digest.site.views import public
from subscribers import browsers, links
from subscribers.http import preferences_page
from subscribers.language import speak
from subscribers.models import Length, Schedule, Subscriber, Topic

MOST_SHOWN = 100
MAIL_CSP: dict[str, Collection[str] | str] = {
    "default-src": [CSP.NONE],
    "style-src": [CSP.UNSAFE_INLINE],
    "base-uri": [CSP.NONE],
    "form-action": [CSP.NONE],
    "frame-ancestors": [CSP.NONE],
}


@csrf_exempt
@require_safe
@never_cache
@csp_override(MAIL_CSP)
def digest(request: HttpRequest, name: str) -> HttpResponse:
    """Show the papers of one mail. The name grants no right and identifies no reader."""
    delivery_id = signing.read(signing.Purpose.PAGE, name)
    delivery = folded.find(delivery_id or 0)
    if delivery is None:
        raise Http404
    try:
        rebuilt = rebuild(delivery)
    except NothingToShow:
        raise Http404(
            gettext("This mail has not gone out, or we no longer keep it.")
        ) from None
    shown = [(pick.block, pick.label, pick.reasons) for pick in rebuilt.shown()]
    speak(rebuilt.was.language)
    headline = phrases.public_headline(len(shown))
    known = browsers.read(request, now=timezone.now()) is not None
    page = web_version.page(
        delivery.edition,
        shown,
        language=rebuilt.was.language,
        headline=headline,
        name=name,
        preferences=links.url("preferences", browsers.MINE) if known else "",
    )
    response = HttpResponse(page)
    response["X-Robots-Tag"] = "noindex, nofollow"
    response["Referrer-Policy"] = "no-referrer"
    return response


def newest_editions(reader: Subscriber, most: int) -> list[Edition]:
    """Return the newest editions of the reader's kind; days until the first week ends."""
    found = Edition.objects.order_by("-day")
    weekly = reader.schedule.cadence == Schedule.Cadence.WEEKLY
    of_weeks = list(found.filter(kind=Edition.Kind.WEEKLY)[:most]) if weekly else []
    return of_weeks or list(found.filter(kind=Edition.Kind.DAILY)[:most])


@preferences_page
@csp_override(MAIL_CSP)
def newest(request: HttpRequest, reader: Subscriber, token: str) -> HttpResponse:
    """Show the newest digest as it would be for the reader behind a preferences link.

    A new reader need not wait for the first mail. Nothing is planned, so no vote is offered.
    """
    edition = next(iter(newest_editions(reader, 1)), None)
    picks = replay.shown_to(reader.pk, edition) if edition else []
    if edition is None or not picks:
        return render(request, "digest/nothing_yet.html", {"preferences_token": token})
    with translation.override(reader.language):
        headline = phrases.headline(len(picks), edition.kind)
    shown = [(pick.block, pick.label, pick.reasons) for pick in picks]
    page = web_version.page(
        edition,
        shown,
        language=reader.language,
        headline=headline,
        length=Length(reader.length),
        preferences=links.url("preferences", token),
    )
    return HttpResponse(page)


@require_safe
@public
@csp_override(MAIL_CSP)
def edition(request: HttpRequest, kind: str, day: date) -> HttpResponse:
    """Show the public page of a published edition; announcements have none."""
    found = get_object_or_404(Edition.objects.of_papers(), kind=kind, day=day)
    labels = dict(Topic.objects.values_list("slug", "label"))
    return HttpResponse(web_version.edition_page(found, labels, most=MOST_SHOWN))
