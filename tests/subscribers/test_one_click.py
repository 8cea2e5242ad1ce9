"""RFC 8058 as a mail provider speaks it, to the web server of a deployment."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.test import Client

from subscribers.models import Subscriber
from tests.make import reader
from tests.subscribers.conftest import state_of
from tests.web_server import web_server

BODY = b"List-Unsubscribe=One-Click"
URLENCODED = b"Content-Type: application/x-www-form-urlencoded\r\n"
LENGTH = b"Content-Length: %d\r\n" % len(BODY)


@pytest.fixture
def web(transactional_db: None, tmp_path: Path) -> Iterator[int]:
    with web_server(tmp_path) as port:
        yield port


def spoken(port: int, *parts: bytes) -> bytes:
    """Each part is sent when something was answered to the one before; the last answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as line:
        for part in parts[:-1]:
            line.sendall(part)
            assert line.recv(1000).startswith(b"HTTP/1.1 100")
        line.sendall(parts[-1])
        return b"".join(iter(lambda: line.recv(10_000), b""))


def requests(path: str, port: int) -> dict[str, tuple[bytes, ...]]:
    start = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n".encode()
    start += b"Connection: close\r\n"
    old = f"POST {path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n".encode()
    chunk = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)
    return {
        "plain": (start + URLENCODED + LENGTH + b"\r\n" + BODY,),
        "old": (old + LENGTH + b"\r\n" + BODY,),
        "chunked": (start + URLENCODED + b"Transfer-Encoding: chunked\r\n\r\n" + chunk,),
        "expecting": (
            start + URLENCODED + LENGTH + b"Expect: 100-continue\r\n\r\n",
            BODY,
        ),
        "bare": (start + b"\r\n",),
    }


def test_u1_one_post_unsubscribes_however_it_is_spoken(web: int) -> None:
    for kind in ("plain", "old", "chunked", "expecting", "bare"):
        ann = reader(f"{kind}@example.org")
        answer = spoken(web, *requests(f"/u/{ann.unsubscribe_token}", web)[kind])
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.split(b" ")[1] == b"200", (kind, answer)
        assert state_of(ann.email) == "unsubscribed", kind
        assert b"set-cookie" not in head.lower()
        assert b"\r\nlocation:" not in head.lower()
        assert len(body) < 200


@pytest.mark.parametrize("cookie", ["", "sessionid=forged; csrftoken=forged"])
def test_s14_no_cookie_and_no_origin_matters_to_a_one_click_post(
    active: Subscriber, cookie: str
) -> None:
    provider = Client(enforce_csrf_checks=True)
    abroad = {"Origin": "https://evil.test", "Referer": "https://evil.test/"}
    headers = abroad | ({"Cookie": cookie} if cookie else {})
    answer = provider.post(f"/u/{active.unsubscribe_token}", headers=headers)
    assert (answer.status_code, state_of()) == (200, "unsubscribed")
    assert not answer.cookies


def test_s14_pages_with_a_session_take_no_post_from_elsewhere(
    admin_client: Client, admin_user, settings
) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(admin_user)
    for path in ("subscribers/suppression/add/", "password_change/", "logout/"):
        answer = browser.post(
            f"/{settings.ADMIN_PATH}/{path}", {"email": "ann@example.org"}
        )
        assert answer.status_code == 403, path
    assert settings.SESSION_COOKIE_HTTPONLY
    assert settings.SESSION_COOKIE_SAMESITE == settings.CSRF_COOKIE_SAMESITE == "Lax"


def test_s12_a_rotated_key_ends_sessions_and_no_link_in_mail(
    client: Client, admin_user, active: Subscriber, settings
) -> None:
    old = settings.SECRET_KEY
    admin = f"/{settings.ADMIN_PATH}/"
    client.force_login(admin_user)
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "second" * 10, [old]
    assert client.get(admin).status_code == 200
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "third" * 10, []
    assert client.get(admin).status_code == 302
    assert Client().post(f"/u/{active.unsubscribe_token}").status_code == 200
    assert state_of() == "unsubscribed"
