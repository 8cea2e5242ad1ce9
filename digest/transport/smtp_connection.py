"""One SMTP connection: its sessions, one after the other, and the transactions on them.

Where the server pipelines (RFC 2920), a mail's content and the next mail's envelope are
one write, so a mail costs one round trip. One bad recipient, a dropped connection or a
garbled QUIT never spoils another mail's outcome.
"""

import base64
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
    OUT_OF_STEP,
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

# The replies by which a transaction goes on (RFC 5321 section 4.3.2).
ENVELOPE = {
    Phase.SENDER: (b"250",),
    Phase.RECIPIENT: (b"250", b"251"),
    Phase.DATA: (b"354",),
}

# An outcome as it becomes known; None whenever it waits for the server.
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
        except ValueError:  # not its words: they may quote the password
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

        A session that has taken mails and ends before this one costs it nothing: it is
        for the next session, which there is none of here.
        """
        commands = envelope(mail)
        if not commands:
            return NOT_CARRIED
        try:
            if not session.pipelining:
                return (yield from self.answers(session, commands))
            yield from session.write(b"".join(commands), phase=Phase.SENDER)
            return (yield from self.answers(session))
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
            session.check_step(Phase.SENDER)
            if not session.has_taken_a_mail:
                yield from session.write(content, phase=Phase.CONTENT)
                yield from session.watch()
                content = b""
            yield from session.write(content, end, ahead=commands, phase=Phase.CONTENT)
            yield  # no reply is there yet: others go on
            code, text = yield from session.reply(Phase.AFTER_DOT)
            outcome = of_reply(Phase.AFTER_DOT, code, text)
            session.has_taken_a_mail = True
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


def envelope(mail: Mail) -> Sequence[bytes]:
    """MAIL, RCPT, DATA; nothing for an address that they cannot carry."""
    if not (CARRIED.fullmatch(mail.sender) and CARRIED.fullmatch(mail.recipient)):
        return ()
    return (
        b"MAIL FROM:<%b>\r\n" % mail.sender.encode(),
        b"RCPT TO:<%b>\r\n" % mail.recipient.encode(),
        b"DATA\r\n",
    )
