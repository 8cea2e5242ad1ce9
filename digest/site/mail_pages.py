"""Mail in the browser: one digest without its reader-specific parts, and editions.

Both pages contain the mail's inline styles, so their policy allows those and nothing else:
no script, no request.
"""

from collections.abc import Collection
from datetime import date

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import translation
from django.utils.csp import CSP
from django.views.decorators.cache import cache_control, never_cache
from django.views.decorators.csp import csp_override
from django.views.decorators.http import require_safe

from digest import signing
from digest.deliveries.replay import NothingToShow, rebuild
from digest.editions import phrases, web_version
from digest.models import Delivery, Edition
from subscribers.models import Topic

MOST_SHOWN = 100
MAIL_CSP: dict[str, Collection[str] | str] = {
    "default-src": [CSP.NONE],
    "style-src": [CSP.UNSAFE_INLINE],
    "base-uri": [CSP.NONE],
    "form-action": [CSP.NONE],
    "frame-ancestors": [CSP.NONE],
}


@require_safe
@never_cache
@csp_override(MAIL_CSP)
def digest(request: HttpRequest, name: str) -> HttpResponse:
    """Show the papers of one mail. The name grants no right and identifies no reader."""
    delivery_id = signing.read(signing.Purpose.PAGE, name)
    found = Delivery.objects.select_related("edition")
    delivery = get_object_or_404(found, pk=delivery_id or 0)
    try:
        rebuilt = rebuild(delivery)
    except NothingToShow as error:
        raise Http404(str(error)) from None
    shown = [(pick.block, pick.label, pick.reasons) for pick in rebuilt.shown()]
    with translation.override(rebuilt.was.language):
        headline = phrases.public_headline(len(shown))
    page = web_version.page(
        delivery.edition, shown, language=rebuilt.was.language, headline=headline, name=name
    )
    response = HttpResponse(page)
    response["X-Robots-Tag"] = "noindex, nofollow"
    response["Referrer-Policy"] = "no-referrer"
    return response


@require_safe
@cache_control(public=True, max_age=60)
@csp_override(MAIL_CSP)
def edition(request: HttpRequest, kind: str, day: date) -> HttpResponse:
    """Show the public page of a published edition."""
    found = get_object_or_404(Edition, kind=kind, day=day)
    labels = dict(Topic.objects.values_list("slug", "label"))
    return HttpResponse(web_version.edition_page(found, labels, most=MOST_SHOWN))
