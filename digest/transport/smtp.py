"""SMTP on a few persistent connections: while one waits for a reply, the others go on.

All connections run in one thread, except while they open, and take mails from one line.
Where the server pipelines (RFC 2920), a mail's content and the next mail's envelope are
one write, so a mail costs one round trip. One bad recipient, a dropped connection or a
garbled QUIT never spoils another mail's outcome.
"""

import base64
import contextlib
import logging
import re
import select
import smtplib
import socket
import ssl
import time
from collections import deque
from collections.abc import Buffer, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from digest.endpoints import SmtpServer
from digest.transport.base import Line, Mail, line_of
from digest.transport.outcomes import (
    NOT_TRIED,
    POISON,
    Outcome,
    Phase,
    Verdict,
    of_reply,
    of_silence,
)
from digest.transport.smtp_opening import (
    ENDLESS,
    MOST_REPLY_BYTES,
    MOST_REPLY_LINES,
    opened,
    what_to_try,
)

logger = logging.getLogger(__name__)

# RFC 5321 4.5.3.2.6 asks for ten minutes after the dot; two are enough for a relay of
# one's own, and the hand-over lease outlives them.
REPLY_TIMEOUT = 120.0
# How long to watch the first mail of a session before its end is written: a server that
# resets in the middle of a mail has not accepted it as long as the end has not left.
WATCH_SECONDS = 0.05
# Longest delay in seconds before a server's silence is noticed.
POLL_SECONDS = 1.0
OUT_OF_STEP = "a reply that belongs to nothing"
RECORD = 16384  # RFC 8446 section 5.1
DOT = b".\r\n"
NOT_YET = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
NOT_CARRIED = Outcome(Verdict.REFUSED, "an envelope cannot carry the address")
# A path's inside as we write it (RFC 5321 section 4.1.2): printable ASCII, no space, no >.
CARRIED = re.compile(r"[!-=?-~]+")

# The replies by which a transaction goes on (RFC 5321 section 4.3.2).
ENVELOPE = {
    Phase.SENDER: (b"250",),
    Phase.RECIPIENT: (b"250", b"251"),
    Phase.DATA: (b"354",),
}

# Yields whenever it waits for the server; its result comes with the end.
type Steps[T] = Generator[None, None, T]
# Yields an outcome when it becomes known, and None while it waits for the server.
type Work = Generator[tuple[int, Outcome] | None]


class ConnectionLost(Exception):
    """The connection ended, timed out or gave no valid reply; `phase` tells how far we were."""

    def __init__(self, phase: Phase, error: str) -> None:
        super().__init__(error)
        self.phase = phase


def lost(phase: Phase, error: Exception) -> ConnectionLost:
    return ConnectionLost(phase, f"{type(error).__name__}: {error}")


class Session:
    """One open session: bytes out, replies in, and how far we were when it broke.

    smtplib opens it; the rest is ours, as smtplib's exceptions don't tell "surely not accepted"
    from "perhaps accepted", and as it must not block: what waits for the server is a generator,
    which yields until the socket is ready.
    """

    def __init__(self, client: smtplib.SMTP, sock: socket.socket) -> None:
        self.client = client  # kept, as it owns the socket
        self.sock = sock
        self.pipelining = client.has_extn("pipelining")
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
        self.client.close()


def join(parts: Sequence[Buffer]) -> Buffer:
    return parts[0] if len(parts) == 1 else b"".join(parts)


def readable(data: bytes | str) -> str:
    text = data.decode("utf-8", "replace") if isinstance(data, bytes) else data
    return (
        text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)
    )


class Connection:
    """One session after the other, and the transactions on it."""

    def __init__(self, server: SmtpServer, *, may_pipeline: bool) -> None:
        self.server = server
        self.may_pipeline = may_pipeline
        self.session: Session | None = None

    def open(self) -> Outcome | None:
        """Open a session (blocking). Return None, or the Outcome explaining the failure."""
        try:
            session = Session(*opened(self.server))
        except smtplib.SMTPResponseException as error:
            text = self.without_login(readable(error.smtp_error))
            return of_reply(Phase.CONNECT, error.smtp_code, text)
        except (OSError, smtplib.SMTPException) as error:
            text = f"{type(error).__name__}: {error}".rstrip(".")
            if advice := what_to_try(self.server, error):
                text += f"; {advice}"
            return of_silence(Phase.CONNECT, self.without_login(text))
        except ValueError:  # its words may quote the password
            return of_silence(
                Phase.CONNECT, "password or challenge cannot be used to log in"
            )
        session.pipelining &= self.may_pipeline
        self.session = session
        return None

    def without_login(self, text: str) -> str:
        """Hide name and password, also as AUTH sends them, where a server repeats them."""
        name, password = self.server.user, self.server.password
        for secret in (f"\0{name}\0{password}", password, name):
            for said in (secret, base64.b64encode(secret.encode()).decode()):
                text = text.replace(said, "***") if secret.strip("\0") else text
        return text

    def work(self, line: Line) -> Work:
        """Hand over mails, the next in line each time, until none or no session is left."""
        opened: Mail | None = None  # the server has said 354 to this one
        while session := self.session:
            if opened is None:
                opened = line.take()
                if opened is None:
                    return
                refused = yield from self.begin(session, opened)
                if refused:
                    yield opened.delivery_id, refused
                elif self.session is not session:
                    line.put_back(opened)
                if self.session is not session or refused:
                    opened = None
                    continue
            outcome, following, ahead = yield from self.finish(session, opened, line)
            yield opened.delivery_id, outcome
            opened = None
            if ahead and following:
                yield following.delivery_id, ahead
            else:
                opened = following

    def begin(self, session: Session, mail: Mail) -> Steps[Outcome | None]:
        """Open a transaction. Return an outcome if the mail is not wanted.

        A session that has taken mails and ends before this one costs it nothing: it goes
        to the next session, so None is returned and `self.session` is gone.
        """
        commands = envelope(mail)
        if not commands:
            return NOT_CARRIED
        try:
            if not session.pipelining:
                each = commands.splitlines(keepends=True)
                return (yield from self.read_replies(session, each))
            yield from session.write(commands, phase=Phase.SENDER)
            return (yield from self.read_replies(session))
        except ConnectionLost as lost:
            self.drop()
            if session.has_taken_a_mail and lost.phase is Phase.SENDER:
                return None
            return of_silence(lost.phase, str(lost))

    def finish(
        self, session: Session, mail: Mail, line: Line
    ) -> Steps[tuple[Outcome, Mail | None, Outcome | None]]:
        """Write content and dot and, pipelining, the envelope of the next mail in line.

        Returns the mail's outcome, then the next mail if the server answered to its
        envelope, with what `begin` would return for it. A next mail without an
        answer is put back in line.
        """
        try:
            content = mail.compose()
        except Exception:  # one poisoned row must not stop an edition
            logger.exception("delivery %d cannot be composed", mail.delivery_id)
            self.drop()
            return POISON, None, None
        end = DOT if content.endswith(b"\r\n") else b"\r\n" + DOT
        following = line.take() if session.pipelining else None
        commands = envelope(following) if following else b""
        if following and not commands:
            line.put_back(following)
            following = None
        outcome = refused = None
        try:
            session.check_step(Phase.SENDER)
            if not session.has_taken_a_mail:
                yield from session.write(content, phase=Phase.CONTENT)
                yield from session.watch()
                content = b""
            yield from session.write(content, end, ahead=commands, phase=Phase.CONTENT)
            yield  # no reply is there yet: others go on
            said = session.plain_reply(Phase.AFTER_DOT)
            code, text = said or (yield from session.reply(Phase.AFTER_DOT))
            outcome = of_reply(Phase.AFTER_DOT, code, text)
            session.has_taken_a_mail = True
            if code == 421:
                raise ConnectionLost(Phase.AFTER_DOT, text)
            if following and not session.goes_on():
                refused = yield from self.read_replies(session)
        except ConnectionLost as lost:
            self.drop()
            if following:
                line.put_back(following)
            return outcome or of_silence(lost.phase, str(lost)), None, None
        return outcome, following, refused

    def read_replies(
        self, session: Session, commands: Sequence[bytes] = ()
    ) -> Steps[Outcome | None]:
        """Read the replies to MAIL, RCPT and DATA, writing each command first if given.

        Raises ConnectionLost.
        """
        if not commands and session.goes_on():
            return None
        refused: Outcome | None = None
        for place, (phase, wanted) in enumerate(ENVELOPE.items()):
            if commands:
                yield from session.write(commands[place], phase=phase)
            line = yield from session.line(phase)
            if line[:3] in wanted and line[3:4] == b" " and not refused:
                continue
            code, text = yield from session.reply(phase, line)
            if code == 421 and phase is Phase.SENDER and session.has_taken_a_mail:
                raise ConnectionLost(phase, text)  # so many mails a session, and no more
            if code == 421:
                self.drop()
                return refused or of_reply(phase, code, text)
            if code == 354 and refused:  # DATA without a recipient: end it, empty
                yield from session.exchange(DOT)
            elif line[:3] not in wanted:
                if code < 400 and not refused:  # of another command: nothing fits any more
                    raise ConnectionLost(Phase.SENDER, OUT_OF_STEP)
                refused = refused or of_reply(phase, code, text)
                if commands:
                    break
        if refused:
            try:
                yield from session.exchange(b"RSET\r\n")
            except ConnectionLost:  # what it has said of the mail still holds
                self.drop()
        return refused

    def drop(self) -> None:
        if self.session:
            self.session.close()
        self.session = None

    def close(self) -> None:
        if self.session:
            self.session.quit()
        self.session = None


def envelope(mail: Mail) -> bytes:
    """Return MAIL, RCPT and DATA, a line each; empty if they cannot carry an address."""
    sender, recipient = mail.sender, mail.recipient
    if not (CARRIED.fullmatch(sender) and CARRIED.fullmatch(recipient)):
        return b""
    return f"MAIL FROM:<{sender}>\r\nRCPT TO:<{recipient}>\r\nDATA\r\n".encode()


class Smtp:
    """A transport by several SMTP connections, opened at the first hand-over."""

    def __init__(
        self, server: SmtpServer, *, connections: int = 1, may_pipeline: bool = True
    ) -> None:
        self.connections = [
            Connection(server, may_pipeline=may_pipeline) for _ in range(connections)
        ]
        self.unreachable: Outcome | None = None

    def hand_over(self, mails: Iterable[Mail]) -> Iterator[tuple[int, Outcome]]:
        """Hand over each mail in a transaction; reopen lost connections for the rest.

        When none can be opened, the rest is yielded as not tried.
        """
        line = line_of(mails)
        while line and (connections := self.open_connections(len(line))):
            yield from run_all({one: one.work(line) for one in connections})
        for mail in line.drain():
            yield mail.delivery_id, self.unreachable or NOT_TRIED
            self.unreachable = None

    def open_connections(self, most: int) -> list[Connection]:
        """Return at most `most` connections with a session, opening them in threads.

        Greeting, TLS and AUTH take some round trips each. If the server takes fewer
        connections, this sender asks for no more.
        """
        self.connections.sort(key=lambda one: one.session is None)
        wanted = self.connections[:most]
        if closed := [one for one in wanted if one.session is None]:
            with ThreadPoolExecutor(len(closed)) as threads:
                failures = list(threads.map(Connection.open, closed))
            self.unreachable = next(filter(None, failures), None)
        if found := [one for one in wanted if one.session]:
            self.connections = [
                one for one in self.connections if one not in closed or one.session
            ]
        return found

    def close(self) -> None:
        for connection in self.connections:
            connection.close()


def run_all(work: dict[Connection, Work]) -> Iterator[tuple[int, Outcome]]:
    """Run all connections to completion, resuming each when its socket is ready."""
    ready = list(work)
    while work:
        for connection in ready:
            for result in work[connection]:
                if result is None:
                    break
                yield result
            else:
                del work[connection]
        ready = wait_for_replies(work)


def wait_for_replies(waiting: Iterable[Connection]) -> list[Connection]:
    """Wait, then return the connections whose server has replied or is overdue."""
    poll, by_socket, late = select.poll(), {}, []
    now, patience = time.monotonic(), POLL_SECONDS
    for connection in waiting:
        session = connection.session
        assert session  # noqa: S101
        if session.deadline < now:
            late.append(connection)
        number = session.sock.fileno()
        by_socket[number] = connection
        poll.register(number, session.waits_for)
        patience = min(patience, session.deadline - now)
    if late or not by_socket:
        return late
    return [by_socket[number] for number, _ in poll.poll(1 + int(1000 * patience))]
