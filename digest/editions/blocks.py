"""Render one paper's HTML and text, once per edition for all readers.

A mark (see phrases.Marks) stands for each value that differs from reader to reader, and a
phrase (see phrases.py) for each that differs from language to language.
"""

from functools import cache
from pathlib import Path
from typing import Any

import css_inline
from django.conf import settings
from django.forms.utils import flatatt
from django.template.loader import get_template, render_to_string

from digest.editions import text_layout
from digest.editions.phrases import MARKS, WITHOUT_MARKS, phrase, without_votes
from digest.models import Paper
from digest.papers.summary import first_sentences, telling_sentence
from digest.papers.text import cut

# How a paper can look: first in a short mail, further down in it, as a title only, and with
# its abstract. A stored block holds all forms, in this order.
FORMS = ("lead", "short", "titles", "abstracts")
# Characters about the paper that a form shows: of one telling line, or of the abstract.
SAID = {"lead": 320, "short": 150, "titles": 0, "abstracts": 700}
OF_ABSTRACT = {"abstracts"}
TITLE_LENGTH = 300
NAME_LENGTH = 120
NAMES = 3
# Providers replace {{x}}, {% x %}, %x%, *|x|*, [[x]] or ${x} in HTML that they are given.
# Character references look the same to every reader and are not replaced.
NO_MERGE = {ord(character): f"&#{ord(character)};" for character in "{}%|[]$"}


def block(paper: Paper) -> tuple[str, str]:
    """Return the paper's HTML, with inlined styles, and its text, each in all FORMS.

    The reason is a mark.
    """
    made = [context(paper, form) for form in FORMS]
    html = MARKS.form.join(render_to_string("mail/paper.html", values) for values in made)
    return inlined(html), MARKS.form.join(map(as_text, made))


def inlined(html: str) -> str:
    return no_merge(inliner().inline_fragment(html, stylesheet()))


def as_text(values: dict[str, Any]) -> str:
    said = text_layout.fill(values["said"])
    if values["machine"]:  # on its own line, as its length depends on the language
        said += f"\n{values['machine'].strip()}"
    filled = {"title": text_layout.fill(values["title"]), "said": said}
    filled["byline"] = text_layout.fill(values["names"] + values["rest"])
    return render_to_string("mail/paper.txt", values | filled, using="text")


def forms(stored: str) -> list[str]:
    """Return the forms of a stored block.

    One published before there were forms has one, and a link to vote that is no more used.
    """
    found = stored.split(MARKS.form)
    return found if len(found) == len(FORMS) else [without_votes(stored)] * len(FORMS)


def context(paper: Paper, form: str) -> dict[str, Any]:
    title = shorten(paper.title, TITLE_LENGTH)
    said, by_machine = what_is_said(paper, form)
    names, rest = byline(paper)
    return {
        "mark": MARKS,
        "form": form,
        "title": title,
        "said": said,
        "title_script": flatatt(text_layout.attributes(title)),
        "machine": f" {phrase('ai')}" if by_machine else "",
        "said_script": flatatt(text_layout.attributes(said)),
        "names": names,
        "names_script": flatatt(text_layout.attributes(names)),
        "rest": rest,
        "upvotes": phrase("upvotes", paper.upvotes) if paper.upvotes else "",
        "url": paper.abstract_url
        if paper.has_arxiv_id and not paper.is_sample
        else paper_url(paper),
        "links": links(paper, form),
        "more": phrase("more"),
        "less": phrase("less"),
        "vote_url": f"{settings.SITE_URL}/v/{MARKS.web}/{MARKS.place}",
    }


def what_is_said(paper: Paper, form: str) -> tuple[str, bool]:
    """Return the words about the paper in this form, and whether a machine wrote them."""
    length = SAID[form]
    if not length:
        return "", False
    summary = "" if form in OF_ABSTRACT else paper.summary
    own = paper.abstract if form in OF_ABSTRACT else telling_sentence(paper.abstract)
    return first_sentences((summary or own).translate(WITHOUT_MARKS), length), bool(summary)


def no_merge(html: str) -> str:
    """Return equivalent HTML in which no provider finds a merge field."""
    return html.translate(NO_MERGE)


def shorten(text: str, length: int) -> str:
    return cut(text.translate(WITHOUT_MARKS), length)


def byline(paper: Paper) -> tuple[str, str]:
    """Return (names, rest): the organization or the first authors, and the author count."""
    count = phrase("authors", paper.author_count)
    if paper.organization:
        name = shorten(paper.organization, NAME_LENGTH)
        return name, f" · {count}" if paper.author_count else ""
    names = ", ".join(shorten(str(name), NAME_LENGTH) for name in paper.authors[:NAMES])
    more = paper.author_count - NAMES
    if more > 0:
        return (names, f" {phrase('further', more)}") if names else ("", count)
    return (names, "") if names else ("", phrase("unknown"))


def paper_url(paper: Paper) -> str:
    return f"{settings.SITE_URL}/papers/{paper.arxiv_id}/"


def links(paper: Paper, form: str) -> list[tuple[str, str]]:
    """Return (words, URL) pairs beside the title's; a sample paper exists on this site only."""
    if paper.is_sample or form == "titles":
        return []
    found = [("PDF", paper.pdf_url), (phrase("code"), paper.code_url)]
    if form == "abstracts":
        found += [
            (phrase("project"), paper.project_url),
            (phrase("discussion", paper.comments), paper.discussion_url),
            (phrase("about"), paper_url(paper)),
        ]
    return [(name, url) for name, url in found if url]


@cache
def inliner() -> css_inline.CSSInliner:
    """Return the CSS inliner. It loads no remote style sheet, as paper text is hostile."""
    return css_inline.CSSInliner(load_remote_stylesheets=False)


@cache
def stylesheet() -> str:
    template = get_template("mail/mail.css").template  # type: ignore[attr-defined]
    return Path(template.origin.name).read_text()
