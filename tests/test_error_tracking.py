"""With SENTRY_DSN an error is told to a server, and no secret with it."""

import gzip
import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import brotli
import pytest

from digest.error_tracking import before_send
from tests.environment import ROOT, bare
from tests.test_logs import ADDRESS, PASSWORD, SECRETS, TOKEN, holds_a_secret


def test_an_event_loses_what_is_personal_by_name_and_by_shape() -> None:
    event = {
        "message": f"it has {SECRETS['an address']}",
        "user": {"id": 1, "email": "x"},
        "request": {
            "method": "POST",
            "url": f"https://papers.example.org/u/{TOKEN}",
            "data": {"interests": "0canary"},
            "headers": {"Cookie": "sessionid=1"},
            "env": {"REMOTE_ADDR": "192.0.2.1"},
        },
        "contexts": {"celery": {"args": [ADDRESS], "kwargs": {"subscriber_id": "42"}}},
        "extra": {"sys.argv": ["doctor", "--send-test", ADDRESS]},
        "exception": {"values": [{"value": PASSWORD.join(["password=", ""]), "type": "E"}]},
    }
    kept = before_send(event, {})
    assert holds_a_secret(json.dumps(kept)) == []
    assert set(kept["request"]) == {"method", "url"}
    assert kept["request"]["url"] == "https://papers.example.org/u/***"
    assert {"user", "extra"} & set(kept) == set()
    assert kept["contexts"]["celery"]["kwargs"] == {"subscriber_id": "***"}
    assert "0canary" not in json.dumps(kept) and "192.0.2.1" not in json.dumps(kept)
    assert kept["exception"]["values"][0]["type"] == "E"


def test_an_event_that_is_too_deep_is_cut() -> None:
    event: dict[str, object] = {"contexts": {}}
    inner = event["contexts"]
    for _ in range(5000):
        inner["a"] = {}  # type: ignore[index]
        inner = inner["a"]  # type: ignore[index]
    assert "***" in json.dumps(before_send(event, {}))


class Collector(BaseHTTPRequestHandler):
    """A server that keeps the envelopes which it is sent."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        unpack = {"gzip": gzip.decompress, "br": brotli.decompress}
        packed = self.headers.get("Content-Encoding", "")
        self.server.envelopes.append(unpack.get(packed, bytes)(body))  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *args: object) -> None:
        pass


def run(code: str, *, dsn: str, state: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", f"import django; django.setup(); {code}"],
        cwd=ROOT,
        env=bare()
        | {"SENTRY_DSN": dsn, "STATE_DIR": state}
        | {"DJANGO_SETTINGS_MODULE": "digest.settings"},
        capture_output=True,
        text=True,
    )


@pytest.mark.embedded
def test_s22_a_server_is_told_of_errors_and_of_no_secret(tmp_path) -> None:
    text = "\n".join(SECRETS.values())
    code = (
        "import logging, sentry_sdk; from digest import logs; logs.begin_run('1a2b3c4d')\n"
        f"text = {text!r}\n"
        "from django.test import Client\n"
        "from django.urls import path, set_urlconf\n"
        "logger = logging.getLogger('digest.x')\n"
        "def fails(reader):\n"
        "    raise ValueError(text)\n"
        "try:\n"
        f"    fails({ADDRESS!r})\n"
        "except ValueError:\n"
        "    logger.exception('it fails for %s', text, extra={'form': text})\n"
        "logger.error('no exception: %s', text)\n"
        "sentry_sdk.flush(10)\n"
    )
    with HTTPServer(("127.0.0.1", 0), Collector) as server:
        server.envelopes = []  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        dsn = f"http://{'a' * 32}@127.0.0.1:{server.server_address[1]}/4"
        done = run(code, dsn=dsn, state=str(tmp_path))
        server.shutdown()
    assert done.returncode == 0, done.stderr
    told = b"\n".join(server.envelopes).decode()  # type: ignore[attr-defined]
    assert holds_a_secret(told) == []
    events = [
        found
        for line in filter(None, told.splitlines())
        if "event_id" in (found := json.loads(line)) and "level" in found
    ]
    assert len(events) == 2
    (raised,) = [one for one in events if "exception" in one]
    assert raised["exception"]["values"][0]["type"] == "ValueError"
    frames = raised["exception"]["values"][0]["stacktrace"]["frames"]
    assert frames[-1]["function"] == "fails" and "vars" not in frames[-1]
    assert {one["tags"]["run"] for one in events} == {"1a2b3c4d"}
