"""SMTP on one persistent connection.

Where the server pipelines (RFC 2920), a mail's content and the next mail's envelope are
one write, so a mail costs one round trip. One bad recipient, a dropped connection or a
garbled QUIT never spoils another mail's outcome.
"""

import logging
import smtplib
from collections import deque
from collections.abc import Iterator, Sequence
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
from digest.deliveries.session import DOT, Session, Silence, open_session, readable

logger = logging.getLogger(__name__)

NOT_ASCII = Outcome(Verdict.REFUSED, "address is not ASCII")


class Smtp:
    """A transport by one SMTP connection, opened at the first hand-over."""

    def __init__(self, url: SplitResult, *, may_pipeline: bool = True) -> None:
        self.url = url
        self.may_pipeline = may_pipeline
        self.session: Session | None = None
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
            outcome, following, ahead = self.finish(opened, queue)
            yield opened.delivery_id, outcome
            opened = None
            if following:
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
            session = self.connected()
            if not session.pipelining:
                return self.answers(session, commands)
            session.write(b"".join(commands))
            return self.answers(session)
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

    def connected(self) -> Session:
        """The session, opened if need be. Raises OSError or smtplib.SMTPException."""
        if self.session is None:
            self.unreachable = True
            self.session = open_session(self.url)
            self.session.pipelining &= self.may_pipeline
            self.unreachable = False
        return self.session

    def finish(
        self, mail: Mail, queue: Sequence[Mail]
    ) -> tuple[Outcome, Mail | None, Outcome | None]:
        """Write content and dot and, pipelining, the envelope of the next mail in line.

        Returns the mail's outcome, then the next mail if the server answered to its
        envelope, with what `begin` would return for it.
        """
        session = self.connected()
        try:
            content = mail.compose()
        except Exception:  # one poisoned row must not stop an edition
            logger.exception("delivery %d cannot be composed", mail.delivery_id)
            self.drop()
            return POISON, None, None
        following = queue[0] if queue and session.pipelining else None
        ahead = b"".join(envelope(following)) if following and is_ascii(following) else b""
        try:
            session.write_content(content, ahead)
            code, text = session.reply(Phase.AFTER_DOT)
        except Silence as silence:
            self.drop()
            return of_silence(silence.phase, str(silence)), None, None
        outcome = of_reply(Phase.AFTER_DOT, code, text)
        if code == 421:
            self.drop()
            return outcome, None, None
        try:
            return (
                outcome,
                following if ahead else None,
                self.answers(session) if ahead else None,
            )
        except Silence:
            self.drop()
            return outcome, None, None

    def answers(self, session: Session, commands: Sequence[bytes] = ()) -> Outcome | None:
        """Read the replies to MAIL, RCPT and DATA, writing each command first if given."""
        if not commands and session.goes_on():
            return None
        refused: Outcome | None = None
        for place, wanted in enumerate((b"250 ", b"250 ", b"354 ")):
            if commands:
                session.write(commands[place])
            line = session.line(Phase.ENVELOPE)
            if line.startswith(wanted) and not refused:
                continue
            code, text = session.reply(Phase.ENVELOPE, line)
            if code == 421:
                self.drop()
                return refused or of_reply(Phase.ENVELOPE, code, text)
            if code == 354 and refused:  # DATA without a recipient: end it, empty
                session.exchange(DOT)
            elif code not in (int(wanted), 251 if place == 1 else int(wanted)):
                refused = refused or of_reply(Phase.ENVELOPE, code, text)
                if commands:
                    break
        if refused:
            session.exchange(b"RSET\r\n")
        return refused

    def drop(self) -> None:
        if self.session:
            self.session.close()
        self.session = None

    def close(self) -> None:
        if self.session:
            self.session.quit()
        self.session = None


def envelope(mail: Mail) -> tuple[bytes, bytes, bytes]:
    """MAIL, RCPT, DATA. Raises UnicodeEncodeError."""
    return (
        b"MAIL FROM:<%b>\r\n" % mail.sender.encode("ascii"),
        b"RCPT TO:<%b>\r\n" % mail.recipient.encode("ascii"),
        b"DATA\r\n",
    )


def is_ascii(mail: Mail) -> bool:
    return mail.sender.isascii() and mail.recipient.isascii()
