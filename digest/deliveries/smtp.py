"""SMTP on one persistent connection, by a client that knows its phase.

smtplib opens the session (greeting, EHLO, TLS, AUTH). The transactions are ours, as
smtplib's exceptions don't tell "surely not accepted" from "perhaps accepted". One bad
recipient, a dropped connection or a garbled QUIT never spoils another mail's outcome.
"""

import contextlib
import smtplib
import ssl
import time
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

ENVELOPE_TIMEOUT = 30.0
# RFC 5321 4.5.3.2.6 asks for ten minutes after the dot; two are enough for a relay of
# one's own, and the hand-over lease outlives them.
DOT_TIMEOUT = 120.0
MOST_REPLY_BYTES = 8192


class Silence(Exception):
    """The connection ended, timed out or talked nonsense; `phase` tells how far we were."""

    def __init__(self, phase: Phase, error: str) -> None:
        super().__init__(error)
        self.phase = phase


class Smtp:
    """A transport by SMTP; envelope commands are pipelined where offered (RFC 2920)."""

    def __init__(self, url: SplitResult) -> None:
        self.url = url
        self.session: smtplib.SMTP | None = None
        self.may_pipeline = True
        self.pipelining = False
        self.unread = b""

    def hand_over(self, mails: Sequence[Mail]) -> Iterator[tuple[int, Outcome]]:
        """One transaction a mail. After a lost connection the rest is tried on a new one."""
        down = False
        for mail in mails:
            if down:
                yield mail.delivery_id, NOT_TRIED
                continue
            outcome = self.transaction(mail)
            yield mail.delivery_id, outcome
            down = self.session is None and not outcome.charged

    def transaction(self, mail: Mail) -> Outcome:
        phase = Phase.CONNECT
        try:
            if self.session is None:
                self.open()
            phase = Phase.ENVELOPE
            if refused := self.envelope(mail):
                return refused
            self.write_content(mail.content)
            code, text = self.reply(Phase.AFTER_DOT, DOT_TIMEOUT)
        except UnicodeEncodeError:
            return Outcome(Verdict.REFUSED, "address is not ASCII")
        except Silence as silence:
            self.drop()
            return of_silence(silence.phase, str(silence))
        except smtplib.SMTPResponseException as error:
            self.drop()
            return of_reply(Phase.CONNECT, error.smtp_code, readable(error.smtp_error))
        except (OSError, smtplib.SMTPException) as error:
            self.drop()
            return of_silence(phase, f"{type(error).__name__}: {error}")
        if code == 421:
            self.drop()
        return of_reply(Phase.AFTER_DOT, code, text)

    def envelope(self, mail: Mail) -> Outcome | None:
        """MAIL, RCPT, DATA; an outcome if the server does not want the mail."""
        commands = [
            f"MAIL FROM:<{mail.sender}>\r\n".encode("ascii"),
            f"RCPT TO:<{mail.recipient}>\r\n".encode("ascii"),
            b"DATA\r\n",
        ]
        wanted = (250, 250, 354)
        if self.pipelining:
            self.write(b"".join(commands), Phase.ENVELOPE)
        refused: Outcome | None = None
        for command, code in zip(commands, wanted, strict=True):
            if not self.pipelining:
                self.write(command, Phase.ENVELOPE)
            got, text = self.reply(Phase.ENVELOPE, ENVELOPE_TIMEOUT)
            if got == 421:
                self.drop()
                return refused or of_reply(Phase.ENVELOPE, got, text)
            if got == 354 and refused:
                self.write(b".\r\n", Phase.ENVELOPE)
                self.reply(Phase.ENVELOPE, ENVELOPE_TIMEOUT)
            elif not (got == code or (code == 250 and got == 251)):
                refused = refused or of_reply(Phase.ENVELOPE, got, text)
                if not self.pipelining:
                    break
        if refused:
            self.write(b"RSET\r\n", Phase.ENVELOPE)
            self.reply(Phase.ENVELOPE, ENVELOPE_TIMEOUT)
        return refused

    def open(self) -> None:
        """Greeting, EHLO, TLS, AUTH. Raises OSError or smtplib.SMTPException."""
        host, query = self.url.hostname or "", self.url.query
        secure = self.url.scheme == "smtps"
        port = self.url.port or (465 if secure else 25)
        context = ssl.create_default_context()
        opener = (
            smtplib.SMTP_SSL(host, port, timeout=ENVELOPE_TIMEOUT, context=context)
            if secure
            else smtplib.SMTP(host, port, timeout=ENVELOPE_TIMEOUT)
        )
        with contextlib.ExitStack() as stack:
            stack.callback(opener.close)
            opener.ehlo_or_helo_if_needed()
            if "tls=starttls" in query:
                opener.starttls(context=context)
                opener.ehlo()
            if self.url.username:
                opener.login(unquote(self.url.username), unquote(self.url.password or ""))
            stack.pop_all()
        self.session, self.unread = opener, b""
        self.pipelining = self.may_pipeline and opener.has_extn("pipelining")

    def write(self, data: bytes, phase: Phase) -> None:
        if not self.session or not self.session.sock:
            raise Silence(phase, "not connected")
        try:
            self.session.sock.settimeout(ENVELOPE_TIMEOUT)
            self.session.sock.sendall(data)
        except OSError as error:
            raise Silence(phase, f"{type(error).__name__}: {error}") from error

    def write_content(self, content: bytes) -> None:
        """Content and final dot. A failure before the kernel took the dot's last byte
        leaves no mail behind: the server has no end of data."""
        if not self.session or not self.session.sock:
            raise Silence(Phase.CONTENT, "not connected")
        sock = self.session.sock
        sock.settimeout(DOT_TIMEOUT)
        rest = memoryview(
            content + (b"" if content.endswith(b"\r\n") else b"\r\n") + b".\r\n"
        )
        try:
            while rest:
                rest = rest[sock.send(rest) :]
        except OSError as error:
            raise Silence(Phase.CONTENT, f"{type(error).__name__}: {error}") from error

    def reply(self, phase: Phase, timeout: float) -> tuple[int, str]:
        """Read one reply, all its lines (RFC 5321 4.2.1), within `timeout` seconds."""
        deadline = time.monotonic() + timeout
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
            if len(self.unread) > MOST_REPLY_BYTES:
                raise Silence(phase, "a reply without an end")
            if not self.session or not self.session.sock:
                raise Silence(phase, "not connected")
            try:
                self.session.sock.settimeout(max(deadline - time.monotonic(), 0.001))
                data = self.session.sock.recv(4096)
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
        self.session, self.unread = None, b""

    def close(self) -> None:
        """QUIT, without caring for the answer: every outcome is known already."""
        if self.session:
            with contextlib.suppress(Silence):
                self.write(b"QUIT\r\n", Phase.CONNECT)
        self.drop()


def readable(data: bytes | str) -> str:
    text = data.decode("utf-8", "replace") if isinstance(data, bytes) else data
    return "".join(char if char.isprintable() else " " for char in text)
