"""The transport of a relay, and that of single mails.

A transport is given a group of mails whose intents are committed and yields an outcome
for each, as it becomes known; it never raises for what a server does.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import batched
from queue import SimpleQueue
from threading import Lock

import requests
from anymail.exceptions import AnymailError
from django.conf import settings
from django.core.mail import EmailMultiAlternatives, mailers
from django.core.mail.backends.base import BaseEmailBackend
from django.core.mail.backends.smtp import EmailBackend

from digest.endpoints import ProviderApi, SmtpServer, Tls
from digest.transport import relays
from digest.transport.base import Line, Mail, Transport, line_of
from digest.transport.esp import Provider, of_error, of_sent
from digest.transport.outcomes import Outcome, Verdict, put_back
from digest.transport.postmark_batch import PostmarkBatch
from digest.transport.relays import MAIN
from digest.transport.smtp import Connection, Smtp, run_all
from digest.transport.test_mode import Redirected, judged_of_operator, redirect_message

type Asked = Future[Mail | None]
# What a connection's thread says: outcomes, nothing more, or that it wants the next mail.
type Said = tuple[tuple[int, Outcome], ...] | Asked


class Fan:
    """Several of a provider's clients side by side: what each waits for overlaps."""

    def __init__(self, connections: Sequence[Transport]) -> None:
        self.connections = connections
        self.threads = ThreadPoolExecutor(len(connections), thread_name_prefix="send")

    def hand_over(self, mails: Iterable[Mail]) -> Iterator[tuple[int, Outcome]]:
        """Let all connections take from one line until nothing is left."""
        line, known, lock = line_of(mails), SimpleQueue[Said](), Lock()

        def pull() -> Iterator[Mail]:
            """Yield mails in a connection's thread; the main thread looks, as it has the database."""
            while True:
                asked: Asked = Future()
                with lock:
                    if line.fresh or not line:
                        asked.set_result(line.take())
                    else:
                        known.put(asked)
                if (mail := asked.result()) is None:
                    return
                yield mail

        def run(connection: Transport) -> None:
            try:
                # In handfuls: each wakes the thread that collects them.
                for results in batched(connection.hand_over(pull()), 16, strict=False):
                    known.put(results)
            finally:
                known.put(())

        wanted = self.connections[: len(line)]
        running = [self.threads.submit(run, connection) for connection in wanted]
        try:
            for _ in running:
                while said := known.get():
                    if isinstance(said, Future):
                        with lock:
                            give_next(said, line)
                    else:
                        yield from said
        finally:  # even if we are interrupted, no thread waits for an answer
            with lock:
                line.stop()
            while not known.empty():
                if isinstance(said := known.get(), Future) and not said.done():
                    said.set_result(None)
        for future in running:
            future.result()

    def close(self) -> None:
        self.threads.shutdown()
        for connection in self.connections:
            connection.close()


def give_next(asked: Asked, line: Line) -> None:
    """Give the next mail to the thread that asked; none if we are interrupted."""
    mail = None
    try:
        mail = line.take()
    finally:
        asked.set_result(mail)


def open_transport(relay: str = MAIN) -> Transport:
    """Return a relay's transport; it connects at the first hand-over and after a loss."""
    return Redirected(transport_of(relay)) if settings.TEST_MODE_TO else transport_of(relay)


def transport_of(relay: str) -> Transport:
    if relay == MAIN and settings.PROVIDER_BATCH:
        return PostmarkBatch()
    match relays.configured()[relay]:
        case SmtpServer() as server:
            return Smtp(server, connections=settings.SEND_CONNECTIONS)
        case ProviderApi():
            providers = [Provider() for _ in range(settings.SEND_CONNECTIONS)]
            return providers[0] if len(providers) == 1 else Fan(providers)


# -- single mails ------------------------------------------------------------------------

# They go out by the SMTP client and the judge of failures of the digests: a Django message
# goes by the backend that MAILERS names, and where that is SMTP, our own client takes its
# place, as it knows how far a hand-over had come, and smtplib does not.


DOT_STUFFED = re.compile(rb"^\.", re.MULTILINE)


class SingleMail:
    """A connection for single mails. It knows of no other mail, so a suspect reply counts as ours."""

    def __init__(self, relay: str = MAIN) -> None:
        self.relay = relay
        self.backend: BaseEmailBackend = mailers["default" if relay == MAIN else relay]
        self.connection: Connection | None = None
        if isinstance(self.backend, EmailBackend):
            self.connection = Connection(server_of(self.backend), may_pipeline=True)

    def open(self) -> Outcome | None:
        """Open a session (blocking). Return None, or the Outcome explaining the failure."""
        return self.connection.open() if self.connection else None

    def hand_over(self, message: EmailMultiAlternatives) -> Outcome:
        """Hand over a message to one recipient. Raises errors that are not the mail server's."""
        if settings.TEST_MODE_TO:
            redirect_message(message)
        judged = self.by_smtp(message) if self.connection else self.by_api(message)
        if settings.TEST_MODE_TO:
            judged = judged_of_operator(judged)
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


class SingleMails:
    """The relays for a batch of single mails; one that could not be used is not asked again."""

    def __init__(self) -> None:
        self.ill: dict[str, Outcome] = {}

    def left(self) -> bool:
        return not self.ill.keys() >= relays.configured().keys()

    def open(self, recipient: str) -> SingleMail | Outcome:
        """Open a session (blocking) at the first relay that serves the recipient's domain.

        Return why the last of them cannot be used, if none is left.
        """
        serving = relays.serving(recipient.rpartition("@")[2].lower())
        for name in serving:
            if name not in self.ill:
                mailer = SingleMail(name)
                if not (closed := mailer.open()):
                    return mailer
                self.ill[name] = closed
        return self.ill[serving[-1]]

    def hand_over(self, message: EmailMultiAlternatives, mailer: SingleMail) -> Outcome:
        """Hand over by this one; by the next, after a no that is about us or the relay.

        What may have been taken goes by no other. Raises errors that are not the mail
        server's.
        """
        recipient, serving = message.to[0], mailer
        while True:
            try:
                outcome = serving.hand_over(message)
            finally:
                serving.close()
            if outcome.verdict is not Verdict.RETRY or outcome.charged:
                return outcome
            self.ill[serving.relay] = outcome
            following = self.open(recipient)
            if isinstance(following, Outcome):
                return outcome
            serving = following


def server_of(backend: EmailBackend) -> SmtpServer:
    tls = Tls.NONE
    if backend.use_ssl or backend.use_tls:
        tls = Tls.IMPLICIT if backend.use_ssl else Tls.STARTTLS
    user, password = backend.username or "", backend.password or ""
    return SmtpServer(str(backend.host), int(backend.port), tls, user, password)
