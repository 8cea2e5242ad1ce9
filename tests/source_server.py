"""A paper source on this machine: answers as the real one does, or misbehaves.

In a test: `with running() as source: source.days["2026-04-17"] = [entry(), …]`.
As a process: `python -m tests.source_server --port 8765 --file F.json …`.
"""

import argparse
import gzip
import hashlib
import json
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit


def entry(number: int = 1, *, day: str = "2026-04-17", **inner: Any) -> dict[str, Any]:
    """One entry in the API's shape, all of it invented; `inner` replaces fields."""
    paper = {
        "id": f"2604.{number:05}",
        "authors": [
            {"_id": "0" * 24, "name": "Ada Example", "hidden": False},
            {"_id": "1" * 24, "name": "Bo Sample", "hidden": False},
        ],
        "publishedAt": "2026-04-16T00:00:00.000Z",
        "submittedOnDailyAt": f"{day}T00:00:00.000Z",
        "title": f"An Invented Paper About Graphs, Number {number}",
        "summary": "Graph neural networks pass messages.\nThis one passes none.",
        "upvotes": number,
        "githubRepo": "https://github.com/example/sample",
        "ai_keywords": ["graph neural networks"],
        "organization": {"name": "sample", "fullname": "Sample Institute"},
    }
    paper |= inner
    return {
        "paper": {name: value for name, value in paper.items() if value is not None},
        "publishedAt": "2026-04-15T20:00:00.000Z",
        "title": paper.get("title"),
        "summary": paper.get("summary"),
        "numComments": 1,
    }


def arxiv_entry(
    number: int = 1, *, published: str = "2026-04-16T10:00:00Z", **parts: str
) -> tuple[str, str, str]:
    """(id, published, XML) of one entry of arXiv's, all invented; `parts` replace elements."""
    name = f"2604.{number:05}"
    elements = {
        "id": f"<id>http://arxiv.org/abs/{name}v2</id>",
        "title": f"<title>A Sample Paper\n  of Number {number}</title>",
        "summary": "<summary>  Nothing $x^2$ to see &lt; here.\n</summary>",
        "category": '<category term="cs.DC"/><category term="I.2.7"/>',
        "published": f"<published>{published}</published>",
        "primary": '<arxiv:primary_category term="cs.SI"/>',
        "author": "<author><name>Ada Example</name></author>"
        "<author><name>Bo Sample</name></author>",
    } | parts
    return name, published, f"<entry>{''.join(elements.values())}</entry>"


def atom(*entries: str, total: int | None = None) -> bytes:
    """Return a feed of arXiv's with these entries."""
    return f"""<?xml version='1.0' encoding='UTF-8'?>
<feed xmlns:opensearch="http://a9.com/-/spec/opensearch/1.1/"
 xmlns:arxiv="http://arxiv.org/schemas/atom" xmlns="http://www.w3.org/2005/Atom">
<id>https://arxiv.org/api/AbCdEf</id><title>arXiv Query</title>
<opensearch:totalResults>{len(entries) if total is None else total}</opensearch:totalResults>
{"".join(entries)}</feed>""".encode()


def many(value: bytes, size: int) -> bytes:
    """A JSON array of the value again and again, of about `size` bytes."""
    return b"[" + b",".join([value] * (size // (len(value) + 1))) + b"]"


class Source(ThreadingHTTPServer):
    """Its days, its fault (one of `FAULTS`, from page `fault_page` on), what was asked."""

    daemon_threads = True

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.days: dict[str, list[object]] = {}
        self.newest: date | None = None  # later days are answered with 400
        self.arxiv: list[tuple[str, str, str]] = []  # what arxiv_entry returns
        self.fault = ""
        self.fault_page = 0
        self.redirect_to = ""
        self.asked: list[dict[str, str]] = []
        self.agents: list[str] = []
        self.stopping = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that hang up on a misbehaving server, as they should."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    def load(self, path: Path) -> None:
        """Take over the entries of a recorded answer, each on the day it names."""
        for one in json.loads(path.read_text(encoding="utf-8")):
            day = one["paper"].get("submittedOnDailyAt") or one["publishedAt"]
            self.days.setdefault(day[:10], []).append(one)


class Handler(BaseHTTPRequestHandler):
    server: Source

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        self.server.asked.append(query)
        self.server.agents.append(self.headers.get("User-Agent", ""))
        page = int(query.get("p", 0))
        if self.server.fault and page >= self.server.fault_page:
            FAULTS[self.server.fault](self)
        elif url.path == "/api/query":
            self.answer_arxiv(query)
        elif url.path != "/api/daily_papers":
            self.answer(404, b'{"error":"not found"}')
        else:
            self.answer_day(query, page)

    def answer_day(self, query: dict[str, str], page: int) -> None:
        try:
            day = date.fromisoformat(query["date"])
        except (KeyError, ValueError):
            return self.answer(400, b'{"error":"invalid date"}')
        if self.server.newest and day > self.server.newest:
            return self.answer(400, b'{"error":"the date is in the future"}')
        limit = int(query.get("limit", 50))
        entries = self.server.days.get(query["date"], [])
        body = self.encoded(entries[page * limit : (page + 1) * limit])
        tag = f'W/"{hashlib.sha256(body).hexdigest()[:16]}"'
        if self.headers.get("If-None-Match") == tag:
            return self.answer(304, ETag=tag)
        self.answer(200, body, ETag=tag)

    def answer_arxiv(self, query: dict[str, str]) -> None:
        """Answer with the entries of the ids, or those submitted in the span asked for."""
        found = list(self.server.arxiv)
        if "id_list" in query:
            wanted = set(query["id_list"].split(","))
            found = [one for one in found if one[0] in wanted]
        elif span := re.search(r"submittedDate:\[(\d+) TO (\d+)\]", query["search_query"]):
            found = [
                one
                for one in found
                if span[1] <= f"{datetime.fromisoformat(one[1]):%Y%m%d%H%M}" <= span[2]
            ]
        self.answer(200, atom(*(xml for _, _, xml in found)))

    def encoded(self, entries: object) -> bytes:
        return json.dumps(entries).encode()

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def cut_off(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "100000")
        self.end_headers()
        self.wfile.write(self.encoded([entry()])[:-50])

    def drip(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "100000")
        self.end_headers()
        while not self.server.stopping.wait(0.05):
            try:
                self.wfile.write(b" ")
            except OSError:
                return

    def endless(self, start: bytes, piece: bytes) -> None:
        """Send `start`, then `piece` again and again, each well within a read's timeout."""
        try:
            self.wfile.write(start)
            while not self.server.stopping.wait(0.02):
                self.wfile.write(piece)
        except OSError:
            return

    def bomb(self) -> None:
        squeezed = gzip.compress(b"[" + b" " * (64 * 2**20) + b"]")
        self.answer(200, squeezed, Content_Encoding="gzip")


FAULTS: dict[str, Callable[[Handler], None]] = {
    "future": lambda h: h.answer(400, b'{"error":"the date is in the future"}'),
    "rate limit": lambda h: h.answer(429, RateLimit='"api";r=0;t=123'),
    "retry later": lambda h: h.answer(429, Retry_After="60"),
    "retry at": lambda h: h.answer(429, Retry_After=h.date_time_string(time.time() + 60)),
    "busy": lambda h: h.answer(503, Retry_After="30"),
    "retry soon": lambda h: h.answer(429, Retry_After="soon"),
    "error": lambda h: h.answer(500, b"oops"),
    "html": lambda h: h.answer(200, b"<!DOCTYPE html><title>Sorry</title>"),
    "half json": lambda h: h.answer(200, h.encoded([entry()])[:-50]),
    "wrong type": lambda h: h.answer(200, b'{"error":"none of your business"}'),
    "deep": lambda h: h.answer(200, b"[" * 200_000),
    "redirect": lambda h: h.answer(302, Location=h.server.redirect_to),
    "loop": lambda h: h.answer(302, Location=h.path),
    "cut off": Handler.cut_off,
    "drip": Handler.drip,
    "bomb": Handler.bomb,
    "drip status": lambda h: h.endless(b"HTTP/1.1 2", b"0"),
    "drip headers": lambda h: h.endless(b"HTTP/1.1 200 OK\r\nX-Long: ", b"x"),
    "endless continue": lambda h: h.endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "endless chunks": lambda h: h.endless(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"
    ),
    "silence": lambda h: h.endless(b"", b""),
    "empty lists": lambda h: h.answer(200, many(b"[]", 20 * 2**20)),
    "a few empty lists": lambda h: h.answer(200, many(b"[]", 4 * 2**20)),
    "objects": lambda h: h.answer(200, many(b'{"a":{}}', 4 * 2**20)),
    "one object": lambda h: h.answer(
        200, json.dumps([{str(n): n for n in range(300_000)}]).encode()
    ),
    "wide text": lambda h: h.answer(
        200,
        json.dumps([entry(title="x" * (3 * 2**20) + "😀")], ensure_ascii=False).encode(),
    ),
    "as many objects as may be": lambda h: h.answer(200, many(b'{"a":{}}', 750_000)),
    "too many entries": lambda h: h.answer(200, many(b'{"id":1}', 40_000)),
}


@contextmanager
def running(port: int = 0) -> Iterator[Source]:
    """A source that serves from a thread until the block ends."""
    with Source(port) as source:
        thread = threading.Thread(target=source.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield source
        finally:
            source.stopping.set()
            source.shutdown()
            thread.join()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8765)
    parser.add_argument("--file", type=Path, nargs="*", default=[])
    parser.add_argument("--fault", choices=sorted(FAULTS), default="")
    options = parser.parse_args()
    with running(options.port) as source:
        for path in options.file:
            source.load(path)
        source.fault = options.fault
        print(
            f"{source.url} serves {', '.join(sorted(source.days)) or 'nothing'}", flush=True
        )
        try:
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            pass


if __name__ == "__main__":
    main()
