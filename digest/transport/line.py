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
    """Mails whose intents are committed; those that nobody wants any more drop out.

    What is not fresh any more is looked at again before the next mail is taken, so that a
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
        """The next mail, to be begun at once; None when there is none left."""
        if self.mails and self.look and not self.fresh:
            self.looked_at = time.monotonic()
            waiting = {mail.delivery_id for mail in self.mails}
            self.dropped |= waiting - set(self.look(waiting))
            rest = (mail for mail in self.mails if mail.delivery_id not in self.dropped)
            self.mails = deque(rest)
        return self.mails.popleft() if self.mails else None

    def put_back(self, mail: Mail) -> None:
        """First in line again: the server has not answered to its envelope."""
        self.mails.appendleft(mail)

    def drain(self) -> Iterator[Mail]:
        """What is left, without another look: none of it will begin."""
        while self.mails:
            yield self.mails.popleft()


def line_of(mails: Iterable[Mail]) -> Line:
    """The line itself, or one of these mails that nobody looks at again."""
    return mails if isinstance(mails, Line) else Line(mails)
