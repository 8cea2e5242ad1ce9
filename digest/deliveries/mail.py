"""What is handed over: one mail for one reader, composed when its turn comes."""

from collections.abc import Callable
from typing import NamedTuple

from digest.editions.bodies import Letter


class Mail(NamedTuple):
    """An envelope, and how to compose what is in it.

    `compose` gives the mail: CRLF line ends, no body line that starts with a dot. It is
    called once, just before the bytes leave, so that a connection has one in memory.
    `letter` gives the same mail in parts, for providers' APIs; SMTP needs none.
    """

    delivery_id: int
    sender: str
    recipient: str
    compose: Callable[[], bytes]
    letter: Callable[[], Letter] | None = None
