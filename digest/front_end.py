"""What stands before us: the proxies' headers, read once for every request.

Everything after this middleware may take REMOTE_ADDR for the client's address, without a
port or brackets, and Host for the site's own.
"""

from collections.abc import Callable
from ipaddress import ip_address
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest, HttpResponse

DEFAULT_PORTS = {"http": 80, "https": 443}
# Asked for by machines that know an address of this process and nothing of the site.
HEALTH = {"/healthz", "/readyz"}
# Our pages use none of these, so nothing that ends up in one may either.
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
    """Middleware. It comes first: what redirects and refuses hosts needs the real ones."""

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

    Each proxy adds at the end of X-Forwarded-For whom it was asked by, some with the port.
    What stands before our own proxies' entries was sent by the client, who may write
    anything there. Empty entries are no proxy's.
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
    """Return whether a host can only be reached from this machine (RFC 6761, RFC 4291)."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def is_for_site(request: HttpRequest) -> bool:
    """Return whether a proxy's request is for our site: it names it, or only this process.

    A proxy may pass on what the browser asked for, or that in X-Forwarded-Host, or no more
    than the address or the service name by which it finds us. Other names are left for
    ALLOWED_HOSTS to refuse. Links are made of SITE_URL alone, so nothing can be forged here.
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
