"""Which styles a mail uses, and what each mail program makes of them.

`caniemail.json` is the data of caniemail.com, cut to four families of mail programs.
"""

import json
import re
from pathlib import Path

import html5lib
import pytest

from tests.mail.conftest import Specimen

pytestmark = pytest.mark.embedded
type Specimens = dict[str, Specimen]
SUPPORT: dict[str, dict[str, str]] = json.loads(
    Path(__file__).with_name("caniemail.json").read_text()
)["features"]
# Properties that the data knows under another name.
NAMES = {
    "background": "css-background-color",
    "border": "css-border",
    "border-top": "css-border",
    "border-color": "css-border",
}
# In every program since before there were data: caniemail has no page for them.
ALWAYS = {"color", "font-family"}
# What some program lacks, and why the mail is as good without it.
FALLBACKS = {
    "max-width": "Outlook for Windows reads it on no table: it has a table of 600 px",
    "padding": "Outlook for Windows reads it on cells; elsewhere it only pads the mark, a reason",
    "width": "Outlook for Windows reads it on tables, and it is on tables only",
    "border-radius": "square corners",
    "word-break": "a long word is cut at the edge, the column stays",
    "table-layout": "a very long word may widen the column",
    "color-scheme": "light colours, or those that the program chooses",
    "@media prefers-color-scheme": "light colours, or those that the program chooses",
    "margin": "Outlook.com reads no negative one, and there is none",
    "font-weight": "bold and normal are read by all",
    "line-height": "Outlook for Windows has its own idea, in pixels it follows",
    "border": "only in high contrast is it another colour than the button",
    "border-top": "Outlook for Windows draws it on cells, and it is on cells only",
    "text-decoration": "only none is used",
    "border-color": "in the dark scheme only",
    "white-space": "the name beside the mark may take two lines",
    "font-size": "in pixels it is read by all",
}


def used(html: str) -> set[str]:
    """Every property of style attributes and style elements, and media features."""
    tree = html5lib.parse(html, namespaceHTMLElements=False)
    sheets = [style.text or "" for style in tree.iter("style")]
    declared = [element.get("style", "") for element in tree.iter()]
    declared += [block for sheet in sheets for block in re.findall(r"{([^{}]*)}", sheet)]
    found = {
        declaration.partition(":")[0].strip()
        for block in declared
        for declaration in block.split(";")
        if ":" in declaration
    }
    media = [name for sheet in sheets for name in re.findall(r"@media \(([\w-]+)", sheet)]
    return found | {f"@media {name}" for name in media}


def lacking(name: str) -> set[str]:
    """The programs that don't, or only partly, do what is asked."""
    slug = NAMES.get(name, "css-" + name.replace("@media ", "at-media-"))
    return {client for client, answer in SUPPORT[slug].items() if answer != "y"}


def test_every_style_is_understood_everywhere_or_has_a_reason(specimens: Specimens) -> None:
    properties = set().union(*(used(mail.html) for mail in specimens.values()))
    partly = {name for name in properties - ALWAYS if lacking(name)}
    assert "word-break" in properties
    assert partly - set(FALLBACKS) == set()
    assert set(FALLBACKS) - partly == set()  # no reason without a need


@pytest.mark.browser
def test_without_what_some_program_lacks_the_mail_still_fits(browser, specimens) -> None:
    page = browser.new_page()
    page.set_viewport_size({"width": 360, "height": 800})
    for name in ("Digest, typical", "Digest, right to left", "Single, confirm"):
        page.set_content(poorer(specimens[name].html))
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        assert page.evaluate("document.querySelector('h1').offsetHeight") > 20


def poorer(html: str) -> str:
    """As a mail program shows it that lacks all of FALLBACKS but what all have on cells."""
    gone = "border-radius|word-break|table-layout|color-scheme|max-width"
    html = re.sub(rf"(?<=[\"; ])({gone}): ?[^;\"]+;", "", html)
    return re.sub(r"<style>.*?</style>", "", html, flags=re.DOTALL)
