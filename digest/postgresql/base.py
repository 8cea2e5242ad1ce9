"""The backend, in the file where Django looks for it (ENGINE).

A server that refuses says so at once. One that is silent, as its machine or the network is gone
without a word, is noticed by TCP after half a minute, and not at all behind a pool that still
answers. All threads of a web server would wait for it, and the visitors in a queue behind them.

So where the entry of DATABASES has PATIENCE, in seconds, a server that says nothing for so long
is asked over a connection of its own whether it is there. A slow statement goes on. A silent
server is left alone for a while, in which whoever needs it fails at once and does not wait.
Without PATIENCE everything is as Django has it.
"""

import logging
import time
from collections import defaultdict
from collections.abc import Generator
from contextlib import closing
from functools import partial
from typing import Any

from django.db.backends.postgresql import base
from psycopg import Connection, Error, OperationalError
from psycopg.errors import ConnectionTimeout, _WaitTimeout

from digest.rest import Rest

logger = logging.getLogger(__name__)

REST = 3.0  # seconds
AT_ONCE = 1.0  # seconds, for an answer that costs the server nothing
LONGEST = 65.0  # seconds for a statement, which the server itself ends after 60

# Of this process, by alias.
rests: defaultdict[str, Rest] = defaultdict(lambda: Rest(REST))


class Silent(OperationalError):
    """The server says nothing. Whether it did what it was asked is unknown."""

    is_told = True  # in one line, so that the log needs no traceback of each request


class DatabaseWrapper(base.DatabaseWrapper):
    is_checking = False  # whether a kept connection is still good

    @property
    def patience(self) -> float | None:
        found: float | None = self.settings_dict.get("PATIENCE")
        return found

    def connect(self) -> None:
        """Connect. Raises Silent, at once while the server is left alone."""
        if self.patience and not rests[self.alias].may_be_asked():
            raise Silent("it did not answer a moment ago")
        try:
            super().connect()
        except ConnectionTimeout:
            self.leave_alone()
            raise

    def get_new_connection(self, conn_params: dict[str, Any]) -> Connection[Any]:
        made: Connection[Any] = super().get_new_connection(conn_params)
        if self.patience:
            made.wait = partial(self.wait, made, self.patience)  # type: ignore[method-assign]
        return made

    def is_usable(self) -> bool:
        self.is_checking = True
        try:
            return bool(super().is_usable())
        finally:
            self.is_checking = False

    def wait(
        self, waiting: Connection[Any], patience: float, exchange: Generator[Any, Any, Any]
    ) -> Any:
        """Return the server's answer, as psycopg's own method does. Raises Silent."""
        end = time.monotonic() + (AT_ONCE if self.is_checking else LONGEST)
        while True:
            left = end - time.monotonic()
            try:
                answer = Connection.wait(waiting, exchange, timeout=min(patience, left))
            except _WaitTimeout:
                if time.monotonic() < end and self.is_there():
                    continue
                waiting.close()
                raise Silent("it does not answer") from None
            if rests[self.alias].end():
                logger.info("the %s answers again", self.name)
            return answer

    def is_there(self) -> bool:
        """Return whether the server answers another connection; leave it alone if not."""
        if rests[self.alias].is_out:
            return False
        try:
            with closing(self.Database.connect(**self.get_connection_params())) as another:
                another.wait = partial(Connection.wait, another, timeout=AT_ONCE)
                another.execute("SELECT 1")
        except (ConnectionTimeout, _WaitTimeout):
            self.leave_alone()
            return False
        except Error:
            return False
        return True

    def leave_alone(self) -> None:
        if self.patience and rests[self.alias].begin():
            logger.warning(
                "the %s does not answer: it is left alone for a while", self.name
            )

    @property
    def name(self) -> str:
        return "database" if self.alias == "default" else self.alias
