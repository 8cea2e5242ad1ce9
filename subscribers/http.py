"""What the pages behind mailed links have in common, and what they read of a request.

The token is the credential: no session, no CSRF token. Nothing here may be cached, indexed
or sent on as a referrer.
"""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import update_wrapper
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Concatenate

from django.conf import settings
from django.core import signing
from django.core.exceptions import BadRequest, SuspiciousOperation
from django.http import HttpRequest, HttpResponse, UnreadablePostError, parse_cookie
from django.http.multipartparser import MultiPartParserError
from django.shortcuts import redirect, render
from django.urls import is_valid_path
from django.utils import timezone, translation
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from subscribers import browsers, links
from subscribers.browsers import MINE
from subscribers.consent import Origin
from subscribers.language import speak
from subscribers.models import Link, Subscriber

TYPED = "typed"
TYPED_FOR = timedelta(minutes=10)
LONGEST_COOKIE = 3000  # bytes; browsers take 4096 with its name and attributes
NOT_TYPED = {"website", "opened", "proof", "step", "action"}  # guards and buttons
# A link of a mail, and behind it what no link of ours has.
WITH_A_TAIL = re.compile(
    r"((?:/[a-z]{2})?/(?:papers|digest|v)/[\w./-]*\w)/?(?:[^\w./-].*|\.+/?)"
    rf"|(/(?:confirm|block|address|data|preferences)/{links.TOKEN.pattern}(?:/newest)?)"
    r"/?[^A-Za-z0-9/].*",
    re.ASCII | re.DOTALL,
)
WORDING = "2026-11-c"  # the version of the texts in templates/subscribers

type View[**P] = Callable[Concatenate[HttpRequest, P], HttpResponse]


def token_page[**P](view: View[P]) -> View[P]:
    """Wrap a page for one person only: GET, HEAD and POST; anything else changes nothing."""

    def private(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        has_token = any(isinstance(value, str) for value in kwargs.values())
        if has_token:  # until the view knows whose
            speak(translation.get_language_from_request(request))
        response = answer(request, *args, **kwargs)
        response["X-Robots-Tag"] = "noindex"
        if any(isinstance(value, str) and value != MINE for value in kwargs.values()):
            # There is a token in the path.
            response["Referrer-Policy"] = "no-referrer"
        return response

    @require_http_methods(["GET", "HEAD", "POST"])
    def answer(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        try:
            return view(request, *args, **kwargs)
        except (links.Malformed, links.Unknown):
            if meant := mended(request):
                return redirect(meant)
            return render(request, "subscribers/no_such_link.html", status=404)
        except browsers.NotRemembered:
            return see_other("preferences_link")

    return csrf_exempt(never_cache(update_wrapper(private, view)))


def mended(request: HttpRequest) -> str:
    """Return a mailed link's path without what a mail program or a person took for its end.

    Empty for any other path, and for a form: what is posted is not sent again by a redirect.
    """
    found = WITH_A_TAIL.fullmatch(request.path)
    if found is None or request.method not in {"GET", "HEAD"}:
        return ""
    path = found[1] or found[2]
    return next((one for one in (path, f"{path}/") if is_valid_path(one)), "")


def read_link(token: str, purpose: Link.Purpose, *, now: datetime) -> Link:
    """Return a link as `links.read`, and speak its reader's language from then on."""
    try:
        link = links.read(token, purpose, now=now)
    except links.Expired as expired:
        speak_to_holder(expired.link)
        raise
    speak_to_holder(link)
    return link


def speak_to_holder(link: Link) -> None:
    """Speak the language that the link's mail was in."""
    speak(str(link.preferences.get("language", link.subscriber.language)))


def reader_behind(request: HttpRequest, token: str) -> Subscriber:
    """Return whose preferences a mailed link opens; or, for MINE, this browser's reader.

    Raises links.BadLink.
    """
    now = timezone.now()
    if token != MINE:
        return read_link(token, Link.Purpose.PREFERENCES, now=now).subscriber
    if (found := browsers.read(request, now=now)) is None:
        raise browsers.NotRemembered
    speak(found.subscriber.language)
    return found.subscriber


def preferences_page(
    view: Callable[[HttpRequest, Subscriber, str], HttpResponse],
) -> View[[str]]:
    """Wrap a page beside the preferences: the view gets their reader, and the page's token.

    An expired link leads to the preferences, which offer a fresh one.
    """

    def page(request: HttpRequest, /, token: str) -> HttpResponse:
        try:
            reader = reader_behind(request, token)
        except links.Expired:
            return see_other("preferences", token)
        return view(request, reader, token)

    return token_page(update_wrapper(page, view))


def site(request: HttpRequest) -> dict[str, object]:
    """Return for every template the site's address, and what is switched on or off.

    A page behind a link in a mail is `for_a_reader`: it offers no sign-up in its head.
    """
    asked = request.resolver_match.kwargs if request.resolver_match else {}
    return {
        "for_a_reader": "token" in asked,
        "sign_up_open": settings.SIGN_UP_OPEN,
        "site_url": settings.SITE_URL,
        "test_mode": bool(settings.TEST_MODE_TO),
    }


def while_open[**P](view: View[P]) -> View[P]:
    """Wrap a page of the sign-up: it is refused to everybody while sign-up is closed."""

    def page(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        if settings.SIGN_UP_OPEN:
            return view(request, *args, **kwargs)
        return render(request, "subscribers/closed.html", status=403)

    return update_wrapper(page, view)


def see_other(name: str, *args: str) -> HttpResponse:
    """Redirect with 303, so that GET comes next, whatever the method was."""
    response = redirect(name, *args)
    response.status_code = 303
    return response


def see_typed(name: str, request: HttpRequest) -> HttpResponse:
    """Redirect to a page that shows this browser what it typed: for ten minutes, there alone.

    In a signed cookie, as an address in a URL would be logged. What is too long for one is
    kept without the rest of the form.
    """
    typed = {
        name: request.POST.getlist(name) for name in request.POST if name not in NOT_TYPED
    }
    response = see_other(name)
    value = signing.dumps(typed, salt=TYPED, compress=True)
    if len(value) > LONGEST_COOKIE:
        value = signing.dumps({"email": typed.get("email", [])}, salt=TYPED)
    response.set_cookie(
        TYPED,
        value,
        max_age=TYPED_FOR,
        path=response["Location"],
        secure=request.is_secure(),
        httponly=True,
        samesite="Strict",
    )
    return response


def typed(request: HttpRequest) -> list[tuple[str, str]]:
    """Return the (name, value) pairs that this browser typed before; none from elsewhere."""
    cookie = parse_cookie(request.META.get("HTTP_COOKIE", "")).get(TYPED, "")
    try:
        found = signing.loads(cookie, salt=TYPED, max_age=TYPED_FOR)
    except signing.BadSignature:
        return []
    return [(name, value) for name, values in found.items() for value in values]


def origin(request: HttpRequest, source: str) -> Origin:
    """`source` names the page without its token."""
    wording = f"{WORDING} {translation.get_language()}"
    return Origin(source=source, network=network(request), wording=wording)


def network(request: HttpRequest) -> str:
    """Return the /24 or /48 that the request came from; empty behind a unix socket.

    REMOTE_ADDR is the client's, also behind our own proxies: the first middleware sees to it.
    """
    try:
        address = ip_address(request.META.get("REMOTE_ADDR", ""))
    except ValueError:
        return ""
    if isinstance(address, IPv6Address):
        address = address.ipv4_mapped or address
    length = 24 if address.version == 4 else 48
    return str(ip_network((address, length), strict=False))


def action(request: HttpRequest) -> str:
    """Return the `action` of a posted form; empty if there is none or the body is no form.

    A mail provider may post anything or nothing (RFC 8058 3.2).
    """
    try:
        return request.POST.get("action", "")
    except (
        BadRequest,
        MultiPartParserError,
        SuspiciousOperation,
        UnreadablePostError,
        LookupError,
        ValueError,
    ):
        return ""
