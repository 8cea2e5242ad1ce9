"""What stands before our views: the headers of proxies, read once, and bounded bodies.

After the middleware, REMOTE_ADDR is the client's address, without a port or brackets, and Host is the
site's own.
"""

import select
import ssl
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from io import BytesIO
from ipaddress import ip_address
from socket import SHUT_RD, socket
from typing import Any
from urllib.parse import urlsplit
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from django.conf import settings
from django.http import HttpRequest, HttpResponse

DEFAULT_PORTS = {"http": 80, "https": 443}
# Requested by machines that know this process by its address only, not the site.
HEALTH = {"/healthz", "/readyz", "/metrics"}
# Our pages use none of these, so injected content may not either.
PERMISSIONS = ", ".join(
    f"{feature}=()"
    for feature in (
        "accelerometer",
        "camera",
        "display-capture",
        "geolocation",
        "gyroscope",
        "magnetometer",
        "microphone",
        "payment",
        "usb",
    )
)


class FrontEnd:
    """The middleware. It comes first, as redirects and host checks need the real host."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path in HEALTH or (settings.BEHIND_PROXY and is_for_site(request)):
            request.META["HTTP_HOST"] = urlsplit(settings.SITE_ORIGIN).netloc
        if settings.BEHIND_PROXY:
            forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "")
            if client := client_address(forwarded, proxies=settings.TRUSTED_PROXIES):
                request.META["REMOTE_ADDR"] = client
        if not request.path_info.startswith(f"/{settings.ADMIN_PATH}/"):
            # No session elsewhere: a bad cookie would be answered by another, for a cache to
            # give to everybody. A remembered browser's is read from its header.
            request.COOKIES.clear()
        response = self.get_response(request)
        response.setdefault("Permissions-Policy", PERMISSIONS)
        # A cache may keep a 404 or a redirect that says nothing of it (RFC 9111 4.2.2).
        response.setdefault("Cache-Control", "no-store")
        return response


def origin(url: str) -> str:
    """Return scheme, host and port of a URL as browsers send them in Origin (RFC 6454)."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    port = parts.port if parts.port != DEFAULT_PORTS.get(parts.scheme) else None
    return f"{parts.scheme}://{host}{f':{port}' if port else ''}"


def client_address(forwarded: str, *, proxies: int) -> str:
    """Return the address that the outermost of our proxies saw; empty if it is none.

    Each proxy appends its client's address to X-Forwarded-For, some with the port. Entries
    before those of our own proxies were sent by the client and may be forged. No proxy adds
    an empty entry.
    """
    entries = [entry for entry in forwarded.split(",") if entry.strip()]
    if not entries:
        return ""
    entry = entries[max(len(entries) - proxies, 0)].strip().strip('"')
    for host in (entry, host_of(entry)):
        if is_address(host):
            return host
    return ""


def is_loopback(host: str) -> bool:
    """Return True if a host is loopback, of this machine only (RFC 6761, RFC 4291)."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def is_for_site(request: HttpRequest) -> bool:
    """Return True if a proxy's request is for our site: it names it, or only this process.

    A proxy may pass on the browser's Host, or put it in X-Forwarded-Host, or send only the
    address or the service name by which it reaches us. ALLOWED_HOSTS refuses other names.
    Links are built from SITE_URL alone, so a forged host changes nothing.
    """
    forwarded = request.META.get("HTTP_X_FORWARDED_HOST", "").split(",")
    host = host_of(request.META.get("HTTP_HOST", ""))
    names = {host, *map(host_of, forwarded)}
    by_service_name = bool(host) and "." not in host
    return settings.SITE_HOST in names or by_service_name or is_address(host)


def host_of(value: str) -> str:
    """Return the name or address without its port, in lower case; empty for no host."""
    try:
        return urlsplit(f"//{value.strip()}").hostname or ""
    except ValueError:
        return ""


def is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


# -- large and slow bodies ---------------------------------------------------------------

# Request bodies are bounded in size and time before Django sees the request (PEP 3333). A body
# that comes slowly holds a thread of the web server. So no more than a few may do that at once
# in one process, and none for long: the other threads answer meanwhile. Whatever is too large
# is refused by its Content-Length, unread.


MOST_BYTES = 64 * 1024  # of a form
WITHIN = 10.0  # seconds for all of a body
AT_ONCE = 0.05  # seconds within which a body does not count as slow
MOST_SLOW = 2  # slow bodies at once in one process: half of its threads
# Providers' reports are larger; their view asks for a password before it reads.
WEBHOOKS = "/webhooks/"
NOT_YET = (BlockingIOError, ssl.SSLWantReadError)


class TooSlow(Exception):
    """The body did not come in time, or too many slow ones come already."""


class LimitedBodies:
    """WSGI middleware: the application gets each body whole and at once."""

    def __init__(self, application: WSGIApplication) -> None:
        self.application = application
        self.slow = threading.BoundedSemaphore(MOST_SLOW)

    def __call__(
        self, request: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        without_prefix(request)
        length = int(request.get("CONTENT_LENGTH") or 0)
        if has_own_limit(request.get("PATH_INFO", "")):
            return self.application(request, start_response)
        connection = request.get("gunicorn.socket")
        if length > MOST_BYTES:
            return refused("413 Content Too Large", start_response, connection)
        if length and connection:
            try:
                body = self.read(connection, request["wsgi.input"].read, length)
            except TooSlow:
                return refused("408 Request Timeout", start_response, connection)
            request["wsgi.input"] = BytesIO(body)
        return self.application(request, start_response)

    def read(self, connection: socket, read: Callable[[int], bytes], length: int) -> bytes:
        """Return the body. Raises TooSlow."""
        began = time.monotonic()
        if (body := come(connection, read, length, until=began + AT_ONCE)) is not None:
            return body
        if not self.slow.acquire(blocking=False):
            raise TooSlow
        try:
            body = come(connection, read, length, until=began + WITHIN)
        finally:
            self.slow.release()
        if body is None:
            raise TooSlow
        return body


def without_prefix(request: WSGIEnvironment) -> None:
    """Undo SCRIPT_NAME: the site stands below no path.

    gunicorn takes it from a header of that name that a proxy on this machine passes on, and
    anybody may send: all links of a page would begin with it, and caches give the page to all.
    """
    prefix, request["SCRIPT_NAME"] = request.get("SCRIPT_NAME", ""), ""
    request["PATH_INFO"] = f"{prefix}{request.get('PATH_INFO', '')}"


def has_own_limit(path: str) -> bool:
    """Return whether a view looks at who asks, and at the size, before it reads the body.

    A file of readers is uploaded to one page alone, by an operator.
    """
    return path.startswith(WEBHOOKS) or path == f"/{settings.ADMIN_PATH}/imports/"


def come(
    connection: socket, read: Callable[[int], bytes], length: int, *, until: float
) -> bytes | None:
    """Return the body once all of it has come; None if it has not by then.

    gunicorn keeps what it has read when a read would block, so that can be tried again.
    """
    before = connection.gettimeout()
    connection.setblocking(False)
    try:
        while True:
            try:
                return read(length)
            except NOT_YET:
                left = until - time.monotonic()
                if left <= 0 or not readable(connection, left):
                    return None
    finally:
        connection.settimeout(before)


def readable(connection: socket, seconds: float) -> bool:
    waiting: Any = select.poll()  # unlike select(), for file descriptors above 1023 too
    waiting.register(connection, select.POLLIN)
    return bool(waiting.poll(1000 * seconds))


def refused(
    status: str, start_response: StartResponse, connection: socket | None
) -> Iterable[bytes]:
    """Answer, and read nothing more.

    Else gunicorn would wait two seconds, in the one thread that takes connections, for each
    client that does not hang up (close_graceful in gunicorn.util).
    """
    if connection:
        with suppress(OSError):  # it is gone already
            connection.shutdown(SHUT_RD)
    words = f"{status[4:]}\n".encode()
    headers = [
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Content-Length", str(len(words))),
        ("Connection", "close"),  # what is left of the body is not read
    ]
    start_response(status, headers)
    return [words]
