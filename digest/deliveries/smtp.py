"""SMTP on a few persistent connections, all in one thread.

Where the server pipelines (RFC 2920), a mail's content and the next mail's envelope are
one write, so a mail costs one round trip; while one connection waits for its reply, the
others go on. One bad recipient, a dropped connection or a garbled QUIT never spoils
another mail's outcome.
"""

import logging
import select
import smtplib
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from urllib.parse import SplitResult

from digest.deliveries.mail import Mail
from digest.deliveries.outcomes import (
    NOT_TRIED,
    POISON,
    Outcome,
    Phase,
    Verdict,
    of_reply,
    of_silence,
)
from digest.deliveries.session import (
    DOT,
    Session,
    Silence,
    Steps,
    open_session,
    readable,
)

logger = logging.getLogger(__name__)

NOT_ASCII = Outcome(Verdict.REFUSED, "address is not ASCII")
# Who waits looks at the clock at least so often.
POLL_MS = 1000


@dataclass(slots=True)
class Round:
    """One hand-over: the mails that nobody has begun, and why no more is opened in it."""

    mails: deque[Mail]
    unreachable: Outcome | None = None


class Smtp:
    """A transport by several SMTP connections, opened at the first hand-over."""

    def __init__(
        self, url: SplitResult, *, connections: int = 1, may_pipeline: bool = True
    ) -> None:
        self.connections = [
            Connection(url, may_pipeline=may_pipeline) for _ in range(connections)
        ]

    def hand_over(self, mails: Sequence[Mail]) -> Iterator[tuple[int, Outcome]]:
        """One transaction a mail; a lost connection is opened anew.

        When none can be opened, the rest is not tried.
        """
        this = Round(deque(mails))
        ready = self.opened(this)
        working = {connection: connection.work(this) for connection in ready}
        while working:
            for connection in ready:
                for said in working[connection]:
                    if said is None:
                        break
                    yield said
                else:
                    del working[connection]
            ready = answered(working)
        for mail in this.mails:
            yield mail.delivery_id, this.unreachable or NOT_TRIED
            this.unreachable = None

    def opened(self, this: Round) -> list["Connection"]:
        """As many connections as there are mails, opened side by side: greeting, TLS and
        AUTH take some round trips each. A server that takes fewer is asked for no more."""
        wanted = self.connections[: len(this.mails)]
        if closed := [one for one in wanted if one.session is None]:
            with ThreadPoolExecutor(len(closed)) as threads:
                list(threads.map(lambda one: one.open(this), closed))
        found = [one for one in wanted if one.session]
        if found and len(found) < len(wanted):
            self.connections, this.unreachable = found, None
        return found

    def close(self) -> None:
        for connection in self.connections:
            connection.close()


def answered(waiting: Iterable["Connection"]) -> list["Connection"]:
    """Wait; those whose server has said something, or after a second all."""
    poll, by_socket = select.poll(), {}
    for connection in waiting:
        assert connection.session  # noqa: S101
        by_socket[connection.session.sock.fileno()] = connection
        poll.register(connection.session.sock, connection.session.waits_for)
    if not by_socket:
        return []
    return [by_socket[number] for number, _ in poll.poll(POLL_MS)] or [*by_socket.values()]


class Connection:
    """One session after the other, and the transactions on it."""

    def __init__(self, url: SplitResult, *, may_pipeline: bool) -> None:
        self.url = url
        self.may_pipeline = may_pipeline
        self.session: Session | None = None

    def open(self, this: Round) -> None:
        try:
            session = open_session(self.url)
        except smtplib.SMTPResponseException as error:
            text = readable(error.smtp_error)
            this.unreachable = of_reply(Phase.CONNECT, error.smtp_code, text)
        except (OSError, smtplib.SMTPException) as error:
            words = f"{type(error).__name__}: {error}"
            this.unreachable = of_silence(Phase.CONNECT, words)
        else:
            session.pipelining &= self.may_pipeline
            self.session = session

    def work(self, this: Round) -> Iterator[tuple[int, Outcome] | None]:
        """Hand over mails of this round; None whenever it waits for the server."""
        opened: Mail | None = None  # the server has said 354 to this one
        while opened or this.mails:
            if self.session is None:
                if this.unreachable is None:
                    self.open(this)
                if self.session is None:
                    return
            session = self.session
            if opened is None:
                opened = this.mails.popleft()
                if refused := (yield from self.begin(session, opened)):
                    yield opened.delivery_id, refused
                    opened = None
                    continue
            outcome, following, ahead = yield from self.finish(session, opened, this)
            yield opened.delivery_id, outcome
            opened = None
            if ahead and following:
                yield following.delivery_id, ahead
            else:
                opened = following

    def begin(self, session: Session, mail: Mail) -> Steps[Outcome | None]:
        """Open a transaction; an outcome if the mail is not wanted."""
        commands = envelope(mail)
        if not commands:
            return NOT_ASCII
        try:
            if not session.pipelining:
                return (yield from self.answers(session, commands))
            yield from session.write(b"".join(commands), phase=Phase.ENVELOPE)
            return (yield from self.answers(session))
        except Silence as silence:
            self.drop()
            return of_silence(silence.phase, str(silence))

    def finish(
        self, session: Session, mail: Mail, this: Round
    ) -> Steps[tuple[Outcome, Mail | None, Outcome | None]]:
        """Write content and dot and, pipelining, the envelope of the next mail in line.

        Returns the mail's outcome, then the next mail if the server answered to its
        envelope, with what `begin` would return for it. A next mail that it did not
        answer to is in line again.
        """
        try:
            content = mail.compose()
        except Exception:  # one poisoned row must not stop an edition
            logger.exception("delivery %d cannot be composed", mail.delivery_id)
            self.drop()
            return POISON, None, None
        end = DOT if content.endswith(b"\r\n") else b"\r\n" + DOT
        commands = envelope(this.mails[0]) if session.pipelining and this.mails else ()
        following = this.mails.popleft() if commands else None
        outcome = None
        try:
            yield from session.write(content, end, ahead=commands, phase=Phase.CONTENT)
            yield  # no reply is there yet: others go on
            code, text = yield from session.reply(Phase.AFTER_DOT)
            outcome = of_reply(Phase.AFTER_DOT, code, text)
            if code == 421:
                raise Silence(Phase.AFTER_DOT, text)
            refused = (yield from self.answers(session)) if following else None
        except Silence as silence:
            self.drop()
            if following:
                this.mails.appendleft(following)
            return outcome or of_silence(silence.phase, str(silence)), None, None
        return outcome, following, refused

    def answers(
        self, session: Session, commands: Sequence[bytes] = ()
    ) -> Steps[Outcome | None]:
        """Read the replies to MAIL, RCPT and DATA, writing each command first if given.

        Raises Silence.
        """
        if not commands and session.goes_on():
            return None
        refused: Outcome | None = None
        for place, wanted in enumerate((b"250 ", b"250 ", b"354 ")):
            if commands:
                yield from session.write(commands[place], phase=Phase.ENVELOPE)
            line = yield from session.line(Phase.ENVELOPE)
            if line.startswith(wanted) and not refused:
                continue
            code, text = yield from session.reply(Phase.ENVELOPE, line)
            if code == 421:
                self.drop()
                return refused or of_reply(Phase.ENVELOPE, code, text)
            if code == 354 and refused:  # DATA without a recipient: end it, empty
                yield from session.exchange(DOT)
            elif code not in (int(wanted), 251 if place == 1 else int(wanted)):
                refused = refused or of_reply(Phase.ENVELOPE, code, text)
                if commands:
                    break
        if refused:
            yield from session.exchange(b"RSET\r\n")
        return refused

    def drop(self) -> None:
        if self.session:
            self.session.close()
        self.session = None

    def close(self) -> None:
        if self.session:
            self.session.quit()
        self.session = None


def envelope(mail: Mail) -> Sequence[bytes]:
    """MAIL, RCPT, DATA; nothing for an address that they cannot carry."""
    if not (mail.sender.isascii() and mail.recipient.isascii()):
        return ()
    return (
        b"MAIL FROM:<%b>\r\n" % mail.sender.encode(),
        b"RCPT TO:<%b>\r\n" % mail.recipient.encode(),
        b"DATA\r\n",
    )
