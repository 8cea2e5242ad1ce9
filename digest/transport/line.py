"""The line of mails that wait for a connection, each taken right before its hand-over begins."""

import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator

from digest.transport.base import Mail

# Seconds that one look is good for. A fast line sends a submit group in less; a look costs
# a thousandth of a second.
FRESH = 0.2

# Which of these deliveries may still be handed over.
Look = Callable[[Collection[int]], Collection[int]]


class Line:
    """Mails whose intents are committed; those that are no longer wanted drop out.

    If the last look is too old, the rest is looked at again before the next mail is taken, so that a
    reader who leaves while the line turns slow gets no mail that has not begun. What was
    never taken had no byte leave the machine.
    """

    def __init__(self, mails: Iterable[Mail], look: Look | None = None) -> None:
        self.mails = deque(mails)
        self.look = look
        self.dropped: set[int] = set()  # deliveries that nobody wanted when looked at
        self.looked_at = time.monotonic()

    def __len__(self) -> int:
        return len(self.mails)

    def __iter__(self) -> Iterator[Mail]:
        """Take one mail after the other."""
        while mail := self.take():
            yield mail

    @property
    def fresh(self) -> bool:
        return self.look is None or time.monotonic() - self.looked_at < FRESH

    def take(self) -> Mail | None:
        """Return the next mail, to be begun at once; None if none is left."""
        if self.mails and self.look and not self.fresh:
            self.looked_at = time.monotonic()
            waiting = {mail.delivery_id for mail in self.mails}
            self.dropped |= waiting - set(self.look(waiting))
            rest = (mail for mail in self.mails if mail.delivery_id not in self.dropped)
            self.mails = deque(rest)
        return self.mails.popleft() if self.mails else None

    def put_back(self, mail: Mail) -> None:
        """Put the mail first in line: the server has not answered to its envelope."""
        self.mails.appendleft(mail)

    def drain(self) -> Iterator[Mail]:
        """Yield what is left, without another look: none of it will begin."""
        while self.mails:
            yield self.mails.popleft()


def line_of(mails: Iterable[Mail]) -> Line:
    """Return the line itself, or a new one of these mails without a look."""
    return mails if isinstance(mails, Line) else Line(mails)
