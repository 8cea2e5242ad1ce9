"""SMTP on one persistent connection, by a client that knows its phase.

smtplib opens the session (greeting, EHLO, TLS, AUTH). The transactions are ours, as
smtplib's exceptions don't tell "surely not accepted" from "perhaps accepted". Where the
server pipelines (RFC 2920), a mail's content and the next mail's envelope are one write,
so a mail costs one round trip. One bad recipient, a dropped connection or a garbled QUIT
never spoils another mail's outcome.
"""

import contextlib
import smtplib
import socket
import ssl
import struct
import time
from collections import deque
from collections.abc import Iterator, Sequence
from urllib.parse import SplitResult, unquote

from digest.deliveries.mail import Mail
from digest.deliveries.outcomes import (
    NOT_TRIED,
    Outcome,
    Phase,
    Verdict,
    of_reply,
    of_silence,
)

OPEN_TIMEOUT = 30.0
# RFC 5321 4.5.3.2.6 asks for ten minutes after the dot; two are enough for a relay of
# one's own, and the hand-over lease outlives them.
REPLY_TIMEOUT = 120.0
MOST_REPLY_BYTES = 8192
DOT = b".\r\n"
NOT_ASCII = Outcome(Verdict.REFUSED, "address is not ASCII")


class Silence(Exception):
    """The connection ended, timed out or talked nonsense; `phase` tells how far we were."""

    def __init__(self, phase: Phase, error: str) -> None:
        super().__init__(error)
        self.phase = phase


class Smtp:
    """A transport by one SMTP connection, opened at the first hand-over."""

    def __init__(self, url: SplitResult, *, may_pipeline: bool = True) -> None:
        self.url = url
        self.may_pipeline = may_pipeline
        self.pipelining = False
        self.session: smtplib.SMTP | None = None
        self.sock: socket.socket | None = None
        self.unread = b""
        self.unreachable = False

    def hand_over(self, mails: Sequence[Mail]) -> Iterator[tuple[int, Outcome]]:
        """One transaction a mail, in order; a lost connection is opened anew.

        When it cannot be opened, the rest is not tried.
        """
        queue = deque(mails)
        opened: Mail | None = None  # the server has said 354 to this one
        while opened or queue:
            if opened is None:
                opened = queue.popleft()
                if refused := self.begin(opened):
                    yield opened.delivery_id, refused
                    opened = None
                    if self.unreachable:
                        break
                    continue
            following = queue[0] if queue and self.pipelining else None
            outcome, ahead = self.finish(opened, following)
            yield opened.delivery_id, outcome
            opened = None
            if following and not isinstance(ahead, Silence):
                queue.popleft()
                if ahead:
                    yield following.delivery_id, ahead
                else:
                    opened = following
        yield from ((mail.delivery_id, NOT_TRIED) for mail in queue)

    def begin(self, mail: Mail) -> Outcome | None:
        """Connect if need be and open a transaction; an outcome if it is not wanted."""
        try:
            commands = envelope(mail)
            if self.sock is None:
                self.unreachable = True
                self.open()
                self.unreachable = False
            return self.propose(commands)
        except UnicodeEncodeError:
            return NOT_ASCII
        except Silence as silence:
            self.drop()
            return of_silence(silence.phase, str(silence))
        except smtplib.SMTPResponseException as error:
            self.drop()
            return of_reply(Phase.CONNECT, error.smtp_code, readable(error.smtp_error))
        except (OSError, smtplib.SMTPException) as error:
            self.drop()
            return of_silence(Phase.CONNECT, f"{type(error).__name__}: {error}")

    def finish(
        self, mail: Mail, following: Mail | None
    ) -> tuple[Outcome, Outcome | Silence | None]:
        """Write content and dot, and with them the envelope of the following mail.

        Returns the mail's outcome, and for the following what `begin` would, or the
        Silence that swallowed its replies: then it was not refused and not opened.
        """
        ahead, refused = b"", None
        if following:
            try:
                ahead = b"".join(envelope(following))
            except UnicodeEncodeError:
                refused = NOT_ASCII
        try:
            self.write_content(mail.content, ahead)
            code, text = self.reply(Phase.AFTER_DOT)
        except Silence as silence:
            self.drop()
            return of_silence(silence.phase, str(silence)), refused or silence
        outcome = of_reply(Phase.AFTER_DOT, code, text)
        try:
            if code == 421:
                raise Silence(Phase.ENVELOPE, "the server closed the connection")
            return outcome, self.answers() if ahead else refused
        except Silence as silence:
            self.drop()
            return outcome, silence

    def propose(self, commands: tuple[bytes, bytes, bytes]) -> Outcome | None:
        if self.pipelining:
            self.write(b"".join(commands))
            return self.answers()
        return self.answers(commands)

    def answers(self, commands: Sequence[bytes] = ()) -> Outcome | None:
        """Read the replies to MAIL, RCPT and DATA, writing each command first if given."""
        refused: Outcome | None = None
        for place, wanted in enumerate((250, 250, 354)):
            if commands:
                self.write(commands[place])
            code, text = self.reply(Phase.ENVELOPE)
            if code == 421:
                self.drop()
                return refused or of_reply(Phase.ENVELOPE, code, text)
            if code == 354 and refused:  # DATA without a recipient: end it, empty
                self.exchange(DOT)
            elif code not in (wanted, 251 if wanted == 250 else wanted):
                refused = refused or of_reply(Phase.ENVELOPE, code, text)
                if commands:
                    break
        if refused:
            self.exchange(b"RSET\r\n")
        return refused

    def exchange(self, command: bytes) -> None:
        self.write(command)
        self.reply(Phase.ENVELOPE)

    def open(self) -> None:
        """Greeting, EHLO, TLS, AUTH. Raises OSError or smtplib.SMTPException."""
        secure = self.url.scheme == "smtps"
        context = ssl.create_default_context()
        host, port = self.url.hostname or "", self.url.port or (465 if secure else 25)
        session = (
            smtplib.SMTP_SSL(host, port, timeout=OPEN_TIMEOUT, context=context)
            if secure
            else smtplib.SMTP(host, port, timeout=OPEN_TIMEOUT)
        )
        with contextlib.ExitStack() as stack:
            stack.callback(session.close)
            session.ehlo_or_helo_if_needed()
            if "tls=starttls" in self.url.query:
                session.starttls(context=context)
                session.ehlo()
            if self.url.username:
                session.login(unquote(self.url.username), unquote(self.url.password or ""))
            stack.pop_all()
        if session.sock is None:
            raise smtplib.SMTPServerDisconnected("closed while opening")
        self.session, self.sock, self.unread = session, session.sock, b""
        self.pipelining = self.may_pipeline and session.has_extn("pipelining")
        kernel_timeouts(session.sock, REPLY_TIMEOUT)

    def write(self, data: bytes) -> None:
        if self.sock is None:
            raise Silence(Phase.ENVELOPE, "not connected")
        try:
            self.sock.sendall(data)
        except OSError as error:
            raise Silence(Phase.ENVELOPE, f"{type(error).__name__}: {error}") from error

    def write_content(self, content: bytes, ahead: bytes) -> None:
        """Content, dot and what follows. Raises Silence(CONTENT) if the kernel did not
        take the dot's last byte: without an end of data the server keeps no mail."""
        if self.sock is None:
            raise Silence(Phase.CONTENT, "not connected")
        tail = DOT + ahead if content.endswith(b"\r\n") else b"\r\n" + DOT + ahead
        total, sent = len(content) + len(tail), 0
        try:
            if not isinstance(self.sock, ssl.SSLSocket):
                sent = self.sock.sendmsg([content, tail])
            rest = memoryview(content + tail)[sent:] if sent < total else b""
            while rest:
                count = self.sock.send(rest)
                sent, rest = sent + count, rest[count:]
        except OSError as error:
            if sent < total - len(ahead):
                raise Silence(Phase.CONTENT, f"{type(error).__name__}: {error}") from error

    def reply(self, phase: Phase) -> tuple[int, str]:
        """Read one reply, all its lines (RFC 5321 4.2.1). Raises Silence."""
        deadline = time.monotonic() + REPLY_TIMEOUT
        lines = []
        while True:
            line = self.line(phase, deadline)
            if not (line[:3].isdigit() and line[3:4] in (b" ", b"-", b"")):
                raise Silence(phase, f"not a reply: {readable(line[:80])}")
            lines.append(readable(line[4:]).strip())
            if line[3:4] != b"-":
                return int(line[:3]), " ".join(lines)[:500]

    def line(self, phase: Phase, deadline: float) -> bytes:
        while b"\n" not in self.unread:
            if len(self.unread) > MOST_REPLY_BYTES or time.monotonic() > deadline:
                raise Silence(phase, "a reply without an end")
            if self.sock is None:
                raise Silence(phase, "not connected")
            try:
                data = self.sock.recv(8192)
            except OSError as error:
                raise Silence(phase, f"{type(error).__name__}: {error}") from error
            if not data:
                raise Silence(phase, "connection closed by the server")
            self.unread += data
        line, self.unread = self.unread.split(b"\n", 1)
        return line.rstrip(b"\r")

    def drop(self) -> None:
        if self.session:
            self.session.close()
        self.session, self.sock, self.unread = None, None, b""

    def close(self) -> None:
        """QUIT, without caring for the answer: every outcome is known already."""
        if self.sock:
            with contextlib.suppress(OSError):
                self.sock.sendall(b"QUIT\r\n")
        self.drop()


def envelope(mail: Mail) -> tuple[bytes, bytes, bytes]:
    """MAIL, RCPT, DATA. Raises UnicodeEncodeError."""
    return (
        b"MAIL FROM:<%b>\r\n" % mail.sender.encode("ascii"),
        b"RCPT TO:<%b>\r\n" % mail.recipient.encode("ascii"),
        b"DATA\r\n",
    )


def kernel_timeouts(sock: socket.socket, seconds: float) -> None:
    """Timeouts by the kernel: with Python's each call on the socket costs a poll more."""
    sock.settimeout(None)
    whole, rest = divmod(seconds, 1)
    value = struct.pack("ll", int(whole), int(rest * 1e6))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, value)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, value)


def readable(data: bytes | str) -> str:
    text = data.decode("utf-8", "replace") if isinstance(data, bytes) else data
    return (
        text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)
    )
