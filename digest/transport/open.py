"""The transport that settings.MAILER_URL names.

A transport is given a group of mails whose intents are committed and yields an outcome
for each, as it becomes known; it never raises for what a server does.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import batched
from queue import SimpleQueue

from django.conf import settings

from digest.endpoints import ProviderApi, SmtpServer, mailer
from digest.transport.base import Mail, Transport
from digest.transport.esp import Provider
from digest.transport.outcomes import Outcome
from digest.transport.postmark_batch import PostmarkBatch
from digest.transport.smtp import Smtp


class Fan:
    """Several of a provider's clients side by side: what each waits for overlaps."""

    def __init__(self, connections: Sequence[Transport]) -> None:
        self.connections = connections
        self.threads = ThreadPoolExecutor(len(connections), thread_name_prefix="send")

    def hand_over(self, mails: Sequence[Mail]) -> Iterator[tuple[int, Outcome]]:
        known: SimpleQueue[tuple[tuple[int, Outcome], ...]] = SimpleQueue()
        shares = [
            mails[place :: len(self.connections)] for place in range(len(self.connections))
        ]

        def run(connection: Transport, share: Sequence[Mail]) -> None:
            try:
                # In handfuls: each wakes the thread that collects them.
                for results in batched(connection.hand_over(share), 16, strict=False):
                    known.put(results)
            finally:
                known.put(())

        pairs = [pair for pair in zip(self.connections, shares, strict=True) if pair[1]]
        running = [self.threads.submit(run, *pair) for pair in pairs]
        for _ in running:
            while results := known.get():
                yield from results
        for future in running:
            future.result()

    def close(self) -> None:
        self.threads.shutdown()
        for connection in self.connections:
            connection.close()


def open_transport() -> Transport:
    """Connects at the first hand-over, and again after a lost connection."""
    if settings.PROVIDER_BATCH:
        return PostmarkBatch()
    match mailer(settings.MAILER_URL):
        case SmtpServer() as server:
            return Smtp(server, connections=settings.SEND_CONNECTIONS)
        case ProviderApi():
            providers = [Provider() for _ in range(settings.SEND_CONNECTIONS)]
            return providers[0] if len(providers) == 1 else Fan(providers)
