"""Whole public answers are kept for a second, per process, and never a personal one."""

import gzip
import time
from collections.abc import Callable, Iterable
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment
from wsgiref.util import setup_testing_defaults

import brotli
import pytest

from digest.site import answer_cache
from digest.site.answer_cache import CachedAnswers

PUBLIC = [("Content-Type", "text/html"), ("Cache-Control", "public, max-age=60")]
LONG = b"<p>A paper.</p>" * 100


class Application:
    """Answers with what it is told to, and counts."""

    def __init__(self) -> None:
        self.status, self.headers, self.body = "200 OK", PUBLIC, LONG
        self.asked: list[WSGIEnvironment] = []

    def __call__(self, request: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        self.asked.append(request)
        start(self.status, list(self.headers))
        return [self.body]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def move(seconds: float) -> None:
        now[0] += seconds

    return move


class Client:
    def __init__(self) -> None:
        self.application = Application()
        self.cache = CachedAnswers(self.application, but="/static/")

    def get(self, path: str = "/", **more: str) -> tuple[str, dict[str, str], bytes]:
        request: dict[str, Any] = {"PATH_INFO": path, "QUERY_STRING": ""} | more
        setup_testing_defaults(request)
        begun: list[tuple[str, dict[str, str]]] = []

        def start(status: str, headers: list[tuple[str, str]]) -> None:
            begun.append((status, dict(headers)))

        body = b"".join(self.cache(request, start))  # type: ignore[arg-type]
        return *begun[0], body

    @property
    def renderings(self) -> int:
        return len(self.application.asked)


@pytest.fixture
def web(clock: Callable[[float], None]) -> Client:
    return Client()


def test_an_answer_is_rendered_once_a_second(web: Client, clock) -> None:
    for _ in range(10):
        assert web.get()[2] == LONG
    assert web.renderings == 1
    web.application.body = LONG + b"new"
    clock(answer_cache.KEPT_FOR)
    assert web.get()[2] == LONG + b"new"
    assert web.renderings == 2


def test_while_one_request_renders_the_others_get_the_old_answer(
    web: Client, clock, monkeypatch
) -> None:
    web.get()
    clock(answer_cache.KEPT_FOR)
    seen = []

    def slow(*asked: Any) -> Any:
        seen.append(web.get()[2])  # comes meanwhile
        return Application.__call__(web.application, *asked)

    monkeypatch.setattr(web.cache, "application", slow)
    web.get()
    assert seen == [LONG]


OTHER_REQUESTS = {
    "a cookie": {"HTTP_COOKIE": "sessionid=x"},
    "credentials": {"HTTP_AUTHORIZATION": "Basic eA=="},
    "a POST": {"REQUEST_METHOD": "POST"},
    "a file": {"path": "/static/site.css"},
}


@pytest.mark.parametrize("more", OTHER_REQUESTS.values(), ids=OTHER_REQUESTS)
def test_a_request_that_may_be_personal_is_passed_on(
    web: Client, more: dict[str, str]
) -> None:
    web.get(**more)
    web.get(**more)
    assert web.renderings == 2


OTHER_ANSWERS: dict[str, dict[str, Any]] = {
    "private": {"headers": [("Cache-Control", "private, no-store")]},
    "says nothing": {"headers": []},
    "sets a cookie": {"headers": [*PUBLIC, ("Set-Cookie", "a=b")]},
    "varies by cookie": {"headers": [*PUBLIC, ("Vary", "Cookie")]},
    "varies by language": {"headers": [*PUBLIC, ("Vary", "Accept-Language")]},
    "not found": {"status": "404 Not Found"},
    "a redirect": {"status": "302 Found"},
    "a fault": {"status": "500 Internal Server Error"},
    "too large": {"body": b"a" * (answer_cache.LARGEST + 1)},
}


@pytest.mark.parametrize("answer", OTHER_ANSWERS.values(), ids=OTHER_ANSWERS)
def test_an_answer_that_may_be_personal_is_not_kept(
    web: Client, answer: dict[str, Any]
) -> None:
    vars(web.application).update(answer)
    assert web.get()[0] == web.get()[0] == web.application.status
    assert web.renderings == 2


@pytest.mark.parametrize(
    "more",
    [
        {"HTTP_HOST": "other.example.org"},
        {"HTTP_X_FORWARDED_PROTO": "https"},
        {"HTTP_X_FORWARDED_HOST": "other.example.org"},
        {"QUERY_STRING": "page=2"},
        {"path": "/other/"},
    ],
    ids=lambda more: next(iter(more)),
)
def test_what_an_answer_depends_on_has_an_answer_of_its_own(
    web: Client, more: dict[str, str]
) -> None:
    web.get()
    web.get(**more)
    assert web.renderings == 2


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        ("", ""),
        ("gzip", "gzip"),
        ("gzip, deflate, br, zstd", "br"),
        ("br;q=0, gzip;q=0.5", "gzip"),
        ("identity", ""),
        ("GZIP", "gzip"),
        ("*;q=0", ""),
    ],
)
def test_the_body_is_compressed_as_the_client_takes_it(
    web: Client, accepted: str, encoding: str
) -> None:
    decode = {"": bytes, "gzip": gzip.decompress, "br": brotli.decompress}[encoding]
    for _ in range(2):
        _, headers, body = web.get(HTTP_ACCEPT_ENCODING=accepted)
        assert headers.get("Content-Encoding", "") == encoding
        assert headers["Vary"] == "Accept-Encoding"
        assert int(headers["Content-Length"]) == len(body)
        assert decode(body) == LONG


@pytest.mark.parametrize(
    ("condition", "status"),
    [("{}", "304"), ('"x", {}', "304"), ("*", "304"), ('"x"', "200"), ("", "200")],
)
def test_who_has_the_answer_already_is_told_so(
    web: Client, condition: str, status: str
) -> None:
    _, first, _ = web.get()
    answer, headers, body = web.get(HTTP_IF_NONE_MATCH=condition.format(first["ETag"]))
    assert answer.startswith(status)
    assert (body == b"") == (status == "304")
    assert headers["ETag"] == first["ETag"]
    web.application.body = LONG + b"new"
    assert CachedAnswers(web.application, but="-").kept == {}


def test_a_conditional_request_that_renders_fills_the_cache(web: Client) -> None:
    web.get(HTTP_IF_NONE_MATCH='"x"')
    assert "HTTP_IF_NONE_MATCH" not in web.application.asked[0]
    assert web.get()[0] == "200 OK"
    assert web.renderings == 1


def test_head_has_the_headers_alone(web: Client) -> None:
    web.get()
    _, headers, body = web.get(REQUEST_METHOD="HEAD")
    assert (body, headers["Content-Length"]) == (b"", str(len(LONG)))
    assert web.renderings == 1


def test_memory_is_bounded_and_the_oldest_answers_go(web: Client, monkeypatch) -> None:
    monkeypatch.setattr(answer_cache, "MOST_BYTES", 10 * len(LONG))
    for number in range(50):
        web.get(f"/{number}")
    assert [key[4] for key in web.cache.kept] == [f"/{n}" for n in range(40, 50)]
    assert web.cache.size == 10 * len(LONG)
    web.get("/49")
    assert web.renderings == 50
