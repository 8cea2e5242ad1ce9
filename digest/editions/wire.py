"""Text as it travels in a mail: quoted-printable and headers. Pure.

Every encoded piece starts at column 0 and ends with a line break, a hard or a soft one,
so pieces made once can be joined in any order. No encoded line starts with a dot, so
the transport has nothing to stuff.
"""

import re
from email.header import Header
from email.utils import formataddr, parseaddr

CRLF = b"\r\n"
SOFT_BREAK = b"=\r\n"
# RFC 2045 section 6.7: 76 columns with the soft break's "=".
WIDTH = 75
UNSAFE = re.compile(rb"[^\t -<>-~]")
TRAILING_SPACE = re.compile(rb"[\t ]$")


def quoted_printable(text: str) -> bytes:
    """RFC 2045 quoted-printable of text with LF line ends; ends with a line break."""
    *lines, last = text.split("\n")
    encoded = [wrapped(line) + CRLF for line in lines]
    if last:
        encoded.append(wrapped(last, soft_end=True) + SOFT_BREAK)
    return b"".join(encoded)


def escaped(match: re.Match[bytes]) -> bytes:
    return b"=%02X" % ord(match[0])


def wrapped(line: str, *, soft_end: bool = False) -> bytes:
    """One line, encoded and broken softly into at most 75 columns and the '='."""
    data = UNSAFE.sub(escaped, line.encode())
    if not soft_end:
        data = TRAILING_SPACE.sub(escaped, data)
    pieces = []
    start = 0
    while True:
        dot = data[start : start + 1] == b"."
        room = WIDTH - 2 if dot else WIDTH
        end = start + room
        if end < len(data):  # never cut inside =XX
            cut = data.rfind(b"=", end - 2, end)
            end = cut if cut >= 0 else end
        piece = data[start:end]
        pieces.append(b"=2E" + piece[1:] if dot else piece)
        start = end
        if start >= len(data):
            return SOFT_BREAK.join(pieces)


def header(name: str, value: str) -> bytes:
    """One header line for free text in any script, folded, with its CRLF (RFC 2047)."""
    plain = value.isascii() and "=?" not in value
    charset = "us-ascii" if plain else "utf-8"
    folded = Header(value, charset, maxlinelen=76, header_name=name).encode(linesep="\r\n")
    return f"{name}: {folded}\r\n".encode("ascii")


def address(text: str) -> str:
    """A From value whose display name may be in any script."""
    return formataddr(parseaddr(text))
