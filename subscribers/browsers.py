"""Browsers that open their reader's preferences without a mailed link, by the reader's wish.

The cookie is the credential, never the link of a mail, which travels along when the mail is
forwarded. It is signed and holds 128 random bits, of which only the SHA-256 is stored, so
the reader can end each browser from any other, and a copy of the database opens nothing.
"""

from datetime import datetime, timedelta
from urllib.parse import urlsplit

from django.conf import settings
from django.core import signing
from django.db import transaction
from django.http import HttpRequest, HttpResponse, parse_cookie

from subscribers.links import BadLink, hash_of
from subscribers.models import Browser, new_capability
from subscribers.subscriptions import CONFIRMED, locked

MINE = "mine"  # stands for a token in the addresses of the pages behind the cookie
LIFETIME = timedelta(days=30)
MOST = 10  # of one reader; the oldest makes room
# The first that a User-Agent names is meant: they name their ancestors, too.
PROGRAMS = {
    "Edg": "Edge",
    "OPR": "Opera",
    "SamsungBrowser": "Samsung Internet",
    "Firefox": "Firefox",
    "FxiOS": "Firefox",
    "Chrome": "Chrome",
    "CriOS": "Chrome",
    "Safari": "Safari",
}
SYSTEMS = {
    "Android": "Android",
    "iPhone": "iPhone",
    "iPad": "iPad",
    "Windows": "Windows",
    "Macintosh": "macOS",
    "Linux": "Linux",
}


class NotRemembered(BadLink):
    """No cookie, or one that does not count any more."""


@transaction.atomic
def remember(
    subscriber_id: int, request: HttpRequest, response: HttpResponse, *, now: datetime
) -> None:
    """Let this browser open the reader's preferences for 30 days; the cookie goes along."""
    reader = locked(subscriber_id)
    if reader is None or reader.state not in CONFIRMED:
        return
    if (known := read(request, now=now)) and known.subscriber_id == reader.pk:
        known.delete()
    mine = Browser.objects.filter(subscriber=reader).order_by("-created_at", "-pk")
    mine.filter(pk__in=list(mine.values_list("pk", flat=True)[MOST - 1 :])).delete()
    secret = new_capability()
    Browser.objects.create(
        subscriber=reader,
        secret_hash=hash_of(secret),
        name=name_of(request.headers.get("User-Agent", "")),
        created_at=now,
        expires_at=now + LIFETIME,
    )
    response.set_cookie(
        cookie_name(),
        signer().sign(secret),
        max_age=LIFETIME,
        secure=settings.HTTPS,
        httponly=True,
        samesite="Lax",
    )


def read(request: HttpRequest, *, now: datetime) -> Browser | None:
    """Return the remembered browser that asks, with its reader; None for any other.

    A form that another site submits does not count as asked by the reader.
    """
    cookie = parse_cookie(request.META.get("HTTP_COOKIE", "")).get(cookie_name(), "")
    if not cookie or is_from_elsewhere(request):
        return None
    try:
        secret = signer().unsign(cookie)
    except signing.BadSignature:
        return None
    found = Browser.objects.select_related("subscriber__schedule").filter(
        secret_hash=hash_of(secret), expires_at__gt=now, subscriber__state__in=CONFIRMED
    )
    return found.first()


def cookie_name() -> str:
    return f"{settings.COOKIE_PREFIX}browser"


def signer() -> signing.Signer:
    return signing.Signer(salt="subscribers.browsers")


def is_from_elsewhere(request: HttpRequest) -> bool:
    """Return whether a browser says that another site's page sent this POST.

    SameSite=Lax keeps the cookie from other sites, but a page of a neighbouring subdomain or
    port is of the same site. See https://words.filippo.io/csrf/.
    """
    if request.method in {"GET", "HEAD"}:
        return False
    if site := request.headers.get("Sec-Fetch-Site"):
        return site not in {"same-origin", "none"}
    origin = request.headers.get("Origin", "null")
    return origin != "null" and urlsplit(origin).netloc != request.get_host()


def of_reader(subscriber_id: int, *, now: datetime) -> list[Browser]:
    """Return the browsers that are remembered now, newest first."""
    found = Browser.objects.filter(subscriber=subscriber_id, expires_at__gt=now)
    return list(found.order_by("-created_at", "-pk"))


def forget(subscriber_id: int, which: str) -> None:
    """End one of the reader's browsers, by its number, or `all` of them; else none."""
    found = Browser.objects.filter(subscriber=subscriber_id)
    if which.isascii() and which.isdigit():
        found = found.filter(pk=min(int(which), 2**63 - 1))
    elif which != "all":
        return
    found.delete()


def clear(response: HttpResponse) -> None:
    """Take the cookie from this browser, which it opens nothing in any more."""
    response.delete_cookie(cookie_name(), samesite="Lax")


def name_of(user_agent: str) -> str:
    """Return a name to recognise a browser by, like Firefox, Android; of our words alone."""
    named = [
        next((name for mark, name in names.items() if mark in user_agent), "")
        for names in (PROGRAMS, SYSTEMS)
    ]
    return ", ".join(filter(None, named))
