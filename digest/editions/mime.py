"""Text as it travels in a mail: quoted-printable and headers. Pure.

Every encoded piece starts at column 0 and ends with a line break, a hard or a soft one,
so pieces made once can be joined in any order. No encoded line starts with a dot, so
the transport has nothing to stuff; none starts with two dashes, so no text is taken for
the delimiter of a part.
"""

import re
import string
from base64 import b64encode
from collections.abc import Sequence
from email.headerregistry import Address
from email.utils import parseaddr

CRLF = b"\r\n"
SOFT_BREAK = b"=\r\n"
# RFC 2045 section 6.7: 76 columns with the soft break's "=".
WIDTH = 75
# RFC 5322 section 2.1.1.
HEADER_WIDTH = 78
# RFC 2047 section 5 (3): what may stand for itself in a name, too.
PLAIN = f"{string.ascii_letters}{string.digits}!*+-/".encode()
Q = [bytes([byte]) if byte in PLAIN else b"=%02X" % byte for byte in range(256)]
Q[ord(" ")] = b"_"
UNSAFE = re.compile(rb"[^\t -<>-~]")
TRAILING_SPACE = re.compile(rb"[\t ]$")
# What may not stand at the start of a line: SMTP's end of a mail (RFC 5321 section 4.5.2),
# a MIME delimiter (RFC 2046 section 5.1.1), the separator of mails in an mbox.
GUARDED = re.compile(rb"\.|--|From ")
# As in the mails of frames that were kept without a boundary of their own.
DOTS_ONLY = re.compile(rb"\.")
CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def quoted_printable(text: str, *, guarded: re.Pattern[bytes] = GUARDED) -> bytes:
    """RFC 2045 quoted-printable of text with LF line ends; ends with a line break.

    A line that would start with what is `guarded` starts with its first character encoded.
    """
    *lines, last = text.split("\n")
    encoded = [wrapped(line, guarded) + CRLF for line in lines]
    if last:
        encoded.append(wrapped(last, guarded, soft_end=True) + SOFT_BREAK)
    return b"".join(encoded)


def escaped(match: re.Match[bytes]) -> bytes:
    return b"=%02X" % ord(match[0])


def wrapped(line: str, guarded: re.Pattern[bytes], *, soft_end: bool = False) -> bytes:
    """One line, encoded and broken softly into at most 75 columns and the '='."""
    data = UNSAFE.sub(escaped, line.encode())
    if not soft_end:
        data = TRAILING_SPACE.sub(escaped, data)
    pieces = []
    start = 0
    while True:
        guard = guarded.match(data, start)
        end = start + (WIDTH - 2 if guard else WIDTH)
        if end < len(data):  # never cut inside =XX
            cut = data.rfind(b"=", end - 2, end)
            end = cut if cut >= 0 else end
        piece = data[start:end]
        pieces.append(b"=%02X" % piece[0] + piece[1:] if guard else piece)
        start = end
        if start >= len(data):
            return SOFT_BREAK.join(pieces)


def header(name: str, value: str) -> bytes:
    """One header line for free text in any script, folded, with its CRLF (RFC 2047).

    A word too long for a line goes encoded, as only encoded words can be broken.
    """
    value = CONTROLS.sub(" ", value)
    words = value.split()
    room = HEADER_WIDTH - len(name) - len(": ")
    if not value.isascii() or "=?" in value or max(map(len, words), default=0) > room - 9:
        words = encoded_words(" ".join(words), room)
    lines, line = [], f"{name}:"
    for word in words:
        if len(line) + 1 + len(word) > HEADER_WIDTH:
            lines.append(line)
            line = ""
        line = f"{line} {word}"
    return "\r\n".join([*lines, f"{line}\r\n"]).encode("ascii")


def encoded_words(text: str, room: int) -> list[str]:
    """RFC 2047 section 4, by whichever of Q and B is shorter; no character is split."""
    characters = [character.encode() for character in text]
    in_q = [b"".join(map(Q.__getitem__, character)) for character in characters]
    if 3 * sum(map(len, in_q)) <= 4 * sum(map(len, characters)):
        chunks = chunked(in_q, room - len("=?utf-8?q??="))
        return [f"=?utf-8?q?{chunk.decode()}?=" for chunk in chunks]
    chunks = chunked(characters, (room - len("=?utf-8?b??=")) // 4 * 3)
    return [f"=?utf-8?b?{b64encode(chunk).decode()}?=" for chunk in chunks]


def chunked(pieces: Sequence[bytes], most: int) -> list[bytes]:
    """The pieces joined, in as few chunks of at most so many bytes as keep them whole."""
    chunks, chunk = [], b""
    for piece in pieces:
        if len(chunk) + len(piece) > most:
            chunks.append(chunk)
            chunk = b""
        chunk += piece
    return [*chunks, chunk]


def mailbox(name: str, text: str) -> bytes:
    """A header that names one mailbox, with its CRLF; the display name in any script.

    Folded between name and address where the line would be too long.
    """
    display, spec = parseaddr(text)
    if not display:
        return f"{name}: {spec}\r\n".encode("ascii")
    if display.isascii() and "=?" not in display:
        shown = str(Address(CONTROLS.sub(" ", display), addr_spec=spec))
        written = shown.removesuffix(f" <{spec}>")
    else:
        encoded = header(name, display).decode().removesuffix("\r\n")
        written = encoded.removeprefix(f"{name}: ")
    return folded_pair(name, written, f"<{spec}>")


def folded_pair(name: str, words: str, token: str) -> bytes:
    """`Name: words token`, folded before the token if that makes the line fit."""
    last = f"{name}: {words}".rpartition("\r\n")[2]
    space = " " if len(last) + 1 + len(token) <= HEADER_WIDTH else "\r\n "
    return f"{name}: {words}{space}{token}\r\n".encode("ascii")
