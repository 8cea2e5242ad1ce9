"""A Redis behind TLS: the worker's client and that of the limits verify it alike."""

import contextlib
import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
import trustme
from kombu import Connection
from kombu.exceptions import OperationalError

from tests.configured import GIVEN, settings

pytestmark = pytest.mark.embedded


def copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def behind_tls(path: str, context: ssl.SSLContext) -> Iterator[int]:
    """Serve the Redis of a unix socket over TLS. Yield the port."""

    class Proxy(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as near:
                far = context.wrap_socket(self.request, server_side=True)
                with far:  # a client that does not trust us hangs up before
                    near.connect(path)
                    back = threading.Thread(target=copy, args=(near, far))
                    back.start()
                    copy(far, near)
                    back.join()

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Proxy) as server:
        threading.Thread(target=server.serve_forever).start()
        yield server.server_address[1]
        server.shutdown()


def client_connects(url: str) -> bool:
    with redis.Redis.from_url(url, socket_timeout=5) as client:
        try:
            return bool(client.ping())
        except redis.ConnectionError:
            return False


def worker_connects(url: str) -> bool:
    with Connection(url, transport_options={"socket_timeout": 5}) as broker:
        try:
            broker.ensure_connection(max_retries=1, timeout=2)
            return bool(broker.default_channel.client.ping())  # type: ignore[attr-defined]
        except (OperationalError, redis.ConnectionError):
            return False


@pytest.mark.parametrize(
    ("name", "options", "connects"),
    [
        ("127.0.0.1", "", False),  # an authority that nobody knows
        ("127.0.0.1", "?ssl_ca_certs={}", True),
        ("redis.example", "?ssl_ca_certs={}", False),  # a certificate for somebody else
        ("redis.example", "?ssl_cert_reqs=none", True),
    ],
)
def test_worker_and_limits_verify_it_alike(
    name: str, options: str, connects: bool, redis_server: str, tmp_path: Path
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    with behind_tls(redis_server.removeprefix("unix://"), context) as port:
        url = f"rediss://127.0.0.1:{port}/0{options.format(tmp_path / 'ca.pem')}"
        read = settings({**GIVEN, "REDIS_URL": url}, state=tmp_path)
        assert client_connects(read["REDIS_URL"]) is connects
        assert worker_connects(read["CELERY_BROKER_URL"]) is connects
