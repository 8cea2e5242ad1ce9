"""Download one bounded HTTP response from an untrusted server.

The bounds are on time (to connect, between two pieces, in total), size after
decompression, and redirects (same host, few). A public name leads to public addresses
only. Each failure is a SourceError of one line.

A server that sends a byte now and then never lets a read time out, and http.client alone
reads the status, headers and endless `100 Continue`. So a timer shuts each connection down
at the deadline, whatever it is waiting for.
"""

import ipaddress
import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Timer
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
import urllib3
from django.conf import settings
from requests.adapters import HTTPAdapter

from digest.transport import retry_after

TIMEOUT = (5, 20)  # seconds to connect, and between two pieces of a response
REDIRECTS = 3
REFUSAL_LIMIT = 65_536  # bytes
UNICAST = ipaddress.ip_network("2000::/3")  # RFC 4291 section 2.4: the only public ones
NAT64 = ipaddress.ip_network("64:ff9b::/96")
ETAG_LIMIT = 200  # characters; a longer one is cut, and matches nothing


class SourceError(Exception):
    """The source's response, or the file, cannot be used; the message is one line."""


class NotYetPublished(SourceError):
    """The source has no list of that day yet."""


class Refused(SourceError):
    """The source answered 400: it cannot do what we asked; `body` is what it said."""

    def __init__(self, body: bytes) -> None:
        super().__init__("the paper source refused the request (400)")
        self.body = body


class RateLimited(SourceError):
    """The source limits our requests; it responds again after `reset_seconds`."""

    def __init__(self, reset_seconds: int) -> None:
        super().__init__(
            f"the paper source asks to wait {reset_seconds} s (too many requests)"
        )
        self.reset_seconds = reset_seconds


@dataclass(frozen=True, slots=True)
class Answer:
    """The body of a 200, decompressed, and the ETag to ask again by; "" without one."""

    body: bytes
    etag: str


class WatchedAdapter(HTTPAdapter):
    """An adapter that keeps a second handle of each socket, to shut it down."""

    def __init__(self) -> None:
        self.handles: list[socket.socket] = []
        super().__init__()

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        """Return the pool, whose connections add themselves to the handles."""
        pool: Any = super().get_connection_with_tls_context(*args, **kwargs)
        handles = self.handles
        wanted = urlsplit(args[0].url).hostname

        class Watched(type(pool).ConnectionCls):  # type: ignore[misc]
            def _new_conn(self) -> socket.socket:
                name = str(self._dns_host)  # type: ignore[has-type]
                if name == wanted:  # not a proxy, whose address is the operator's affair
                    self._dns_host = public_address(name, self.port)
                try:
                    opened: socket.socket = super()._new_conn()
                finally:
                    self._dns_host = name  # which TLS compares with the certificate
                # A duplicate of the same connection, which TLS does not take over.
                handles.append(socket.socket(fileno=os.dup(opened.fileno())))
                return opened

        pool.ConnectionCls = Watched
        return pool

    def shut_down(self) -> None:
        """End every read and write that waits on a connection."""
        for handle in list(self.handles):
            try:
                handle.shutdown(socket.SHUT_RDWR)
            except OSError:  # it has ended already
                continue

    def close(self) -> None:
        """Close the pools and the handles."""
        super().close()
        while self.handles:
            self.handles.pop().close()


def public_address(name: str, port: int) -> str:
    """Return the address to connect to. Raises SourceError for one inside our network.

    Resolved once, so that no second answer of the name server leads elsewhere. An address,
    or a name without a dot (localhost, a container), is where the operator wants it.
    """
    if "." not in name.strip(".") or _is_address(name):
        return name
    try:
        found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise SourceError(
            f"the paper source {name} cannot be reached: no such name"
        ) from None
    addresses = [str(sockaddr[0]) for *_, sockaddr in found]
    if not all(is_public(ipaddress.ip_address(one.partition("%")[0])) for one in addresses):
        raise SourceError(f"the paper source {name} leads to an address that is not public")
    return addresses[0]


def is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Return whether an address is of the open internet, also behind a NAT64 (RFC 6052).

    `is_global` alone is true of all that no registry calls private, as of fec0::1.
    """
    if isinstance(address, ipaddress.IPv6Address):
        if address in NAT64:
            return is_public(ipaddress.IPv4Address(address.packed[-4:]))
        if address not in UNICAST:
            return False
    return address.is_global and not address.is_multicast


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


@contextmanager
def session_until(deadline: float) -> Iterator[requests.Session]:
    """Yield a session that ends at `deadline`, an instant of time.monotonic()."""
    with requests.Session() as session:
        session.headers["User-Agent"] = (
            f"DailyPapers/{settings.RELEASE} (+{settings.SITE_URL})"
        )
        adapter = WatchedAdapter()
        for scheme in ("http://", "https://"):
            session.mount(scheme, adapter)
        timer = Timer(max(0, deadline - time.monotonic()), adapter.shut_down)
        timer.daemon = True
        timer.start()
        try:
            yield session
        finally:
            timer.cancel()
            timer.join()


def download(
    session: requests.Session, url: str, *, most: int, deadline: float, etag: str = ""
) -> Answer | None:
    """Return a 200 whose decompressed body has at most `most` bytes; None for a 304.

    Redirects on the same host are followed; `deadline` is the session's; `etag` is of an
    earlier answer. Raises SourceError.
    """
    try:
        answer = _download(session, url, most=most, deadline=deadline, etag=etag)
    except SourceError:
        if time.monotonic() < deadline:
            raise
        answer = None
    # A body read from a connection that was shut down may look like a short response.
    if time.monotonic() >= deadline:
        raise SourceError("the paper source took too long")
    return answer


def _download(
    session: requests.Session, url: str, *, most: int, deadline: float, etag: str
) -> Answer | None:
    host = urlsplit(url).hostname
    conditions = {"If-None-Match": etag} if etag else {}
    try:
        for _ in range(REDIRECTS + 1):
            with session.get(
                url, timeout=TIMEOUT, stream=True, allow_redirects=False, headers=conditions
            ) as answer:
                if etag and answer.status_code == 304:
                    return None
                if not answer.is_redirect:
                    _check_status(answer, deadline=deadline)
                    body = _body(answer, most=most, deadline=deadline)
                    return Answer(body, answer.headers.get("ETag", "")[:ETAG_LIMIT])
                target = urljoin(url, answer.headers["Location"])
            if urlsplit(target).netloc != urlsplit(url).netloc:
                raise SourceError("the paper source redirects to another host")
            url = target
    except (requests.Timeout, urllib3.exceptions.TimeoutError):
        raise SourceError(f"the paper source {host} did not answer in time") from None
    except (requests.ConnectionError, urllib3.exceptions.NewConnectionError) as error:
        why = "its certificate is not valid" if _is_tls(error) else "no connection"
        raise SourceError(f"the paper source {host} cannot be reached: {why}") from None
    except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError):
        raise SourceError("the paper source's answer was cut off or garbled") from None
    raise SourceError("the paper source redirects without end")


def _is_tls(error: Exception) -> bool:
    return isinstance(error, requests.exceptions.SSLError)


def _check_status(answer: requests.Response, *, deadline: float) -> None:
    if answer.status_code == 400:
        raise Refused(_body(answer, most=REFUSAL_LIMIT, deadline=deadline))
    if answer.status_code in {429, 503}:
        raise RateLimited(_reset_seconds(answer))
    if answer.status_code != 200:
        raise SourceError(f"the paper source answered {answer.status_code}")


def _reset_seconds(answer: requests.Response) -> int:
    """Read `RateLimit: "api";r=0;t=123` or Retry-After; the default is 5 minutes."""
    found = re.search(r"\bt=([0-9]{1,6})\b", answer.headers.get("RateLimit", ""))
    return int(found[1] if found else retry_after.seconds(answer.headers, default=300))


def _body(answer: requests.Response, *, most: int, deadline: float) -> bytes:
    """Return the decompressed body.

    read1 returns after each piece, so the deadline ends a slow drip.
    """
    body = bytearray()
    while piece := answer.raw.read1(65_536, decode_content=True):
        body += piece
        if len(body) > most:
            raise SourceError("the paper source's answer is too large")
        if time.monotonic() > deadline:
            raise SourceError("the paper source took too long")
    return bytes(body)
