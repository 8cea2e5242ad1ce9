"""An SMTP server of the tests' own: keeps raw octets and misbehaves when told to.

Each accepted mail is in a file, and its line in journal.jsonl too, before 250 is answered:
what the journal lacks was never accepted. It shares no code with the project. `python -m tests.smtp_sink --folder DIR` runs it as a process and prints its port.
With a TLS context it offers STARTTLS and AUTH, where the password begins with `secret`.

A recipient chooses the fault by the end of the local part: `ann+rcpt-550@example.org`.
STAGE-ACTION, where STAGE is mail (the next MAIL on this connection, or this one when
the sender's address has it), rcpt, data (the command), body, dot or quit, and ACTION is
  450 …       this code is answered; 421 closes the connection too
  drop        the connection is closed without an answer
  hang        no answer is ever given
  garbage     an answer that is no SMTP
  slow        the right answer after a second
  kill        the process whose id stands in the file `victim` gets SIGKILL
  wait        the file `waiting` is made, and nothing more is done until `go` is there
  keep-drop, keep-hang, keep-garbage, keep-kill   dot only: the mail is accepted, the
              answer is lost
A file `pace` with "12 0.5" makes the line turn slow: when 12 mails are kept, half a second
passes before each reply. `begun.jsonl` says when each hand-over's MAIL came.
With `x2` at the end (`+rcpt-450x2`) only the first two times for this address.

A server can also be ill by itself, whoever the mail is for: see Illness.
"""

import argparse
import asyncio
import base64
import contextlib
import itertools
import json
import os
import re
import signal
import socket
import ssl
import struct
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

SIZE = 25 * 1024 * 1024
FAULT = re.compile(r"\+(mail|rcpt|data|body|dot|quit)-([a-z-]+|\d{3})(?:x(\d+))?$")


class Dropped(Exception):
    """The connection is to be closed without another word."""


@dataclass(frozen=True)
class Fault:
    address: str
    stage: str
    action: str
    times: int | None


@dataclass(frozen=True)
class Illness:
    """What a server says at one stage, whoever the mail is for.

    STAGE is banner, ehlo, starttls, auth, mail, rcpt, data, body or dot. From mail on,
    `hits` tells by the transaction's number, from 0, whether it is said. Instead of a
    reply it may be `endless` (lines without an end), `drip` (a byte now and then),
    `reset` or, at dot, `twice`: the mail is kept and answered once too often.
    """

    stage: str
    reply: str
    hits: Callable[[int], bool] = lambda number: True
    in_turn: Sequence[str] = ()  # instead of `reply`, as of several servers behind a name

    def words(self, number: int) -> str:
        return self.in_turn[number % len(self.in_turn)] if self.in_turn else self.reply


def written(path: Path) -> Illness | None:
    """Return the illness in a file, `STAGE:REPLY`, for a server that is another process."""
    with contextlib.suppress(FileNotFoundError):
        stage, _, reply = path.read_text().partition(":")
        return Illness(stage, reply)
    return None


def fault_of(address: str) -> Fault | None:
    if found := FAULT.search(address.rpartition("@")[0]):
        stage, action, times = found.groups()
        return Fault(address, stage, action, int(times) if times else None)
    return None


class Server:
    """The state that all connections share: the folder, the journal, the faults seen."""

    def __init__(
        self,
        folder: Path,
        *,
        extensions: tuple[str, ...] = (),
        tls: ssl.SSLContext | None = None,
        most_connections: int = 1000,
    ) -> None:
        self.folder = folder
        self.tls = tls
        self.most_connections = most_connections
        self.connections = 0
        self.greetings: list[str] = []  # the names that clients gave in EHLO
        self.extensions = ("PIPELINING", "8BITMIME", f"SIZE {SIZE}", *extensions)
        self.seen: Counter[str] = Counter()
        self.count = 0
        self.illness: Illness | None = None
        self.transactions = 0
        folder.mkdir(parents=True, exist_ok=True)
        self.journal = open(folder / "journal.jsonl", "ab")  # noqa: SIM115
        self.begun = open(folder / "begun.jsonl", "a")  # noqa: SIM115

    async def accept(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.connections += 1
        try:
            await Connection(self, reader, writer).serve()
        except (
            Dropped,
            ConnectionError,
            asyncio.IncompleteReadError,
            asyncio.LimitOverrunError,
        ):
            pass
        finally:
            self.connections -= 1
            # abort, not close: an answer that was to be lost must not be flushed.
            writer.transport.abort()

    def keep(self, content: bytes, *, sender: str, recipients: list[str]) -> None:
        self.count += 1
        path = self.folder / f"{time.time_ns()}-{os.getpid()}-{self.count}.eml"
        path.write_bytes(content)
        line = {
            "at": datetime.now(UTC).isoformat(),
            "mail_from": sender,
            "rcpt": recipients,
            "path": path.name,
        }
        self.journal.write(json.dumps(line).encode() + b"\n")
        self.journal.flush()

    def delay(self) -> float:
        """Seconds before each reply, by the file `pace` and the mails that were kept."""
        try:
            after, seconds = (self.folder / "pace").read_text().split()
        except FileNotFoundError:
            return 0.0
        return float(seconds) if self.count >= int(after) else 0.0

    def begin(self, recipient: str, at: float) -> None:
        """Note when a hand-over's MAIL came, once its RCPT says whose it is."""
        self.begun.write(json.dumps({"at": at, "rcpt": recipient}) + "\n")
        self.begun.flush()

    def applies(self, fault: Fault) -> bool:
        self.seen[fault.address] += 1
        return fault.times is None or self.seen[fault.address] <= fault.times


class Connection:
    def __init__(
        self, server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.server = server
        self.reader = reader
        self.writer = writer
        self.later: list[Fault] = []  # of the stages mail and quit
        self.number = 0  # of the transaction
        self.reset()

    def reset(self) -> None:
        self.sender: str | None = None
        self.begun_at = 0.0
        self.recipients: list[str] = []
        self.faults: list[Fault] = []

    async def reply(self, text: str) -> None:
        if delay := self.server.delay():
            await asyncio.sleep(delay)
        self.writer.write(text.encode() + b"\r\n")
        await self.writer.drain()

    async def misbehave(self, stage: str) -> bool:
        """Do what the recipients ask for at this stage. True when it was answered."""
        for fault in [*self.faults, *self.later]:
            if fault.stage == stage and self.server.applies(fault):
                return await self.perform(fault.action.removeprefix("keep-"))
        return False

    async def perform(self, action: str) -> bool:
        match action:
            case "drop":
                raise Dropped
            case "hang":
                while await self.reader.read(65536):  # until the client goes away
                    pass
                raise Dropped
            case "garbage":
                await self.reply("\x00\xff this is no SMTP")
                return True
            case "slow":
                await asyncio.sleep(1)
                return False
            case "kill":
                os.kill(int((self.server.folder / "victim").read_text()), signal.SIGKILL)
                raise Dropped
            case "wait":
                (self.server.folder / "waiting").touch()
                while not (self.server.folder / "go").exists():
                    await asyncio.sleep(0.01)
                return False
            case _:
                await self.reply(f"{action} {action[0]}.0.0 as you asked")
                if action == "421":
                    raise Dropped
                return True

    async def is_ill(self, stage: str) -> bool:
        """Say what the server's illness says at this stage. True when it does."""
        illness = self.server.illness or written(self.server.folder / "illness")
        if illness is None or illness.stage != stage or not illness.hits(self.number):
            return False
        match words := illness.words(self.number):
            case "endless":
                while True:
                    await self.reply("250-and more")
            case "drip":
                for byte in itertools.cycle(b"250-and more\r\n"):
                    self.writer.write(bytes([byte]))
                    await self.writer.drain()
                    await asyncio.sleep(0.02)
            case "reset":
                linger = struct.pack("ii", 1, 0)  # close() sends a RST
                sock = self.writer.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                raise Dropped
            case "twice":
                self.keep(b"".join(self.kept))
                await self.reply("250 2.0.0 kept\r\n250 2.0.0 kept")
                return True
        await self.reply(words)
        if words.startswith("421"):
            raise Dropped
        return True

    async def serve(self) -> None:
        if self.server.connections > self.server.most_connections:
            await self.reply("421 4.7.0 too many connections")
            return
        if await self.is_ill("banner"):
            return
        await self.reply("220 sink.example ESMTP")
        while True:
            line = (await self.reader.readuntil(b"\r\n")).decode("utf-8", "replace")
            verb, _, rest = line.strip().partition(" ")
            if verb.lower() in {"ehlo", "starttls", "auth"} and await self.is_ill(
                verb.lower()
            ):
                continue
            handler = getattr(self, f"do_{verb.lower()}", None)
            if handler is None:
                await self.reply("502 5.5.2 not implemented")
            else:
                await handler(rest)

    async def do_ehlo(self, rest: str) -> None:
        self.server.greetings.append(rest)
        self.reset()
        secure = self.writer.get_extra_info("sslcontext") is not None
        security = "AUTH PLAIN" if secure else "STARTTLS"
        more = [security] if self.server.tls else []
        *first, last = ["sink.example", *self.server.extensions, *more]
        await self.reply("\r\n".join([*(f"250-{one}" for one in first), f"250 {last}"]))

    async def do_helo(self, rest: str) -> None:
        self.reset()
        await self.reply("250 sink.example")

    async def do_starttls(self, rest: str) -> None:
        assert self.server.tls
        await self.reply("220 2.0.0 go ahead")
        await self.writer.start_tls(self.server.tls)

    async def do_auth(self, rest: str) -> None:
        given = base64.b64decode(rest.removeprefix("PLAIN "))
        with open(self.server.folder / "logins", "ab") as file:
            file.write(given + b"\n")
        known = given.rpartition(b"\0")[2].startswith(b"secret")
        await self.reply("235 2.7.0 welcome" if known else "535 5.7.8 not you")

    async def do_noop(self, rest: str) -> None:
        await self.reply("250 2.0.0 OK")

    async def do_rset(self, rest: str) -> None:
        self.reset()
        await self.reply("250 2.0.0 OK")

    async def do_quit(self, rest: str) -> None:
        if not await self.misbehave("quit"):
            await self.reply("221 2.0.0 bye")
        raise Dropped

    async def do_mail(self, rest: str) -> None:
        found = re.match(r"from:\s*<([^>]*)>(.*)", rest, re.IGNORECASE)
        if not found or self.sender is not None:
            await self.reply("503 5.5.1 out of order" if found else "501 5.5.4 syntax")
            return
        self.number = self.server.transactions
        self.server.transactions += 1
        if await self.is_ill("mail"):
            return
        if fault := fault_of(found[1]):
            self.faults = [fault]
        size = re.search(r"size=(\d+)", found[2], re.IGNORECASE)
        if size and int(size[1]) > SIZE:
            await self.reply("552 5.3.4 too big")
        elif await self.misbehave("mail"):
            self.reset()
        else:
            self.sender, self.begun_at = found[1], time.time()
            await self.reply("250 2.1.0 OK")

    async def do_rcpt(self, rest: str) -> None:
        found = re.match(r"to:\s*<([^>]+)>", rest, re.IGNORECASE)
        if not found or self.sender is None:
            await self.reply("503 5.5.1 out of order" if found else "501 5.5.4 syntax")
            return
        self.server.begin(found[1], self.begun_at)
        if await self.is_ill("rcpt"):
            return
        fault = fault_of(found[1])
        if fault and fault.stage == "rcpt":
            if self.server.applies(fault) and await self.perform(fault.action):
                return
        elif fault:
            (self.later if fault.stage in {"mail", "quit"} else self.faults).append(fault)
        self.recipients.append(found[1])
        await self.reply("250 2.1.5 OK")

    async def do_data(self, rest: str) -> None:
        if not self.recipients:
            await self.reply("554 5.5.1 no valid recipients")
            return
        if await self.is_ill("data") or await self.misbehave("data"):
            self.reset()
            return
        await self.reply("354 go ahead")
        content = await self.content()
        if content is None:
            await self.reply("552 5.3.4 too big")
        else:
            await self.finish(content)
        self.reset()

    async def content(self) -> bytes | None:
        """The octets up to CRLF.CRLF without the stuffed dots; None when too many."""
        lines, size, first = [], 0, True
        if self.server.illness and self.server.illness.stage == "body":
            await self.reader.readexactly(1)
            await self.is_ill("body")
        while (line := await self.reader.readuntil(b"\r\n")) != b".\r\n":
            if first and await self.misbehave("body"):
                raise Dropped
            first = False
            line = line.removeprefix(b".")
            size += len(line)
            if size <= SIZE:
                lines.append(line)
        return b"".join(lines) if size <= SIZE else None

    async def finish(self, content: bytes) -> None:
        self.kept = [content]
        if await self.is_ill("dot"):
            return
        fault = next((one for one in self.faults if one.stage == "dot"), None)
        if fault is None or not self.server.applies(fault):
            self.keep(content)
            await self.reply("250 2.0.0 kept")
            return
        if fault.action.startswith(("keep-", "2")):
            self.keep(content)
        if not await self.perform(fault.action.removeprefix("keep-")):
            self.keep(content)
            await self.reply("250 2.0.0 kept")

    def keep(self, content: bytes) -> None:
        self.server.keep(
            content, sender=self.sender or "", recipients=list(self.recipients)
        )


async def listen(
    server: Server, port: int, *, secure: bool = False, host: str = "127.0.0.1"
) -> asyncio.Server:
    """`secure`: TLS from the first byte on, by the server's context."""
    return await asyncio.start_server(
        server.accept, host, port, limit=SIZE, ssl=server.tls if secure else None
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.smtp_sink")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--smtputf8", action="store_true")
    options = parser.parse_args()

    async def run() -> None:
        extensions = ("SMTPUTF8",) if options.smtputf8 else ()
        server = Server(options.folder, extensions=extensions)
        listener = await listen(server, options.port, host=options.host)
        print(listener.sockets[0].getsockname()[1], flush=True)
        await listener.serve_forever()

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(run())


if __name__ == "__main__":
    main()
