"""The SMTP sink as a test sees it: started for the test, its accepted mail to read.

Whatever a test has sent, each mail of ours is linted when its sink is closed.
"""

import asyncio
import contextlib
import json
import re
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

from tests.smtp_sink import Illness, Server, listen

OURS = re.compile(rb"(?m)^X-Auto-Response-Suppress: All\r?$")


@dataclass(frozen=True)
class Mail:
    """One accepted mail: the envelope and the octets as they came."""

    at: datetime
    mail_from: str
    rcpt: tuple[str, ...]
    raw: bytes

    @property
    def message(self) -> EmailMessage:
        return message_from_bytes(self.raw, policy=policy.default)


@dataclass(frozen=True)
class Sink:
    """A running server as a test sees it."""

    folder: Path
    port: int
    scheme: str = "smtp"
    server: Server | None = None  # where it is in this process

    def ails(self, illness: Illness | None) -> None:
        """From now on the server is ill in this way, or well again."""
        assert self.server
        self.server.illness = illness

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def mails(self) -> list[Mail]:
        """What was accepted, in order. A line cut off by a kill was never accepted."""
        mails = []
        for line in (self.folder / "journal.jsonl").read_bytes().splitlines(keepends=True):
            if line.endswith(b"\n"):
                entry = json.loads(line)
                at = datetime.fromisoformat(entry["at"])
                raw = (self.folder / entry["path"]).read_bytes()
                mails.append(Mail(at, entry["mail_from"], tuple(entry["rcpt"]), raw))
        return mails

    def begun(self) -> list[tuple[str, float]]:
        """Whose hand-overs were begun, and when, in order."""
        lines = (self.folder / "begun.jsonl").read_text().splitlines()
        return [(entry["rcpt"], entry["at"]) for entry in map(json.loads, lines)]

    def turn_slow(self, seconds: float, *, after: int = 0) -> None:
        """From so many accepted mails on, wait before each reply."""
        (self.folder / "pace").write_text(f"{after} {seconds}")

    def to(self, address: str) -> list[Mail]:
        return [mail for mail in self.mails() if address in mail.rcpt]

    def wait(self, count: int, *, seconds: float = 30) -> list[Mail]:
        """Until `count` mails are there. Raises AssertionError when they don't come."""
        until = time.monotonic() + seconds
        while len(mails := self.mails()) < count:
            assert time.monotonic() < until, f"{len(mails)} of {count} mails came"
            time.sleep(0.05)
        return mails


@contextlib.contextmanager
def in_thread(
    folder: Path,
    *,
    extensions: tuple[str, ...] = (),
    tls: ssl.SSLContext | None = None,
    secure: bool = False,
    most_connections: int = 1000,
) -> Iterator[Sink]:
    """The server on a free port, in a thread of this process."""
    server = Server(
        folder, extensions=extensions, tls=tls, most_connections=most_connections
    )
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    listening = listen(server, 0, secure=secure)
    listener = asyncio.run_coroutine_threadsafe(listening, loop).result(10)
    port = listener.sockets[0].getsockname()[1]
    try:
        yield Sink(folder, port, "smtps" if secure else "smtp", server)
    finally:
        asyncio.run_coroutine_threadsafe(close(listener), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
        server.journal.close()
        server.begun.close()
    assert findings(Sink(folder, 0)) == []


async def close(listener: asyncio.Server) -> None:
    listener.close()
    rest = asyncio.all_tasks() - {asyncio.current_task()}
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)


@contextlib.contextmanager
def in_process(folder: Path, *, port: int = 0, lint: bool = True) -> Iterator[Sink]:
    """The server in a process of its own, which may outlast a killed stack.

    Without `lint` for mails that are wrong on purpose.
    """
    command = [sys.executable, "-m", "tests.smtp_sink", "--folder", str(folder)]
    with subprocess.Popen(
        [*command, "--port", str(port)],
        cwd=Path(__file__).resolve().parent.parent,
        stdout=subprocess.PIPE,
    ) as process:
        try:
            assert process.stdout
            yield Sink(folder, int(process.stdout.readline()))
        finally:
            process.kill()
    assert not lint or findings(Sink(folder, 0)) == []


linted: set[bytes] = set()
# What may differ from one reader's mail to the next, beside the address.
PERSONAL = re.compile(rb"=\r\n|\r\n[ \t]+|[\w-]{20,}|\d+")


def shape(mail: Mail) -> bytes:
    """A mail without its line breaks and what is personal in it."""
    (address, *_) = mail.rcpt
    return PERSONAL.sub(b"", mail.raw.replace(address.encode(), b""))


def findings(sink: Sink) -> list[str]:
    """What the lint says of the mails of ours: of all lines, and of each shape once."""
    from digest.ops.gallery.mail_lint import lint, wire

    found: list[str] = []
    for mail in sink.mails():
        head, _, body = mail.raw.partition(b"\r\n\r\n")
        if not OURS.search(head):
            continue
        of_this = wire(mail.raw, body)
        if (content := shape(mail)) not in linted:
            of_this = lint(mail.raw, postal_address="Sample Street 1")
        if not of_this:
            linted.add(content)
        found += of_this
    return found
