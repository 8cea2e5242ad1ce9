"""Test mode: every mail goes to one address of the operator's, with a mark in its subject.

For a copy of a database, and for trying a whole edition: all else is as in operation.
"""

import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from email.utils import parseaddr

from django.conf import settings
from django.core.mail import EmailMultiAlternatives

from digest.transport.base import Letter, Mail, Transport, line_of
from digest.transport.outcomes import Outcome, Verdict, put_back

MARK = "[Test mode] "
SUBJECT = re.compile(rb"^Subject: ?", re.MULTILINE)
TO = re.compile(rb"^To:[^\r]*(?:\r\n[ \t][^\r]*)*", re.MULTILINE)


class Redirected:
    """A transport whose mails go to TEST_MODE_TO.

    Bounces come to From and reports of a provider name no delivery, and a refusal is taken as
    the relay's: what the operator's mailbox does is charged to no reader.
    """

    def __init__(self, transport: Transport) -> None:
        self.transport = transport

    def hand_over(self, mails: Iterable[Mail]) -> Iterator[tuple[int, Outcome]]:
        line = line_of(mails)
        line.mails = deque(redirected(mail) for mail in line.mails)
        for delivery_id, outcome in self.transport.hand_over(line):
            yield delivery_id, judged_of_operator(outcome)

    def close(self) -> None:
        self.transport.close()


def redirected(mail: Mail) -> Mail:
    """Return the mail with another envelope, To and Subject."""
    to, letter = operator(), mail.letter
    return mail._replace(
        sender=parseaddr(settings.FROM_EMAIL)[1],
        recipient=to,
        compose=lambda: marked(mail.compose(), to),
        letter=letter and (lambda: marked_letter(letter(), to)),
    )


def judged_of_operator(outcome: Outcome) -> Outcome:
    return put_back(outcome) if outcome.verdict is Verdict.REFUSED else outcome


def operator() -> str:
    return parseaddr(settings.TEST_MODE_TO)[1]


def marked(content: bytes, to: str) -> bytes:
    head, end, body = content.partition(b"\r\n\r\n")
    head = TO.sub(b"To: " + to.encode(), head, count=1)
    head = SUBJECT.sub(b"Subject: " + MARK.encode(), head, count=1)
    return head + end + body


def marked_letter(letter: Letter, to: str) -> Letter:
    own = letter.own
    return replace(letter, own={**own, "To": to, "Subject": MARK + own["Subject"]})


def redirect_message(message: EmailMultiAlternatives) -> None:
    """Do the same to a single mail, as often as it is handed over."""
    message.to = [operator()]
    message.subject = MARK + message.subject.removeprefix(MARK)
