"""Clean hostile text once, at ingest, so that later code can rely on it.

Cleaned text is one line in NFC of limited length, with single spaces: no control, bidi,
zero-width or tag characters, no lone surrogates, no line break of any kind; HTML's
entities are decoded and damaged LaTeX repaired where that is certain (see latex.py). It is
still hostile as markup: templates escape it. Everything here takes time linear in the
input and raises nothing, and cleaning a second time changes nothing.
"""

import re
import unicodedata
from html import unescape
from itertools import takewhile
from urllib.parse import urlsplit

from digest.papers.latex import is_plain, mend

TITLE_LIMIT = 500
ABSTRACT_LIMIT = 20_000
URL_LIMIT = 500

# Invisible or dangerous: C0/C1 controls that are no white space, soft hyphen, Arabic
# letter mark, zero-width, bidi and invisible operators, fillers, interlinear marks,
# musical controls, tags, further variation selectors, lone surrogates, non-characters.
REMOVED = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5"
    "\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0e\ufeff\uffa0"
    "\ufff0-\ufffb\ufffe\uffff\ufdd0-\ufdef\ud800-\udfff\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff]"
)
# Normalizing takes time quadratic in a run of combining marks, so runs are capped.
UNUSUAL_RUN = re.compile(r"[^\w\s\x00-\x7f]{9,}")
MARKS_IN_A_ROW = 8
# Only with its semicolon: AT&T and R&D are not entities.
ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
PASSES = 6
ELLIPSIS = "…"


def clean_line(text: str, limit: int = TITLE_LIMIT) -> str:
    """Return one clean line of at most `limit` characters, cut with an ellipsis."""
    plain = cut(normal(text), limit)
    if "&" not in plain and is_plain(plain):
        return plain
    mended = plain
    for _ in range(PASSES):
        before, mended = mended, normal(mend(ENTITY.sub(_character, mended)))
        if mended == before:
            return mended
    return plain  # still changing after all passes: nested beyond reason


def _character(entity: re.Match[str]) -> str:
    """Decode an HTML entity; leave an unknown name as it is."""
    return unescape(entity[0])


def clean_text(text: str) -> str:
    """Clean an abstract: undo hard wraps, cut after ABSTRACT_LIMIT characters."""
    return clean_line(text, ABSTRACT_LIMIT)


def normal(text: str) -> str:
    """Normalize to NFC without invisible characters; make white space single spaces."""
    if text.isascii() and text.isprintable():  # most text; a fifth of the time
        return " ".join(text.split())
    visible = REMOVED.sub("", text).replace("\u2800", " ")
    line = " ".join(visible.split())
    return unicodedata.normalize("NFC", UNUSUAL_RUN.sub(_cap_marks, line))


def _cap_marks(run: re.Match[str]) -> str:
    kept: list[str] = []
    marks = 0
    for character in run[0]:
        marks = marks + 1 if unicodedata.combining(character) else 0
        if marks <= MARKS_IN_A_ROW:
            kept.append(character)
    return "".join(kept)


def cut(text: str, limit: int) -> str:
    """Cut to at most `limit` characters, never within a grapheme."""
    if len(text) <= limit:
        return text
    end = limit - len(ELLIPSIS)
    for _ in range(2 * MARKS_IN_A_ROW):
        if not _joined(text, end):
            break
        end -= 1
    return text[:end].rstrip() + ELLIPSIS


def _joined(text: str, at: int) -> bool:
    """Return True if the characters before and at `at` are one grapheme (UAX 29)."""
    character = text[at]
    if unicodedata.category(character).startswith("M"):
        return True
    if "\U0001f3fb" <= character <= "\U0001f3ff":  # skin tones
        return True
    if not _is_flag(character):
        return False
    return sum(1 for _ in takewhile(_is_flag, reversed(text[:at][-64:]))) % 2 == 1


def _is_flag(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"


def safe_url(value: str) -> str:
    """Return `value` if it is a plain http or https URL with a host, else ''."""
    url = value.strip()
    if not url or len(url) > URL_LIMIT or not url.isprintable():
        return ""
    if re.search(r"""[\s<>"'\\`{}|^]""", url):
        return ""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port  # .port raises for an invalid one
    except ValueError:
        return ""
    if parts.scheme not in {"http", "https"} or not host or "@" in parts.netloc:
        return ""
    return url if re.fullmatch(r"[a-z0-9.-]+|[0-9a-f:.]+", host) else ""
