"""A fake email service provider over HTTP: Postmark's, Resend's and SES' way to take a mail.

A mail that is taken stands in journal.jsonl, fsynced, before the answer begins; each
request stands in requests.jsonl before anything else is done. Resend's way keeps its
Idempotency-Key: the same key again is answered as the first time and taken once.
`python -m tests.faults.provider_server --folder DIR` prints its port.

A recipient chooses the fault by the end of the local part, `ann+http-500@example.org`:
  422 429 503 500 502 …   this status, and the mail is not taken
  keep-500 keep-502       the mail is taken, and the status says otherwise
  keep-drop               the mail is taken, and the connection closed without an answer
  drop                    the connection is closed without an answer, nothing is taken
  keep-garbage            the mail is taken, and the answer is no JSON
With `x1` at the end only the first time for this address.
"""

import argparse
import hashlib
import json
import os
import re
import socket
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parseaddr
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock
from typing import Any

FAULT = re.compile(r"\+http-(keep-)?([a-z]+|\d{3})(?:x(\d+))?@")


class Server(ThreadingHTTPServer):
    """The state that all requests share."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.lock = Lock()
        self.seen: Counter[str] = Counter()
        self.keys: dict[str, str] = {}
        super().__init__(("127.0.0.1", 0), Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that was killed is no news."""

    def note(self, file: str, entry: Mapping[str, object]) -> None:
        line = json.dumps({"at": datetime.now(UTC).isoformat(), **entry})
        with open(self.folder / file, "ab") as journal:
            journal.write(line.encode() + b"\n")
            journal.flush()
            os.fsync(journal.fileno())

    def take(self, address: str, key: str | None) -> str:
        """Keep a mail, once per key. Its id."""
        with self.lock:
            if key and key in self.keys:
                return self.keys[key]
            taken = f"m-{os.urandom(8).hex()}"
            self.note("journal.jsonl", {"rcpt": [address], "id": taken})
            if key:
                self.keys[key] = taken
            return taken


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        addresses = recipients(self.path, json.loads(body))
        key = self.headers.get("Idempotency-Key")
        with self.server.lock:
            entry = {
                "rcpt": addresses,
                "key": key,
                "hash": hashlib.sha256(body).hexdigest(),
            }
            self.server.note("requests.jsonl", entry)
        address = addresses[0]
        keep, action = self.fault(address)
        taken = self.server.take(address, key) if keep or not action else ""
        if action == "drop":
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
        elif action == "garbage":
            self.answer(200, b"<html>fine</html>")
        elif action:
            self.answer(int(action), b'{"message": "as you asked", "ErrorCode": 1}')
        else:
            self.answer(200, json.dumps(said(self.path, taken, address)).encode())

    def fault(self, address: str) -> tuple[bool, str]:
        """Whether the mail is kept all the same, and what is done instead of an answer."""
        found = FAULT.search(address)
        if not found:
            return False, ""
        self.server.seen[address] += 1
        if found[3] and self.server.seen[address] > int(found[3]):
            return False, ""
        return bool(found[1]), found[2]

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if status == 429:
            self.send_header("Retry-After", "120")
        self.end_headers()
        self.wfile.write(body)


def recipients(path: str, body: dict[str, Any]) -> list[str]:
    if path.endswith("/outbound-emails"):  # SES
        return list(body["Destination"]["ToAddresses"])
    to = body.get("To") or body["to"]
    parts = to.split(",") if isinstance(to, str) else to
    return [parseaddr(part)[1] for part in parts]


def said(path: str, taken: str, address: str) -> dict[str, object]:
    if path.endswith("/outbound-emails"):
        return {"MessageId": taken}
    if path.endswith("/emails"):  # Resend
        return {"id": taken}
    return {"To": address, "MessageID": taken, "ErrorCode": 0, "Message": "OK"}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.provider_server")
    parser.add_argument("--folder", type=Path, required=True)
    server = Server(parser.parse_args().folder)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
