"""The front page for everybody: requests a second, CPU of each, and bytes on the wire.

Client and server share the machine, as in the promise. While nothing changes each web process
renders once a second; "the first" is the request that it renders for, after the votes of all
papers have changed, or all that is shown of them.
"""

import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.benchmarks import world
from tests.benchmarks.figures import Figure
from tests.benchmarks.machine import cpu_seconds, describe
from tests.benchmarks.web import web_server

CLIENTS = 8
SECONDS = 8.0
HOST = "127.0.0.1"
LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
BROWSER = {"Accept-Encoding": "gzip, deflate, br", "Host": HOST}


def run(*, rounds: int = 3) -> list[Figure]:
    """Measure the front page, the same asked for with its ETag, and a page of the API."""
    print(describe())
    with world.world(0), web_server() as (port, pid):
        etag, weight = weigh(port)
        asked = {
            "front page": request("/"),
            "front page, not changed": request("/", etag=etag),
            "API, papers": request("/api/v1/papers"),
        }
        figures = []
        for name, sent in asked.items():
            found = [load(port, pid, sent) for _ in range(rounds)]
            rates, late, cpu = zip(*found, strict=True)
            figures += [
                Figure(f"{name}: requests a second", rates, at_least=1500),
                Figure(f"{name}: p99 ms", late, at_most=30),
                Figure(f"{name}: ms of CPU each", cpu, at_most=1),
            ]
        after_votes = [first_after(port, change_votes) for _ in range(rounds + 2)][2:]
        after_papers = [first_after(port, change_papers) for _ in range(rounds)]
    return [
        *figures,
        Figure("front page: the first after new votes, ms", after_votes, at_most=60),
        Figure("front page: the first with 100 new papers, ms", after_papers, at_most=60),
        Figure("front page, styles, script and icon: kB on the wire", [weight], at_most=60),
    ]


def request(path: str, *, etag: str = "") -> bytes:
    headers = BROWSER | ({"If-None-Match": etag} if etag else {})
    lines = [
        f"GET {path} HTTP/1.1",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode()


@contextmanager
def connection(port: int) -> Iterator[socket.socket]:
    with socket.create_connection((HOST, port), timeout=30) as line:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield line


def exchange(line: socket.socket, sent: bytes) -> tuple[bytes, bytes]:
    """Send a request on an open connection; return the answer's head and body."""
    line.sendall(sent)
    answer = b""
    while b"\r\n\r\n" not in answer:
        if not (more := line.recv(65_536)):
            raise ConnectionError("the server hung up")
        answer += more
    head, _, body = answer.partition(b"\r\n\r\n")
    length = LENGTH.search(head)
    while len(body) < (int(length[1]) if length else 0):
        body += line.recv(262_144)
    return head, body


def weigh(port: int) -> tuple[str, float]:
    """Return the front page's ETag, and the kilobytes that a browser loads for it."""
    with connection(port) as line:
        head, body = exchange(line, request("/"))
        import brotli

        html = brotli.decompress(body).decode()
        paths = set(re.findall(r'(?:href|src)="(/static/[^"]+)"', html))
        size = len(head) + len(body)
        for path in paths:
            size += sum(map(len, exchange(line, request(path))))
        etag = re.search(rb"etag: (\S+)", head, re.IGNORECASE)
    assert etag and paths
    return etag[1].decode(), size / 1000


def load(port: int, pid: int, sent: bytes) -> tuple[float, float, float]:
    """Return requests a second, the 99th percentile in ms, and ms of CPU each."""
    took: list[float] = []
    lock, end = threading.Lock(), time.perf_counter() + SECONDS

    def client() -> None:
        mine: list[float] = []
        while time.perf_counter() < end:
            with connection(port) as line:
                try:
                    while time.perf_counter() < end:
                        begin = time.perf_counter()
                        head, _ = exchange(line, sent)
                        mine.append((time.perf_counter() - begin) * 1000)
                        assert head[9:12] in {b"200", b"304"}, head
                except ConnectionError:  # kept for so many requests only
                    continue
        with lock:
            took.extend(mine)

    exchange_once(port, sent)
    before = cpu_seconds(pid)
    threads = [threading.Thread(target=client) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    used = cpu_seconds(pid) - before
    late = sorted(took)[int(len(took) * 0.99)]
    return len(took) / SECONDS, late, used / len(took) * 1000


def first_after(port: int, change: Callable[[], object]) -> float:
    """Return the ms of the first request after a change."""
    change()
    time.sleep(1.1)  # what was kept is old in every process
    begin = time.perf_counter()
    exchange_once(port, request("/"))
    return (time.perf_counter() - begin) * 1000


def change_votes() -> None:
    from django.db.models import F

    from digest.models import Paper

    Paper.objects.update(upvotes=F("upvotes") + 1)


def change_papers() -> None:
    from django.db.models import Value
    from django.db.models.functions import Concat

    from digest.models import Paper

    anew = Value(" Anew.")
    Paper.objects.update(title=Concat("title", anew), abstract=Concat("abstract", anew))


def exchange_once(port: int, sent: bytes) -> None:
    with connection(port) as line:
        exchange(line, sent)
