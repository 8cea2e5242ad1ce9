"""Keep whole public answers for a second, compressed, in the memory of each web process.

Nothing has to announce a change: an answer is rendered again when its second is over, while
other requests still get the old one. So a change shows within two seconds, in every process,
and a busy page costs one rendering a second.

Kept is only what says that it may be: a 200 with `Cache-Control: public` that sets no cookie
and varies by nothing but its encoding, asked for without a cookie or credentials.
"""

import gzip
import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import brotli

KEPT_FOR = 1.0  # seconds
MOST_BYTES = 32 * 1024 * 1024  # of all answers in one process, as they were rendered
LARGEST = 1024 * 1024  # of one answer; a larger one is not kept
WORTH_COMPRESSING = 500  # bytes
# What the site's answers depend on, apart from the method.
KEYS = (
    "HTTP_HOST",
    "HTTP_X_FORWARDED_HOST",
    "HTTP_X_FORWARDED_PROTO",
    "wsgi.url_scheme",
    "PATH_INFO",
    "QUERY_STRING",
)
PERSONAL = ("HTTP_COOKIE", "HTTP_AUTHORIZATION")
CONDITIONS = ("HTTP_IF_NONE_MATCH", "HTTP_IF_MODIFIED_SINCE")
NOT_WITHOUT_BODY = {"content-length", "content-type", "content-encoding"}  # RFC 9110 15.4.5
OWN_HEADERS = {"etag", "content-length", "vary"}  # set anew for each client
ENCODERS: dict[str, Callable[[bytes], bytes]] = {
    "br": lambda body: brotli.compress(body, quality=5),
    "gzip": lambda body: gzip.compress(body, 6, mtime=0),
}  # best first

type Key = tuple[str, ...]
type Headers = list[tuple[str, str]]


@dataclass
class Answer:
    """A whole answer with its compressed forms, which are made when first asked for."""

    status: str
    headers: Headers  # without those that depend on the encoding
    body: bytes
    etag: str
    until: float  # monotonic; then it is rendered again
    encoded: dict[str, bytes] = field(default_factory=dict)

    def form(self, accepted: str) -> tuple[str, bytes]:
        """Return the best encoding that the client accepts, and the body in it."""
        if len(self.body) < WORTH_COMPRESSING:
            return "", self.body
        for name, encode in ENCODERS.items():
            if accepts(accepted, name):
                if name not in self.encoded:
                    self.encoded[name] = encode(self.body)
                return name, self.encoded[name]
        return "", self.body


class CachedAnswers:
    """WSGI middleware (PEP 3333) around the application; `but` is a path that it leaves."""

    def __init__(self, application: WSGIApplication, *, but: str) -> None:
        self.application = application
        self.but = but
        self.kept: OrderedDict[Key, Answer] = OrderedDict()
        self.size = 0
        self.lock = threading.Lock()

    def __call__(
        self, request: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        if (
            request["REQUEST_METHOD"] not in {"GET", "HEAD"}
            or request.get("PATH_INFO", "").startswith(self.but)
            or any(name in request for name in PERSONAL)
        ):
            return self.application(request, start_response)
        key = tuple(str(request.get(name, "")) for name in KEYS)
        if answer := self.fresh(key):
            return give(answer, request, start_response)
        if request["REQUEST_METHOD"] == "HEAD":
            return self.application(request, start_response)
        return self.render(key, request, start_response)

    def fresh(self, key: Key) -> Answer | None:
        """Return the kept answer; None, for one request a second, to render it again."""
        now = time.monotonic()
        with self.lock:
            if (answer := self.kept.get(key)) is None:
                return None
            self.kept.move_to_end(key)
            if now < answer.until:
                return answer
            answer.until = now + KEPT_FOR  # the others go on with this one meanwhile
            return None

    def render(
        self, key: Key, request: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        asked = {name: value for name, value in request.items() if name not in CONDITIONS}
        status, headers, body = whole(self.application, asked)
        if not may_be_kept(status, headers, body):
            self.forget(key)
            start_response(status, headers)
            return [body]
        answer = Answer(
            status,
            [(name, value) for name, value in headers if name.lower() not in OWN_HEADERS],
            body,
            f'W/"{hashlib.blake2b(body, digest_size=12).hexdigest()}"',
            time.monotonic() + KEPT_FOR,
        )
        self.keep(key, answer)
        return give(answer, request, start_response)

    def keep(self, key: Key, answer: Answer) -> None:
        with self.lock:
            old = self.kept.pop(key, None)
            if old is not None:
                self.size -= len(old.body)
                if old.etag == answer.etag:
                    answer.encoded = old.encoded
            self.kept[key] = answer
            self.size += len(answer.body)
            while self.size > MOST_BYTES:
                _, dropped = self.kept.popitem(last=False)
                self.size -= len(dropped.body)

    def forget(self, key: Key) -> None:
        with self.lock:
            if dropped := self.kept.pop(key, None):
                self.size -= len(dropped.body)


def whole(
    application: WSGIApplication, request: WSGIEnvironment
) -> tuple[str, Headers, bytes]:
    """Return an application's whole answer."""
    begun: list[tuple[str, Headers]] = []
    written: list[bytes] = []

    def start(status: str, headers: Headers, exc_info: object = None) -> object:
        begun[:] = [(status, headers)]
        return written.append

    parts = application(request, start)  # type: ignore[arg-type]
    try:
        written.extend(parts)
    finally:
        if close := getattr(parts, "close", None):
            close()
    status, headers = begun[0]
    return status, headers, b"".join(written)


def may_be_kept(status: str, headers: Headers, body: bytes) -> bool:
    fields = {name.lower(): value.lower() for name, value in headers}
    return (
        status.startswith("200")
        and "public" in fields.get("cache-control", "")
        and "set-cookie" not in fields
        and "content-encoding" not in fields
        and fields.get("vary", "") in {"", "accept-encoding"}
        and len(body) <= LARGEST
    )


def give(
    answer: Answer, request: WSGIEnvironment, start_response: StartResponse
) -> Iterable[bytes]:
    """Answer with 304 if the client has it already (RFC 9110 13.1.2), else in full."""
    common = [("ETag", answer.etag), ("Vary", "Accept-Encoding")]
    if matches(request.get("HTTP_IF_NONE_MATCH", ""), answer.etag):
        kept = [pair for pair in answer.headers if pair[0].lower() not in NOT_WITHOUT_BODY]
        start_response("304 Not Modified", [*kept, *common])
        return []
    encoding, body = answer.form(request.get("HTTP_ACCEPT_ENCODING", ""))
    if encoding:
        common.append(("Content-Encoding", encoding))
    common.append(("Content-Length", str(len(body))))
    start_response(answer.status, [*answer.headers, *common])
    return [] if request["REQUEST_METHOD"] == "HEAD" else [body]


def matches(condition: str, etag: str) -> bool:
    """Compare weakly, as RFC 9110 8.8.3.2 has it for If-None-Match."""
    tags = [tag.strip().removeprefix("W/") for tag in condition.split(",")]
    return "*" in tags or etag.removeprefix("W/") in tags


def accepts(accepted: str, encoding: str) -> bool:
    """Return True if Accept-Encoding names the encoding, with a weight above 0."""
    for entry in accepted.lower().split(","):
        name, _, weight = entry.partition(";")
        if name.strip() == encoding:
            return weight.replace(" ", "") not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}
    return False
