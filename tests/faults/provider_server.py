"""A fake email service provider over HTTP: how providers take a mail: Postmark, Resend,
Brevo, SES, Postal and SendGrid.

A mail that is taken stands in journal.jsonl, fsynced, before the answer begins; each
request stands in requests.jsonl before anything else is done, and with its body in
bodies.jsonl if that file exists. Resend's way keeps its
Idempotency-Key: the same key again is answered as the first time, another body by it
refused. Brevo's way refuses a key that it knows.
`python -m tests.faults.provider_server --folder DIR` prints its port.

A recipient chooses the fault by the end of the local part, `ann+http-500@example.org`:
  422 429 503 500 502 …   this status, and the mail is not taken
  code-406 code-412 …     Postmark: a refusal with this ErrorCode, alone or in a batch
  keep-500 keep-502       the mail is taken, and the status says otherwise
  keep-drop               the mail is taken, and the connection closed without an answer
  drop                    the connection is closed without an answer, nothing is taken
  keep-garbage            the mail is taken, and the answer is no JSON
  keep-kill               the mail is taken, and the process whose id stands in `victim` killed
  slow                    the right answer after half a second
  keep-noid keep-absent   the mail is taken, and its result has no id, or is missing
With `x1` at the end only the first time for this address. In a batch the status of one
is that of the request, and nothing of it is taken; keep-… means that all of it is.
"""

import argparse
import hashlib
import json
import os
import re
import signal
import socket
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parseaddr
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock
from typing import Any

FAULT = re.compile(r"\+http-(keep-)?(code-)?([a-z]+|\d{3})(?:x(\d+))?@")
PER_READER = {"noid", "absent"}
HARMLESS = PER_READER | {"slow"}


class Server(ThreadingHTTPServer):
    """The state that all requests share."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.lock = Lock()
        self.seen: Counter[str] = Counter()
        self.keys: dict[str, tuple[str, str]] = {}
        super().__init__(("127.0.0.1", 0), Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that was killed is no news."""

    def note(self, file: str, entry: Mapping[str, object]) -> None:
        line = json.dumps({"at": datetime.now(UTC).isoformat(), **entry})
        with open(self.folder / file, "ab") as journal:
            journal.write(line.encode() + b"\n")
            journal.flush()
            os.fsync(journal.fileno())

    def take(self, address: str) -> str:
        """Keep a mail. Its id."""
        with self.lock:
            taken = f"m-{os.urandom(8).hex()}"
            self.note("journal.jsonl", {"rcpt": [address], "id": taken})
            return taken

    def kill(self) -> None:
        """The sender dies; its port is closed when this returns."""
        pid = int((self.folder / "victim").read_text())
        os.kill(pid, signal.SIGKILL)
        while Path(f"/proc/{pid}/fd").exists() and state_of(pid) != "Z":
            time.sleep(0.005)


def state_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_POST(self) -> None:
        sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = json.loads(sent)
        messages = body if isinstance(body, list) else [body]
        key, digest = self.key(messages[0]), hashlib.sha256(sent).hexdigest()
        addresses = [recipients(self.path, message) for message in messages]
        with self.server.lock:
            rcpt = [one for addressed in addresses for one in addressed]
            entry = {"path": self.path, "rcpt": rcpt, "key": key, "hash": digest}
            self.server.note("requests.jsonl", entry)
            if (self.server.folder / "bodies.jsonl").exists():
                self.server.note("bodies.jsonl", {"key": key, "body": body})
        if key and key in self.server.keys:
            self.known(key, digest)
        else:
            self.answer_to([addressed[0] for addressed in addresses], key, digest)

    def key(self, message: Mapping[str, Any]) -> str | None:
        named: str | None = self.headers.get("Idempotency-Key")
        return named or (message.get("headers") or {}).get("idempotencyKey")

    def known(self, key: str, digest: str) -> None:
        taken, first = self.server.keys[key]
        if self.path.endswith("/smtp/email"):
            words = {"code": "duplicate_parameter", "message": "idempotencyKey was used"}
            self.answer(400, json.dumps(words).encode())
        elif digest != first:
            self.answer(409, b'{"name": "invalid_idempotent_request"}')
        else:
            self.answer(200, json.dumps({"id": taken}).encode())

    def answer_to(self, addresses: Sequence[str], key: str | None, digest: str) -> None:
        faults = {address: self.fault(address) for address in addresses}
        if "slow" in [action for _, action in faults.values()]:
            time.sleep(0.5)
        keep, action = next(
            (
                fault
                for fault in faults.values()
                if fault[1] and fault[1] not in HARMLESS and "code-" not in fault[1]
            ),
            (False, ""),
        )
        results = []
        for address in addresses:
            code = faults[address][1].partition("code-")[2]
            if code:
                results.append(refusal(int(code), address))
            elif keep or not action:
                results.append(said(self.path, self.server.take(address), address))
        if key and results:
            self.server.keys[key] = (str(results[0].get("id", "")), digest)
        if action:
            self.fail(action)
            return
        for place, address in reversed(list(enumerate(addresses))):
            if faults[address][1] == "noid":
                del results[place]["MessageID"]
            elif faults[address][1] == "absent":
                del results[place]
        one = results[0] if results else {}
        refused = not self.path.endswith("/batch") and one.get("ErrorCode")
        answer = results if self.path.endswith("/batch") else one
        self.answer(422 if refused else 200, json.dumps(answer).encode())

    def fail(self, action: str) -> None:
        if action == "kill":
            self.server.kill()
        if action in {"drop", "kill"}:
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
        elif action == "garbage":
            self.answer(200, b"<html>fine</html>")
        else:
            self.answer(int(action), b'{"message": "as you asked", "ErrorCode": 1}')

    def fault(self, address: str) -> tuple[bool, str]:
        """Whether the mail is kept all the same, and what is done instead of an answer."""
        found = FAULT.search(address)
        if not found:
            return False, ""
        self.server.seen[address] += 1
        if found[4] and self.server.seen[address] > int(found[4]):
            return False, ""
        return bool(found[1]), f"{found[2] or ''}{found[3]}"

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
    if path.endswith("/mail/send"):  # SendGrid
        body = body["personalizations"][0]
    to = body.get("To") or body["to"]
    parts = to.split(",") if isinstance(to, str) else to
    return [
        part["email"] if isinstance(part, dict) else parseaddr(part)[1] for part in parts
    ]


def said(path: str, taken: str, address: str) -> dict[str, object]:
    if path.endswith("/outbound-emails"):
        return {"MessageId": taken}
    if path.endswith("/smtp/email"):  # Brevo
        return {"messageId": taken}
    if path.endswith("/emails"):  # Resend
        return {"id": taken}
    if path.endswith("/send/message"):  # Postal
        return {"status": "success", "data": {"messages": {address: {"id": taken}}}}
    return {"To": address, "MessageID": taken, "ErrorCode": 0, "Message": "OK"}


def refusal(code: int, address: str) -> dict[str, object]:
    """Postmark's words for it: 300 and 406 are about the address."""
    words = {
        300: f"Invalid 'To' address: '{address}'.",
        406: "You tried to send to a recipient that has been marked as inactive. Found "
        f"inactive addresses: {address}. Inactive recipients are ones that have generated "
        "a hard bounce, a spam complaint, or a manual suppression.",
    }
    return {"ErrorCode": code, "Message": words.get(code, "as you asked")}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.provider_server")
    parser.add_argument("--folder", type=Path, required=True)
    server = Server(parser.parse_args().folder)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
