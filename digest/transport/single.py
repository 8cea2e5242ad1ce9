"""Hand over one single mail with the SMTP client and the judge of failures of the digests.

A Django message goes out by the backend that MAILERS names. Where that is SMTP, our own
client takes its place: it knows how far a hand-over had come, and smtplib does not.
"""

import re

import requests
from anymail.exceptions import AnymailError
from django.core.mail import EmailMultiAlternatives, mailers
from django.core.mail.backends.base import BaseEmailBackend
from django.core.mail.backends.smtp import EmailBackend

from digest.endpoints import SmtpServer, Tls
from digest.transport.base import Mail
from digest.transport.esp import of_sent
from digest.transport.esp_errors import of_error
from digest.transport.line import Line
from digest.transport.outcomes import Outcome, put_back
from digest.transport.smtp import Connection, run_all

DOT_STUFFED = re.compile(rb"^\.", re.MULTILINE)


class SingleMail:
    """A connection for single mails. It knows of no other mail, so a suspect reply counts as ours."""

    def __init__(self) -> None:
        self.backend: BaseEmailBackend = mailers["default"]
        self.connection: Connection | None = None
        if isinstance(self.backend, EmailBackend):
            self.connection = Connection(server_of(self.backend), may_pipeline=True)

    def open(self) -> Outcome | None:
        """Open a session (blocking). Return None, or the Outcome explaining the failure."""
        return self.connection.open() if self.connection else None

    def hand_over(self, message: EmailMultiAlternatives) -> Outcome:
        """Hand over a message to one recipient. Raises errors that are not the mail server's."""
        judged = self.by_smtp(message) if self.connection else self.by_api(message)
        return put_back(judged) if judged.suspect else judged

    def by_smtp(self, message: EmailMultiAlternatives) -> Outcome:
        assert self.connection and isinstance(self.backend, EmailBackend)  # noqa: S101
        address = self.backend.prep_address
        content = DOT_STUFFED.sub(b"..", message.message().as_bytes())
        mail = Mail(0, address(message.from_email), address(message.to[0]), lambda: content)
        work = {self.connection: self.connection.work(Line([mail]))}
        return dict(run_all(work))[0]

    def by_api(self, message: EmailMultiAlternatives) -> Outcome:
        try:
            self.backend.send_messages([message])
        except (AnymailError, requests.RequestException) as error:
            return of_error(error)
        return of_sent(message)

    def close(self) -> None:
        if self.connection:
            self.connection.close()
        else:
            self.backend.close()


def server_of(backend: EmailBackend) -> SmtpServer:
    tls = Tls.NONE
    if backend.use_ssl or backend.use_tls:
        tls = Tls.IMPLICIT if backend.use_ssl else Tls.STARTTLS
    user, password = backend.username or "", backend.password or ""
    return SmtpServer(str(backend.host), int(backend.port), tls, user, password)
