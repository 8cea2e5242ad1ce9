"""Middleware that reads the headers of proxies, once per request.

After it, REMOTE_ADDR is the client's address, without a port or brackets, and Host is the
site's own.
"""

from collections.abc import Callable
from ipaddress import ip_address
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest, HttpResponse

DEFAULT_PORTS = {"http": 80, "https": 443}
# Requested by machines that know this process by its address only, not the site.
HEALTH = {"/healthz", "/readyz"}
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
        response = self.get_response(request)
        response.setdefault("Permissions-Policy", PERMISSIONS)
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
