"""One SMTP connection: its sessions, one after the other, and the transactions on them.

Where the server pipelines (RFC 2920), a mail's content and the next mail's envelope are
one write, so a mail costs one round trip. One bad recipient, a dropped connection or a
garbled QUIT never spoils another mail's outcome.
"""

import logging
import re
import smtplib
from collections.abc import Generator, Sequence

from digest.endpoints import SmtpServer
from digest.transport.base import Mail
from digest.transport.line import Line
from digest.transport.outcomes import POISON, Outcome, Phase, Verdict, of_reply, of_silence
from digest.transport.smtp_session import (
    DOT,
    ConnectionLost,
    Session,
    Steps,
    open_session,
    readable,
)

logger = logging.getLogger(__name__)

NOT_CARRIED = Outcome(Verdict.REFUSED, "an envelope cannot carry the address")
# A path's inside as we write it (RFC 5321 section 4.1.2): printable ASCII, no space, no >.
CARRIED = re.compile(r"[!-=?-~]+")

# An outcome as it becomes known; None whenever it waits for the server.
type Work = Generator[tuple[int, Outcome] | None]


class Connection:
    """One session after the other, and the transactions on it."""

    def __init__(self, server: SmtpServer, *, may_pipeline: bool) -> None:
        self.server = server
        self.may_pipeline = may_pipeline
        self.session: Session | None = None

    def open(self) -> Outcome | None:
        """Blocks; why there is no session now, if there is none."""
        try:
            session = open_session(self.server)
        except smtplib.SMTPResponseException as error:
            text = readable(error.smtp_error)
            return of_reply(Phase.CONNECT, error.smtp_code, text)
        # ValueError: a password or a challenge that AUTH cannot carry.
        except (OSError, smtplib.SMTPException, ValueError) as error:
            return of_silence(Phase.CONNECT, f"{type(error).__name__}: {error}")
        session.pipelining &= self.may_pipeline
        self.session = session
        return None

    def work(self, line: Line) -> Work:
        """Hand over mails, the next in line each time, until none or no session is left."""
        opened: Mail | None = None  # the server has said 354 to this one
        while session := self.session:
            if opened is None:
                opened = line.take()
                if opened is None:
                    return
                if refused := (yield from self.begin(session, opened)):
                    yield opened.delivery_id, refused
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
        """Open a transaction; an outcome if the mail is not wanted."""
        commands = envelope(mail)
        if not commands:
            return NOT_CARRIED
        try:
            if not session.pipelining:
                return (yield from self.answers(session, commands))
            yield from session.write(b"".join(commands), phase=Phase.ENVELOPE)
            return (yield from self.answers(session))
        except ConnectionLost as lost:
            self.drop()
            return of_silence(lost.phase, str(lost))

    def finish(
        self, session: Session, mail: Mail, line: Line
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
        following = line.take() if session.pipelining else None
        commands = envelope(following) if following else ()
        if following and not commands:
            line.put_back(following)
            following = None
        outcome = None
        try:
            yield from session.write(content, end, ahead=commands, phase=Phase.CONTENT)
            yield  # no reply is there yet: others go on
            code, text = yield from session.reply(Phase.AFTER_DOT)
            outcome = of_reply(Phase.AFTER_DOT, code, text)
            if code == 421:
                raise ConnectionLost(Phase.AFTER_DOT, text)
            refused = (yield from self.answers(session)) if following else None
        except ConnectionLost as lost:
            self.drop()
            if following:
                line.put_back(following)
            return outcome or of_silence(lost.phase, str(lost)), None, None
        return outcome, following, refused

    def answers(
        self, session: Session, commands: Sequence[bytes] = ()
    ) -> Steps[Outcome | None]:
        """Read the replies to MAIL, RCPT and DATA, writing each command first if given.

        Raises ConnectionLost.
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


def envelope(mail: Mail) -> Sequence[bytes]:
    """MAIL, RCPT, DATA; nothing for an address that they cannot carry."""
    if not (CARRIED.fullmatch(mail.sender) and CARRIED.fullmatch(mail.recipient)):
        return ()
    return (
        b"MAIL FROM:<%b>\r\n" % mail.sender.encode(),
        b"RCPT TO:<%b>\r\n" % mail.recipient.encode(),
        b"DATA\r\n",
    )
