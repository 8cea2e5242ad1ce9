"""Find the direction and language of a text by the script of its letters. Pure.

Few mail programs support `dir="auto"`, and `lang` selects the right CJK glyphs.
"""

import re
import textwrap
import unicodedata

# The script identifies the language well enough for fonts, line breaks and voices.
SCRIPTS = [
    ("ja", re.compile("[\u3040-\u30ff]")),
    ("ko", re.compile("[\uac00-\ud7af\u1100-\u11ff]")),
    ("zh", re.compile("[\u4e00-\u9fff\u3400-\u4dbf]")),
    ("he", re.compile("[\u0590-\u05ff]")),
    ("ar", re.compile("[\u0600-\u06ff\u0750-\u077f]")),
    ("ru", re.compile("[\u0400-\u04ff]")),
    ("el", re.compile("[\u0370-\u03ff]")),
]
LINE = 72
# Lines may break between words, and beside characters that can be wide (CJK, emoji), but not in
# a flag, which is two of them.
PIECES = re.compile(
    r"\s+|[^\s\u1100-\u115f\u231a-\U0010ffff]+|[\U0001f1e6-\U0001f1ff]{2}|.", re.DOTALL
)


def direction(text: str) -> str:
    """Return "rtl" or "ltr" by the first strong character (UAX 9, rules P2 and P3)."""
    for character in text:
        kind = unicodedata.bidirectional(character)
        if kind in {"R", "AL"}:
            return "rtl"
        if kind == "L":
            return "ltr"
    return "ltr"


def language(text: str) -> str:
    """Return the language of most letters in the text; empty for Latin letters."""
    letters = sum(character.isalpha() for character in text)
    for code, script in SCRIPTS:
        found = len(script.findall(text))
        # Japanese mixes kana with as many Chinese characters.
        if found * (4 if code == "ja" else 2) > letters:
            return code
    return ""


def attributes(text: str) -> dict[str, str]:
    """Return the HTML attributes of an element that holds a paper's text: lang, and dir.

    In Latin letters it is taken for English, whatever the mail around it speaks.
    """
    found = {"lang": language(text) or "en", "dir": direction(text)}
    return {name: value for name, value in found.items() if value not in {"", "ltr"}}


def width(text: str) -> int:
    """Return the columns in a plain text mail; a wide character takes two."""
    return len(text) + sum(unicodedata.east_asian_width(c) in "WF" for c in text)


def fill(text: str) -> str:
    """Wrap to lines of at most 72 columns; never break a long word or URL."""
    if width(text) == len(text):
        return textwrap.fill(text, LINE, break_long_words=False, break_on_hyphens=False)
    lines, line, columns = [], "", 0
    for piece in PIECES.findall(text):
        size = width(piece)
        closing = unicodedata.category(piece[0]) in {"Pe", "Pf", "Po", "Mn", "Mc"}
        if columns + size > LINE and line and not closing:
            lines.append(line.rstrip())
            line, columns = "", 0
            piece = piece.lstrip()
        line, columns = line + piece, columns + width(piece)
    return "\n".join([*lines, line.rstrip()])
