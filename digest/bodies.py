"""Request bodies, bounded in size and time before Django sees the request (PEP 3333).

A body that comes slowly holds a thread of the web server. So no more than a few may do that
at once in one process, and none for long: the other threads answer meanwhile. Whatever is
too large is refused by its Content-Length, unread.
"""

import select
import ssl
import threading
import time
from collections.abc import Callable, Iterable
from io import BytesIO
from socket import socket
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

MOST_BYTES = 64 * 1024  # of a form; no page of ours takes a file
WITHIN = 10.0  # seconds for all of a body
AT_ONCE = 0.05  # seconds within which a body does not count as slow
MOST_SLOW = 2  # slow bodies at once in one process: half of its threads
# Providers' reports are larger; their view asks for a password before it reads.
THEIR_OWN_LIMIT = "/webhooks/"
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
        length = int(request.get("CONTENT_LENGTH") or 0)
        if request.get("PATH_INFO", "").startswith(THEIR_OWN_LIMIT):
            return self.application(request, start_response)
        if length > MOST_BYTES:
            return refused("413 Content Too Large", start_response)
        if length and (connection := request.get("gunicorn.socket")):
            try:
                body = self.read(connection, request["wsgi.input"].read, length)
            except TooSlow:
                return refused("408 Request Timeout", start_response)
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


def refused(status: str, start_response: StartResponse) -> Iterable[bytes]:
    words = f"{status[4:]}\n".encode()
    headers = [
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Content-Length", str(len(words))),
        ("Connection", "close"),  # what is left of the body is not read
    ]
    start_response(status, headers)
    return [words]
