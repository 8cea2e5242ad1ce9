"""The transport that settings.MAILER_URL names.

A transport is given a group of mails whose intents are committed and yields an outcome
for each, as it becomes known; it never raises for what a server does.
"""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import batched
from queue import SimpleQueue
from threading import Lock

from django.conf import settings

from digest.endpoints import ProviderApi, SmtpServer, mailer
from digest.transport.base import Mail, Transport
from digest.transport.esp import Provider
from digest.transport.line import Line, line_of
from digest.transport.outcomes import Outcome
from digest.transport.postmark_batch import PostmarkBatch
from digest.transport.smtp import Smtp

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
                line.mails.clear()
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


def open_transport() -> Transport:
    """Return the transport; it connects at the first hand-over and after a loss."""
    if settings.PROVIDER_BATCH:
        return PostmarkBatch()
    match mailer(settings.MAILER_URL):
        case SmtpServer() as server:
            return Smtp(server, connections=settings.SEND_CONNECTIONS)
        case ProviderApi():
            providers = [Provider() for _ in range(settings.SEND_CONNECTIONS)]
            return providers[0] if len(providers) == 1 else Fan(providers)
