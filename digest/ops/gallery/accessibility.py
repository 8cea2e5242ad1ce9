"""What the Email Markup Consortium counts against mails, checked in ours.

See https://emailmarkup.org/. Language and direction, tables that
are only layout, text in place of pictures, the words of links, headings in order, and
contrast by WCAG 2.2 (1.4.3) of the colours as they are inlined. Dark colours stand in one
media query, the same in every mail; the browser tests look at those with axe.
"""

import re
from html.parser import HTMLParser
from typing import NamedTuple

VOID = {"meta", "br", "img", "hr", "link", "input"}
# Words that say nothing of where a link leads.
EMPTY_WORDS = {"here", "click here", "link", "more", "read more", "this", "learn more"}
LEAST_CONTRAST, LEAST_OF_LARGE = 4.5, 3.0
LARGE, LARGE_BOLD = 24.0, 18.66  # CSS pixels
DECLARATION = re.compile(r"(?:^|;) *([a-z-]+): ?([^;]+)")
COLOUR = re.compile(r"#[0-9a-f]{6}\b")
PIXELS = re.compile(r"\b(\d+)px")


class Look(NamedTuple):
    """How text is drawn here: inherited, but for what an element's own style says."""

    colour: str = "#000000"
    background: str = "#ffffff"
    size: float = 16.0
    is_bold: bool = False

    def styled(self, style: str) -> "Look":
        look = self
        for name, value in DECLARATION.findall(style):
            colour, pixels = COLOUR.search(value), PIXELS.search(value)
            if name == "color" and colour:
                look = look._replace(colour=colour[0])
            elif name in {"background", "background-color"} and colour:
                look = look._replace(background=colour[0])
            elif name in {"font", "font-size"} and pixels:
                look = look._replace(size=float(pixels[1]))
            if name in {"font", "font-weight"}:
                look = look._replace(is_bold="bold" in value)
        return look

    @property
    def is_legible(self) -> bool:
        is_large = self.size >= (LARGE_BOLD if self.is_bold else LARGE)
        least = LEAST_OF_LARGE if is_large else LEAST_CONTRAST
        return contrast(self.colour, self.background) >= least


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours like #faf8f4, from 1 to 21."""
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


class Listening(HTMLParser):
    """A parser that goes through a mail as a screen reader does."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.looks: list[tuple[str, Look]] = [("", Look())]
        self.headings: list[int] = []
        self.link: list[str] | None = None  # its words so far
        self.has_wrapper = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        has_language = bool(values.get("lang") and values.get("dir"))
        if tag == "html" and not has_language:
            self.found.append("no lang or dir of the mail")
        if values.get("role") in {"article", "main"} and has_language:
            self.has_wrapper = True
        if tag == "table" and values.get("role") != "presentation":
            self.found.append("a table of layout without its role")
        if tag == "img" and "alt" not in values:
            self.found.append("a picture without alt")
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag == "a":
            self.link = []
        if tag not in VOID:
            look = self.looks[-1][1].styled(values.get("style", ""))
            self.looks.append((tag, look))

    def handle_endtag(self, tag: str) -> None:
        if tag == "a":
            words = " ".join("".join(self.link or []).split())
            if not words or words.casefold() in EMPTY_WORDS:
                self.found.append(f"a link whose words say nothing: {words!r}")
            self.link = None
        while len(self.looks) > 1:
            opened, _ = self.looks.pop()
            if opened == tag:
                break

    def handle_data(self, data: str) -> None:
        tag, look = self.looks[-1]
        if self.link is not None:
            self.link.append(data)
        if data.strip() and tag not in {"style", "title"} and not look.is_legible:
            self.found.append(f"{look.colour} on {look.background}: {data.strip()[:30]!r}")


def accessibility(html: str) -> list[str]:
    """Return what keeps readers from a mail, one line each."""
    heard = Listening()
    heard.feed(html)
    heard.close()
    steps = zip([0, *heard.headings], heard.headings, strict=False)
    checks = [
        (not heard.has_wrapper, "no element around the content with role, lang and dir"),
        (heard.headings.count(1) != 1, f"{heard.headings.count(1)} headings of level 1"),
        (any(after > before + 1 for before, after in steps), "a level of heading skipped"),
    ]
    return heard.found + [words for wrong, words in checks if wrong]
