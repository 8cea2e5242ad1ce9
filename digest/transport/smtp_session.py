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
import threading
import time
from collections import deque
from collections.abc import Buffer, Generator, Iterable, Sequence
from functools import cache
from io import BufferedReader

from django.conf import settings

from digest.endpoints import SmtpServer, Tls
from digest.transport.outcomes import Phase

OPEN_TIMEOUT = 30.0
# RFC 5321 4.5.3.2.6 asks for ten minutes after the dot; two are enough for a relay of
# one's own, and the hand-over lease outlives them.
REPLY_TIMEOUT = 120.0
MOST_REPLY_BYTES = 8192
MOST_REPLY_LINES = 100
# How long to watch the first mail of a session before its end is written: a server that
# resets in the middle of a mail has not accepted it as long as the end has not left.
WATCH_SECONDS = 0.05
ENDLESS = "a reply without an end"
OUT_OF_STEP = "a reply that belongs to nothing"
RECORD = 16384  # RFC 8446 section 5.1
DOT = b".\r\n"
NOT_YET = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)

# Yields whenever it waits for the server; its result comes with the end.
type Steps[T] = Generator[None, None, T]


class ConnectionLost(Exception):
    """The connection ended, timed out or gave no valid reply; `phase` tells how far we were."""

    def __init__(self, phase: Phase, error: str) -> None:
        super().__init__(error)
        self.phase = phase


def lost(phase: Phase, error: Exception) -> ConnectionLost:
    return ConnectionLost(phase, f"{type(error).__name__}: {error}")


@cache
def trust() -> ssl.SSLContext:
    """Return the system's certificates; reading them takes a tenth of a second."""
    return ssl.create_default_context()


class Replies:
    """What smtplib reads replies from, bounded in lines and bytes for each reply."""

    def __init__(self, file: BufferedReader) -> None:
        self.file = file
        self.begin()

    def begin(self) -> None:
        self.lines, self.bytes = MOST_REPLY_LINES, MOST_REPLY_BYTES

    def readline(self, size: int = -1) -> bytes:
        line = self.file.readline(size)
        self.lines, self.bytes = self.lines - 1, self.bytes - len(line)
        if min(self.lines, self.bytes) < 0:
            raise smtplib.SMTPServerDisconnected(ENDLESS)
        return line

    def close(self) -> None:
        self.file.close()


class Opening(smtplib.SMTP):
    """smtplib's client as far as AUTH, ended as a whole after OPEN_TIMEOUT.

    A timeout of the socket alone begins anew with each byte.
    """

    def __init__(self, server: SmtpServer) -> None:
        # Named, or smtplib asks DNS for this machine's name, which no relay can verify.
        super().__init__(local_hostname=settings.EHLO_NAME, timeout=OPEN_TIMEOUT)
        self._host = server.host  # the name that STARTTLS verifies
        self.server = server
        self.late = False
        self.handle: socket.socket | None = None
        self.timer = threading.Timer(OPEN_TIMEOUT, self.end)
        self.timer.daemon = True

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        sock = socket.create_connection((host, port), timeout)
        self.handle = sock.dup()  # wrapped by TLS, the socket itself is another object
        self.timer.start()
        if self.server.tls is Tls.IMPLICIT:
            return trust().wrap_socket(sock, server_hostname=host)
        return sock

    def getreply(self) -> tuple[int, bytes]:
        if self.file is None and self.sock:
            self.file = Replies(self.sock.makefile("rb"))
        if self.file:
            self.file.begin()
        return super().getreply()

    def end(self) -> None:
        self.late = True
        if self.handle:
            with contextlib.suppress(OSError):
                self.handle.shutdown(socket.SHUT_RDWR)

    def finish(self) -> None:
        """Stop the timer: what comes now has deadlines of its own."""
        self.timer.cancel()
        if self.handle:
            self.handle.close()


def open_session(server: SmtpServer) -> "Session":
    """Open a session: greeting, EHLO, TLS, AUTH (blocking). Raises OSError or smtplib.SMTPException."""
    session = Opening(server)
    with contextlib.ExitStack() as stack:
        stack.callback(session.close)
        try:
            code, said = session.connect(server.host, server.port)
            if code != 220:
                raise smtplib.SMTPConnectError(code, said)
            session.ehlo_or_helo_if_needed()
            if server.tls is Tls.STARTTLS:
                session.starttls(context=trust())
                session.ehlo()
            if server.user:
                session.login(server.user, server.password)
        except (OSError, smtplib.SMTPException) as error:
            if session.late:
                raise TimeoutError("timed out while opening") from error
            raise
        finally:
            session.finish()
        stack.pop_all()
    if session.sock is None or session.late:
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
        self.has_taken_a_mail = False
        sock.setblocking(False)

    def write(self, *data: bytes, ahead: bytes = b"", phase: Phase) -> Iterable[None]:
        """Write `data` and what may go ahead of its reply; iterate over the result to its end.

        Most writes are done at once. Raises ConnectionLost(phase), here or on the way, if the
        kernel did not take all of `data`. If it did, the reply, or its absence, says what
        became of it.
        """
        self.be_patient()
        missing, taken = sum(map(len, data)), 0
        try:
            taken = self.send([*data, ahead])
        except NOT_YET:
            pass
        except OSError as broken:
            raise lost(phase, broken) from broken
        if taken == missing + len(ahead):
            return ()
        rest = memoryview(b"".join([*data, ahead]))[taken:]
        return self.write_on(rest, missing - taken, phase)

    def write_on(self, rest: memoryview, missing: int, phase: Phase) -> Steps[None]:
        """Write the rest, of which the first `missing` bytes must be taken."""
        while rest:
            try:
                taken = self.send([rest])
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
                rest = rest[taken:]
                continue
            if missing > 0:
                raise lost(phase, error) from error
            return
        self.be_patient()

    def send(self, parts: Sequence[Buffer]) -> int:
        """Send what the kernel takes at once; return the number of bytes."""
        if isinstance(self.sock, ssl.SSLSocket):
            # One record: OpenSSL says "not yet" of several, though the first have left.
            return self.sock.send(memoryview(join(parts))[:RECORD])
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

    def plain_reply(self, phase: Phase) -> tuple[int, str] | None:
        """Return what `reply` would, if that is one line and here already. Raises ConnectionLost."""
        if not (self.lines or self.receive(phase)):
            return None
        line = self.lines[0]
        if not (line[:3].isdigit() and line[3:4] == b" " and len(line) <= MOST_REPLY_BYTES):
            return None
        self.lines.popleft()
        self.be_patient()
        return int(line[:3]), readable(line[4:].rstrip(b"\r")).strip()[:500]

    def reply(self, phase: Phase, first: bytes | None = None) -> Steps[tuple[int, str]]:
        """Read one reply, all its lines (RFC 5321 4.2.1). Raises ConnectionLost."""
        line, size = first or (yield from self.line(phase)), 0
        texts: list[str] = []
        while True:
            size += len(line)
            if len(texts) >= MOST_REPLY_LINES or size > MOST_REPLY_BYTES:
                raise ConnectionLost(phase, ENDLESS)
            if not (line[:3].isdigit() and line[3:4] in (b" ", b"-", b"")):
                raise ConnectionLost(phase, f"not a reply: {readable(line[:80])}")
            texts.append(readable(line[4:]).strip())
            if line[3:4] != b"-":
                return int(line[:3]), " ".join(texts)[:500]
            line = yield from self.line(phase)

    def line(self, phase: Phase) -> Steps[bytes]:
        """Return the next line without its end. Raises ConnectionLost.

        Only the last line of a reply begins the time for the next reply anew.
        """
        while not (self.lines or self.receive(phase)):
            yield
        line = self.lines.popleft().rstrip(b"\r")
        if line[3:4] != b"-":
            self.be_patient()
        return line

    def receive(self, phase: Phase) -> bool:
        """Read what is here; return whether that ends a line. Raises ConnectionLost."""
        try:
            data = self.sock.recv(RECORD)
        except NOT_YET:
            if time.monotonic() > self.deadline:
                raise ConnectionLost(phase, "no reply in time") from None
            return False
        except OSError as error:
            raise lost(phase, error) from error
        if not data:
            raise ConnectionLost(phase, "connection closed by the server")
        *lines, self.unread = (self.unread + data).split(b"\n")
        self.lines.extend(lines)
        if len(self.unread) > MOST_REPLY_BYTES:
            raise ConnectionLost(phase, ENDLESS)
        return bool(lines)

    def watch(self) -> Steps[None]:
        """Wait for a moment whether the server ends the connection before the mail's end.

        Raises ConnectionLost.
        """
        self.deadline = until = time.monotonic() + WATCH_SECONDS
        while time.monotonic() < until:
            try:
                data = self.sock.recv(RECORD)
            except NOT_YET:
                yield
                continue
            except OSError as error:
                raise lost(Phase.CONTENT, error) from error
            if not data:
                raise ConnectionLost(Phase.CONTENT, "connection closed by the server")
            if data[:1] in b"23":
                raise ConnectionLost(Phase.CONTENT, OUT_OF_STEP)
            *lines, self.unread = (self.unread + data).split(b"\n")
            self.lines.extend(lines)  # of an early no, read after the mail's end
            break

    def check_step(self, phase: Phase) -> None:
        """Raise ConnectionLost if the server has said more than it was asked."""
        if self.lines or self.unread:
            raise ConnectionLost(phase, OUT_OF_STEP)

    def exchange(self, command: bytes) -> Steps[None]:
        yield from self.write(command, phase=Phase.RECIPIENT)
        yield from self.reply(Phase.RECIPIENT)

    def quit(self) -> None:
        """Send QUIT and ignore the answer: every outcome is known already."""
        with contextlib.suppress(OSError):
            self.sock.send(b"QUIT\r\n")
        self.close()

    def close(self) -> None:
        self.opened.close()


def join(parts: Sequence[Buffer]) -> Buffer:
    return parts[0] if len(parts) == 1 else b"".join(parts)


def readable(data: bytes | str) -> str:
    text = data.decode("utf-8", "replace") if isinstance(data, bytes) else data
    return (
        text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)
    )
