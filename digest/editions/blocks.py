"""One paper's ready-made HTML and text, rendered once per edition for all readers.

What differs from reader to reader is left open with a mark: a Unicode noncharacter,
which no cleaned paper text can hold.
"""

import re
import textwrap
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import css_inline
from django.template.loader import get_template, render_to_string

from digest.models import Paper

ABSTRACT_LENGTH = 700


@dataclass(frozen=True, slots=True)
class Marks:
    """Places left open in rendered text (U+FDD0…, reserved for internal use)."""

    reason: str = "\ufdd0"
    token: str = "\ufdd1"  # noqa: S105
    count: str = "\ufdd2"
    papers: str = "\ufdd3"


MARKS = Marks()
WITHOUT_MARKS = str.maketrans("", "", "\ufdd0\ufdd1\ufdd2\ufdd3")


def block(paper: Paper) -> tuple[str, str]:
    """The paper's HTML, styles inlined, and its text, each with the reason left open."""
    abstract = first_sentences(paper.abstract.translate(WITHOUT_MARKS), ABSTRACT_LENGTH)
    title = paper.title.translate(WITHOUT_MARKS)
    context = {
        "paper": paper,
        "mark": MARKS,
        "byline": byline(paper).translate(WITHOUT_MARKS),
        "links": links(paper),
    }
    html = render_to_string(
        "mail/paper.html", context | {"abstract": abstract, "title": title}
    )
    text = render_to_string(
        "mail/paper.txt",
        context | {"abstract": fill(abstract), "title": fill(title)},
        using="text",
    )
    return inliner().inline_fragment(html, stylesheet()), text


def byline(paper: Paper) -> str:
    """Who wrote it: the organization if known, else the first authors, and how many."""
    count = f"{paper.author_count} author{'' if paper.author_count == 1 else 's'}"
    if paper.organization:
        return (
            f"{paper.organization} · {count}" if paper.author_count else paper.organization
        )
    names = ", ".join(paper.authors[:3])
    more = paper.author_count - 3
    if more > 0:
        return f"{names} and {more} more" if names else count
    return names or "Authors not known"


def links(paper: Paper) -> list[tuple[str, str]]:
    comments = f" ({paper.comments} comment{'' if paper.comments == 1 else 's'})"
    found = [
        ("arXiv", paper.abstract_url),
        ("PDF", paper.pdf_url),
        ("Code", paper.code_url),
        ("Project", paper.project_url),
        ("Discussion" + (comments if paper.comments else ""), paper.discussion_url),
    ]
    return [(name, url) for name, url in found if url]


def first_sentences(text: str, length: int) -> str:
    """The text up to the last sentence that ends within `length` characters, else a cut."""
    if len(text) <= length:
        return text
    ends = [
        match.end() for match in re.finditer(r"[.!?](?= [A-Z0-9(])", text[: length + 2])
    ]
    if ends and ends[-1] > length // 3:
        return text[: ends[-1]] + " …"
    return text[:length].rsplit(" ", 1)[0] + " …"


def fill(text: str) -> str:
    return textwrap.fill(text, 72, break_long_words=False, break_on_hyphens=False)


@cache
def inliner() -> css_inline.CSSInliner:
    """Never loads a remote sheet: paper text is hostile."""
    return css_inline.CSSInliner(load_remote_stylesheets=False)


@cache
def stylesheet() -> str:
    template = get_template("mail/mail.css").template  # type: ignore[attr-defined]
    return Path(template.origin.name).read_text()
