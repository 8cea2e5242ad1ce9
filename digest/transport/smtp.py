"""SMTP on a few persistent connections: while one waits for a reply, the others go on.

All connections run in one thread, except while they open, and take mails from one line.
Where the server pipelines (RFC 2920), a mail's content and the next mail's envelope are
one write, so a mail costs one round trip. One bad recipient, a dropped connection or a
garbled QUIT never spoils another mail's outcome.
"""

import base64
import logging
import re
import select
import smtplib
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
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
from digest.transport.smtp_session import (
    DOT,
    OUT_OF_STEP,
    ConnectionLost,
    Session,
    Steps,
    open_session,
    readable,
)

logger = logging.getLogger(__name__)

# Longest delay in seconds before a server's silence is noticed.
POLL_SECONDS = 1.0
NOT_CARRIED = Outcome(Verdict.REFUSED, "an envelope cannot carry the address")
# A path's inside as we write it (RFC 5321 section 4.1.2): printable ASCII, no space, no >.
CARRIED = re.compile(r"[!-=?-~]+")

# The replies by which a transaction goes on (RFC 5321 section 4.3.2).
ENVELOPE = {
    Phase.SENDER: (b"250",),
    Phase.RECIPIENT: (b"250", b"251"),
    Phase.DATA: (b"354",),
}

# Yields an outcome when it becomes known, and None while it waits for the server.
type Work = Generator[tuple[int, Outcome] | None]


class Connection:
    """One session after the other, and the transactions on it."""

    def __init__(self, server: SmtpServer, *, may_pipeline: bool) -> None:
        self.server = server
        self.may_pipeline = may_pipeline
        self.session: Session | None = None

    def open(self) -> Outcome | None:
        """Open a session (blocking). Return None, or the Outcome explaining the failure."""
        try:
            session = open_session(self.server)
        except smtplib.SMTPResponseException as error:
            text = self.without_login(readable(error.smtp_error))
            return of_reply(Phase.CONNECT, error.smtp_code, text)
        except (OSError, smtplib.SMTPException) as error:
            text = self.without_login(f"{type(error).__name__}: {error}")
            return of_silence(Phase.CONNECT, text)
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
