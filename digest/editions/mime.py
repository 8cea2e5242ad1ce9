"""Encode text for a mail: quoted-printable bodies and headers. Pure.

Every encoded piece starts at column 0 and ends with a line break, a hard or a soft one,
so pieces can be joined in any order. No encoded line starts with a dot, so the transport
need not dot-stuff; none starts with two dashes, so no text is taken for the delimiter of a
part.
"""

import re
import string
from base64 import b64encode
from collections.abc import Sequence
from email.headerregistry import Address
from email.utils import parseaddr
from functools import lru_cache

CRLF = b"\r\n"
SOFT_BREAK = b"=\r\n"
# RFC 2045 section 6.7: 76 columns with the soft break's "=".
WIDTH = 75
# RFC 5322 section 2.1.1.
HEADER_WIDTH = 78
# RFC 2047 section 5 (3): characters that need no encoding, even in a display name.
PLAIN = f"{string.ascii_letters}{string.digits}!*+-/".encode()
Q = [bytes([byte]) if byte in PLAIN else b"=%02X" % byte for byte in range(256)]
Q[ord(" ")] = b"_"
UNSAFE = re.compile(rb"[^\t -~]")  # beside "=" itself
# Not allowed at the start of a line: SMTP's end of a mail (RFC 5321 section 4.5.2),
# a MIME delimiter (RFC 2046 section 5.1.1), the separator of mails in an mbox.
GUARDED = re.compile(rb"\.|--|From ")
# For frames that were stored without a boundary of their own.
DOTS_ONLY = re.compile(rb"\.")
CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def quoted_printable(text: str, *, guarded: re.Pattern[bytes] = GUARDED) -> bytes:
    """Encode text with LF line ends as quoted-printable (RFC 2045); end with a line break.

    Where a line would start with a match of `guarded`, its first character is encoded.
    """
    *lines, last = text.split("\n")
    encoded = [wrapped(line, guarded) + CRLF for line in lines]
    if last:
        encoded.append(wrapped(last, guarded, soft_end=True) + SOFT_BREAK)
    return b"".join(encoded)


def escaped(match: re.Match[bytes]) -> bytes:
    return b"=%02X" % ord(match[0])


# A block says most of its lines again in each language and form.
@lru_cache(maxsize=512)
def wrapped(line: str, guarded: re.Pattern[bytes], *, soft_end: bool = False) -> bytes:
    """Encode one line, with soft breaks after at most 75 columns."""
    data = UNSAFE.sub(escaped, line.encode().replace(b"=", b"=3D"))
    if not soft_end and data.endswith((b" ", b"\t")):
        data = data[:-1] + b"=%02X" % data[-1]
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
    """Return a folded header for free text in any script, with its CRLF (RFC 2047).

    A word too long for a line is encoded, as only encoded words can be broken.
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
    """Encode by the shorter of Q and B (RFC 2047 section 4); split no character."""
    in_q = list(map(quoted, text))
    if 3 * sum(map(len, in_q)) <= 4 * len(text.encode()):
        chunks = chunked(in_q, room - len("=?utf-8?q??="))
        return [f"=?utf-8?q?{chunk.decode()}?=" for chunk in chunks]
    chunks = chunked(list(map(str.encode, text)), (room - len("=?utf-8?b??=")) // 4 * 3)
    return [f"=?utf-8?b?{b64encode(chunk).decode()}?=" for chunk in chunks]


@lru_cache(maxsize=1024)
def quoted(character: str) -> bytes:
    return b"".join([Q[byte] for byte in character.encode()])


def chunked(pieces: Sequence[bytes], most: int) -> list[bytes]:
    """Join whole pieces into as few chunks of at most `most` bytes as possible."""
    chunks, chunk = [], b""
    for piece in pieces:
        if len(chunk) + len(piece) > most:
            chunks.append(chunk)
            chunk = b""
        chunk += piece
    return [*chunks, chunk]


def mailbox(name: str, text: str) -> bytes:
    """Return a header that names one mailbox, with its CRLF; the name in any script.

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
    """Return `Name: words token`, folded before the token if that makes the line fit."""
    last = f"{name}: {words}".rpartition("\r\n")[2]
    space = " " if len(last) + 1 + len(token) <= HEADER_WIDTH else "\r\n "
    return f"{name}: {words}{space}{token}\r\n".encode("ascii")
