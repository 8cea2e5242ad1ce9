"""One open SMTP session: bytes out, replies in, and how far we were when it broke.

smtplib opens it (greeting, EHLO, TLS, AUTH); the rest is ours, as smtplib's exceptions
don't tell "surely not accepted" from "perhaps accepted", and as it must not block: what
waits for the server is a generator, which yields until the socket is ready.
"""

import contextlib
import select
import smtplib
import socket
import ssl
import time
from collections import deque
from collections.abc import Buffer, Generator, Sequence
from functools import cache

from digest.endpoints import SmtpServer, Tls
from digest.transport.outcomes import Phase

OPEN_TIMEOUT = 30.0
# RFC 5321 4.5.3.2.6 asks for ten minutes after the dot; two are enough for a relay of
# one's own, and the hand-over lease outlives them.
REPLY_TIMEOUT = 120.0
MOST_REPLY_BYTES = 8192
RECORD = 16384  # RFC 8446 section 5.1
DOT = b".\r\n"
NOT_YET = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)

# Yields whenever it waits for the server; its result comes with the end.
type Steps[T] = Generator[None, None, T]


class ConnectionLost(Exception):
    """The connection ended, timed out or talked nonsense; `phase` tells how far we were."""

    def __init__(self, phase: Phase, error: str) -> None:
        super().__init__(error)
        self.phase = phase


@cache
def trust() -> ssl.SSLContext:
    """The system's certificates; reading them takes a tenth of a second."""
    return ssl.create_default_context()


def open_session(server: SmtpServer) -> "Session":
    """Greeting, EHLO, TLS, AUTH; blocks. Raises OSError or smtplib.SMTPException."""
    session = (
        smtplib.SMTP_SSL(server.host, server.port, timeout=OPEN_TIMEOUT, context=trust())
        if server.tls is Tls.IMPLICIT
        else smtplib.SMTP(server.host, server.port, timeout=OPEN_TIMEOUT)
    )
    with contextlib.ExitStack() as stack:
        stack.callback(session.close)
        session.ehlo_or_helo_if_needed()
        if server.tls is Tls.STARTTLS:
            session.starttls(context=trust())
            session.ehlo()
        if server.user:
            session.login(server.user, server.password)
        stack.pop_all()
    if session.sock is None:
        raise smtplib.SMTPServerDisconnected("closed while opening")
    return Session(session, session.sock)


class Session:
    """After the opening: what is written, and what is read of the replies."""

    def __init__(self, opened: smtplib.SMTP, sock: socket.socket) -> None:
        self.opened = opened  # kept, as it owns the socket
        self.sock = sock
        self.pipelining = opened.has_extn("pipelining")
        self.unread = b""
        self.lines: deque[bytes] = deque()
        # What it waits for, as poll says it, and until when, by the monotonic clock.
        self.waits_for = select.POLLIN
        self.be_patient()
        sock.setblocking(False)

    def write(self, *data: bytes, ahead: Sequence[bytes] = (), phase: Phase) -> Steps[None]:
        """Write `data` and what may go ahead of its reply.

        Raises ConnectionLost(phase) if the kernel did not take all of `data`. If it did, what
        became of it the reply says, or its absence.
        """
        rest: Sequence[Buffer] = [*data, *ahead]
        missing, early = sum(map(len, data)), sum(map(len, ahead))
        self.be_patient()
        while missing + early:
            try:
                taken = self.send(rest)
            except NOT_YET as wait:
                if time.monotonic() < self.deadline:
                    reads = isinstance(wait, ssl.SSLWantReadError)
                    self.waits_for = select.POLLIN if reads else select.POLLOUT
                    yield
                    self.waits_for = select.POLLIN
                    continue
                error: Exception = TimeoutError("it takes nothing more")
            except OSError as broken:
                error = broken
            else:
                missing -= taken
                rest = [memoryview(joined(rest))[taken:]] if missing + early else ()
                self.be_patient()
                continue
            if missing > 0:
                raise ConnectionLost(phase, f"{type(error).__name__}: {error}") from error
            return

    def send(self, parts: Sequence[Buffer]) -> int:
        """How many bytes the kernel took at once."""
        if isinstance(self.sock, ssl.SSLSocket):
            # One record: OpenSSL says "not yet" of several, though the first have left.
            return self.sock.send(memoryview(joined(parts))[:RECORD])
        return self.sock.sendmsg(parts)

    def be_patient(self) -> None:
        self.deadline = time.monotonic() + REPLY_TIMEOUT

    def goes_on(self) -> bool:
        """Take the usual answers to MAIL, RCPT and DATA, if they are here already."""
        if len(self.lines) < 3:
            return False
        mail, rcpt, data, *rest = self.lines
        if mail[:4] == rcpt[:4] == b"250 " and data[:4] == b"354 ":
            self.lines = deque(rest)
            return True
        return False

    def reply(self, phase: Phase, first: bytes | None = None) -> Steps[tuple[int, str]]:
        """Read one reply, all its lines (RFC 5321 4.2.1). Raises ConnectionLost."""
        line, texts = first or (yield from self.line(phase)), []
        while True:
            if not (line[:3].isdigit() and line[3:4] in (b" ", b"-", b"")):
                raise ConnectionLost(phase, f"not a reply: {readable(line[:80])}")
            texts.append(readable(line[4:]).strip())
            if line[3:4] != b"-":
                return int(line[:3]), " ".join(texts)[:500]
            line = yield from self.line(phase)

    def line(self, phase: Phase) -> Steps[bytes]:
        """The next line from the server, without its end. Raises ConnectionLost."""
        while not self.lines:
            try:
                data = self.sock.recv(RECORD)
            except NOT_YET:
                if time.monotonic() > self.deadline:
                    raise ConnectionLost(phase, "no reply in time") from None
                yield
                continue
            except OSError as error:
                raise ConnectionLost(phase, f"{type(error).__name__}: {error}") from error
            if not data:
                raise ConnectionLost(phase, "connection closed by the server")
            *lines, self.unread = (self.unread + data).split(b"\n")
            self.lines.extend(lines)
            if lines:
                self.be_patient()
            elif len(self.unread) > MOST_REPLY_BYTES:
                raise ConnectionLost(phase, "a reply without an end")
        return self.lines.popleft().rstrip(b"\r")

    def exchange(self, command: bytes) -> Steps[None]:
        yield from self.write(command, phase=Phase.ENVELOPE)
        yield from self.reply(Phase.ENVELOPE)

    def quit(self) -> None:
        """QUIT, without caring for the answer: every outcome is known already."""
        with contextlib.suppress(OSError):
            self.sock.send(b"QUIT\r\n")
        self.close()

    def close(self) -> None:
        self.opened.close()


def joined(parts: Sequence[Buffer]) -> Buffer:
    return parts[0] if len(parts) == 1 else b"".join(parts)


def readable(data: bytes | str) -> str:
    text = data.decode("utf-8", "replace") if isinstance(data, bytes) else data
    return (
        text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)
    )
