"""Check a mail of ours, from its raw bytes alone.

Bytes and headers are checked against RFC 5321, 5322, 2045 to 2047, 2369, 2919, 8058 and
Gmail's rules for bulk senders (https://support.google.com/mail/answer/81126); the parts
against the markup that all mail programs render alike.
"""

import quopri
import re
from dataclasses import dataclass
from email.header import decode_header
from email.utils import getaddresses, parsedate_to_datetime
from html.parser import HTMLParser

from digest.ops.gallery.accessibility import accessibility

ONCE = ["From", "To", "Subject", "Date", "Message-ID", "MIME-Version", "Auto-Submitted"]
ONCE_BULK = [
    *ONCE,
    "List-Id",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
    "Feedback-ID",
    "Precedence",
]
NEVER_TWICE = {"cc", "bcc", "reply-to", "sender", "content-type", "references"}
MOST_HTML = 95_000
MOST_BYTES = 200_000
SHAPES = {
    "message-id": r"<[!-;=?-~]+@[a-z0-9.\[\]:-]+>",
    "list-unsubscribe": r"<https?://[^\s<>]+>(?:, <mailto:[^\s<>]+>)?",
    "list-unsubscribe-post": r"List-Unsubscribe=One-Click",
    "list-id": r"[^<>]+ ?<[a-z0-9.:\[\]-]+>",
    "feedback-id": r"[\w-]+:[\w-]+:[\w-]+:[\w-]{5,15}",
    "auto-submitted": r"auto-generated",
    "precedence": r"bulk",
    "mime-version": r"1\.0",
}
ENCODED_WORD = re.compile(r"=\?[^?\s]+\?[bqBQ]\?[^?\s]*\?=")
LINK = re.compile(r"https?://[^\s<>\"]+")
FIELD_NAME = re.compile(r"^[!-9;-~]+: ?")


@dataclass(frozen=True, slots=True)
class Parts:
    """Both parts of a mail, as sent and decoded."""

    text: str
    html: str
    html_bytes: int


def lint(raw: bytes, *, postal_address: str = "") -> list[str]:
    """Return the findings, one line each; empty for a correct mail."""
    head, _, body = raw.partition(b"\r\n\r\n")
    found = wire(raw, body)
    fields = unfolded(head.decode("latin-1"))
    if "list-id" in dict(fields) and re.search(rb"(?:^|\n)\.", body):
        found.append("a body line starts with a dot: our transport does no dot-stuffing")
    found += header_lines(head.decode("latin-1")) + headers(fields)
    parts, trouble = split(fields, body)
    found += trouble
    if parts:
        found += markup(parts) + plain(parts) + both(parts, fields, postal_address)
    return found


def wire(raw: bytes, body: bytes) -> list[str]:
    """Check the octets: 7-bit, CRLF, short lines, no false end of the mail."""
    checks = [
        (len(raw) > MOST_BYTES, f"{len(raw)} bytes are more than {MOST_BYTES}"),
        (not raw.isascii(), "not 7-bit"),
        (b"\0" in raw, "a NUL"),
        (re.search(rb"[^\r]\n|\r[^\n]|\r\Z", raw) is not None, "a bare CR or LF"),
        (not raw.endswith(b"\r\n"), "no line break at the end"),
        (max(map(len, body.split(b"\r\n"))) > 76, "a body line has more than 76 octets"),
    ]
    return [words for wrong, words in checks if wrong]


def unfolded(head: str) -> list[tuple[str, str]]:
    """Return (name in lower case, unfolded value) pairs."""
    lines = re.sub(r"\r\n[ \t]+", " ", head).split("\r\n")
    pairs = [line.partition(":") for line in lines]
    return [(name.lower(), value.strip()) for name, _, value in pairs]


def header_lines(head: str) -> list[str]:
    found = []
    for line in head.split("\r\n"):
        if not re.match(r"[!-9;-~]+:( |$)|[ \t]+\S", line):
            found.append(f"no header line: {line[:40]!r}")
        if re.match(r"(list-|message-id)[a-z-]*:\s*$", line, re.IGNORECASE):
            found.append(f"nothing in the first line of {line[:40]!r}")
        words = FIELD_NAME.sub("", line).split()
        if len(line) > 998 or (len(line) > 78 and len(words) > 1):
            found.append(f"a header line of {len(line)} octets: {line[:40]!r}")
    return found


def headers(fields: list[tuple[str, str]]) -> list[str]:
    names = [name for name, _ in fields]
    values = dict(fields)
    required = ONCE_BULK if "list-id" in values else ONCE
    found = [
        f"{names.count(name.lower())} times {name}"
        for name in required
        if names.count(name.lower()) != 1
    ]
    found += [f"{name} twice" for name in NEVER_TWICE if names.count(name) > 1]
    for name, shape in SHAPES.items():
        if name in values and not re.fullmatch(shape, values[name], re.ASCII):
            found.append(f"{name} is {values[name][:60]!r}")
    for name in ("from", "to"):
        if len(getaddresses([values.get(name, "")])) != 1:
            found.append(f"{name} names not exactly one address")
    try:
        parsedate_to_datetime(values.get("date", ""))
    except ValueError:
        found.append("the date is none")
    domains = [
        values.get(name, "").rpartition("@")[2].strip("<> ")
        for name in ("from", "message-id")
    ]
    if domains[0] != domains[1]:
        found.append("Message-ID is not of the sending domain")
    return found + [fault for _, value in fields for fault in encoded_words(value)]


def encoded_words(value: str) -> list[str]:
    """Check encoded words (RFC 2047): 75 characters at most, no character split."""
    found = []
    for word in ENCODED_WORD.findall(value):
        if len(word) > 75:
            found.append(f"an encoded word of {len(word)} characters")
        for data, charset in decode_header(word):
            try:
                data.decode(charset or "ascii") if isinstance(data, bytes) else data
            except (UnicodeDecodeError, LookupError):
                found.append(f"an encoded word that can't be read: {word}")
    return found


def split(fields: list[tuple[str, str]], body: bytes) -> tuple[Parts | None, list[str]]:
    """Split multipart/alternative into its text and HTML, both UTF-8; return findings.

    The parts must be quoted-printable, or 7-bit ASCII.
    """
    kind = dict(fields).get("content-type", "")
    boundary = re.fullmatch(r'multipart/alternative; boundary="([^"]+)"', kind)
    if not boundary:
        return None, [f"not multipart/alternative but {kind[:60]!r}"]
    line = b"--" + boundary[1].encode()
    pieces = re.split(rb"(?:^|\r\n)" + re.escape(line) + rb"(?:--)?\r\n", body)
    if len(pieces) != 4 or pieces[0].strip() or pieces[3].strip():
        return None, [f"{len(pieces) - 2} parts"]
    decoded, found = [], []
    if len(re.findall(rb"(?m)^--", body)) != 3:
        found.append("a body line starts as a delimiter of parts does")
    for subtype, piece in zip(("plain", "html"), pieces[1:3], strict=True):
        head, _, content = piece.partition(b"\r\n\r\n")
        of_part = dict(unfolded(head.decode("latin-1")))
        charset = rf'text/{subtype}; charset="?utf-8"?'
        if not re.fullmatch(charset, of_part.get("content-type", "")):
            found.append(f"a part's type is {of_part.get('content-type')!r}")
        if of_part.get("content-transfer-encoding") not in {"quoted-printable", "7bit"}:
            found.append(f"the {subtype} part is neither quoted-printable nor 7bit")
        encoded = of_part.get("content-transfer-encoding") == "quoted-printable"
        try:
            decoded.append((quopri.decodestring(content) if encoded else content).decode())
        except UnicodeDecodeError:
            return None, [*found, f"the {subtype} part is not UTF-8"]
    text, html = (part.replace("\r\n", "\n") for part in decoded)
    return Parts(text, html, len(pieces[2])), found


class Reading(HTMLParser):
    """A parser that collects tags and links, and finds markup not allowed in mails."""

    ALLOWED = frozenset(
        ("html", "head", "meta", "title", "style", "body", "table", "tbody", "tr", "td")
        + ("div", "p", "h1", "h2", "ul", "ol", "li", "a", "br", "hr", "span")
        + ("strong", "em", "blockquote")
    )

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.links: list[str] = []
        self.tags: dict[str, dict[str, str]] = {}
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.tags.setdefault(tag, values)
        if tag not in self.ALLOWED:
            self.found.append(f"an element {tag}")
        self.found += [f"an attribute {name}" for name in values if name.startswith("on")]
        if re.search(r"url\(|expression|display: ?none|@import", values.get("style", "")):
            self.found.append(f"a style {values['style'][:60]!r}")
        if "href" in values:
            self.links.append(values["href"])
            if not re.match(r"https?://[^/]|mailto:.", values["href"]):
                self.found.append(f"a link to {values['href'][:60]!r}")

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def read(html: str) -> Reading:
    reading = Reading()
    reading.feed(html)
    reading.close()
    return reading


def markup(parts: Parts) -> list[str]:
    reading = read(parts.html)
    checks = [
        (parts.html_bytes > MOST_HTML, f"the HTML part has {parts.html_bytes} bytes"),
        (not parts.html.lower().startswith("<!doctype html>"), "no doctype"),
        ("title" not in reading.tags, "no title"),
        ("viewport" not in parts.html, "no viewport"),
    ]
    found = reading.found + [words for wrong, words in checks if wrong]
    return found + accessibility(parts.html)


def plain(parts: Parts) -> list[str]:
    long = [
        line
        for line in parts.text.split("\n")
        if len(line) > 78 and " " in line.strip() and not LINK.search(line)
    ]
    return [f"a text line of {len(line)} characters: {line[:40]!r}" for line in long]


def both(parts: Parts, fields: list[tuple[str, str]], postal_address: str) -> list[str]:
    """Check the content that both parts must have: links, unsubscribe link, address."""
    reading = read(parts.html)
    pages = [link for link in reading.links if not link.startswith("mailto:")]
    links = {link.rstrip("/.,;:)") for link in pages}
    texts = {link.rstrip("/.,;:)") for link in LINK.findall(parts.text)}
    words = " ".join(reading.words)
    # An address in an abstract is text in both parts.
    apart = links - texts | {link for link in texts - links if link not in words}
    found = [f"a link in one part only: {link[:60]}" for link in sorted(apart)]
    way_out = dict(fields).get("list-unsubscribe", "").partition(",")[0].strip("<>")
    if way_out and way_out not in links & texts:
        found.append("the way out is not in both parts")
    for name, part in (("text", parts.text), ("HTML", words)):
        if re.search("[\ufdd0-\ufdef\ufffd]", part):
            found.append(f"a mark is left in the {name} part")
        if " ".join(postal_address.split()) not in " ".join(part.split()):
            found.append(f"no postal address in the {name} part")
    return found
