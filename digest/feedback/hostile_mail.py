"""Parse a mail that anybody may have written, in time that is bounded by its size.

The standard library's parser compares each line with the boundary of each multipart around it,
and makes an object of each part; and it reads a header's parameters in time quadratic in their
length. A mail of 20 KB could so take a minute, and one of a few megabytes hours.
"""

import re
from email import message_from_bytes
from email.message import Message
from typing import Any

# Looks at a line: 5 MB of base64 in four multiparts take a third of it.
MOST_WORK = 2_000_000
PART = 100  # looks at a line that one more part costs
MOST_VALUE = 2000  # characters of a header's value
# As a parameter of a header (RFC 2046), in pieces or in a charset as well (RFC 2231).
BOUNDARY = re.compile(rb"boundary[*0-9]*[ \t\r\n]*=", re.IGNORECASE)


class Unreadable(ValueError):
    """No mail server's work, and not parsed; the message says why."""


class Mail(Message):
    """A mail or a part of one, of whose headers the beginning is read."""

    def get(self, name: str, failobj: Any = None) -> Any:
        found = super().get(name)
        return failobj if found is None else str(found)[:MOST_VALUE]


def parsed[M: Mail](raw: bytes, kind: type[M]) -> M:
    """Return the mail, in objects of that class.

    Raises Unreadable.
    """
    lines = raw.count(b"\n") + raw.count(b"\r")
    delimiters = raw.count(b"\n--") + raw.count(b"\r--")
    around = len(BOUNDARY.findall(raw)) + 1
    if lines * around + PART * delimiters > MOST_WORK:
        raise Unreadable("it has too many parts")
    try:
        return message_from_bytes(raw, kind)
    except RecursionError:
        raise Unreadable("it has parts in parts in parts") from None
    except TypeError:  # the library's own error at "a*=x; a*0=y" (RFC 2231)
        raise Unreadable("a header is garbled") from None
