"""SMTP on a few persistent connections: while one waits for a reply, the others go on.

All of them are in one thread, but for their opening, and take mails from one line.
"""

import select
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

from digest.endpoints import SmtpServer
from digest.transport.base import Mail
from digest.transport.line import line_of
from digest.transport.outcomes import NOT_TRIED, Outcome
from digest.transport.smtp_connection import Connection, Work

# So late at most is seen that a server has been silent for too long.
POLL_SECONDS = 1.0


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
        """One transaction a mail; lost connections are opened anew for what is left.

        When none can be opened, the rest is not tried.
        """
        line = line_of(mails)
        while line and (connections := self.opened(len(line))):
            yield from side_by_side({one: one.work(line) for one in connections})
        for mail in line.drain():
            yield mail.delivery_id, self.unreachable or NOT_TRIED
            self.unreachable = None

    def opened(self, most: int) -> list[Connection]:
        """Connections with a session, opened in threads: greeting, TLS and AUTH take some
        round trips each. A server that takes fewer is asked for no more by this sender."""
        self.connections.sort(key=lambda one: one.session is None)
        wanted = self.connections[:most]
        if closed := [one for one in wanted if one.session is None]:
            with ThreadPoolExecutor(len(closed)) as threads:
                said = list(threads.map(Connection.open, closed))
            self.unreachable = next(filter(None, said), None)
        if found := [one for one in wanted if one.session]:
            self.connections = [
                one for one in self.connections if one not in closed or one.session
            ]
        return found

    def close(self) -> None:
        for connection in self.connections:
            connection.close()


def side_by_side(work: dict[Connection, Work]) -> Iterator[tuple[int, Outcome]]:
    """Let each go on whenever its server has said something, to the end of all."""
    ready = list(work)
    while work:
        for connection in ready:
            for said in work[connection]:
                if said is None:
                    break
                yield said
            else:
                del work[connection]
        ready = answered(work)


def answered(waiting: Iterable[Connection]) -> list[Connection]:
    """Wait; those whose server has said something, or nothing for too long."""
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
