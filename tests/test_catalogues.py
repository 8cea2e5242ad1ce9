"""The catalogues: every word of pages, mails and errors is in each, once, and fits."""

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract
from babel.messages.mofile import read_mo
from babel.messages.pofile import read_po
from django.conf import settings
from django.utils.translation.template import templatize

from digest.papers.topics import definitions
from subscribers import time_zones
from tests.environment import ROOT

OTHERS = [code for code, _ in settings.LANGUAGES if code != settings.LANGUAGE_CODE]
# English by choice: what operators and programmers read.
OPERATORS = {"admin", "console", "mailbox.html", "mail.html", "gallery.html", "api.html"}
CALLS = {
    "_": None,
    "gettext": None,
    "gettext_lazy": None,
    "ngettext": (1, 2),
    "pgettext": ((1, "c"), 2),
    "npgettext": ((1, "c"), 2, 3),
}
PLACEHOLDER = re.compile(r"%\(\w+\)[.\d]*[a-z]|\{\w+\}|</?\w+[^>]*>")


class Key(NamedTuple):
    """A text as a catalogue knows it; of a plural the singular."""

    text: str
    context: str = ""


def sources() -> Iterator[bytes]:
    """Yield Python with all calls for a translation."""
    for app in ("digest", "subscribers"):
        for path in sorted((ROOT / app).rglob("*.py")):
            source = path.read_bytes()
            if b"gettext" in source:
                yield source
    for path in sorted((ROOT / "templates").rglob("*.*")):
        if OPERATORS.isdisjoint(path.relative_to(ROOT / "templates").parts[-2:]):
            code = templatize(path.read_text())
            # Python reads no indentation into what was the template's.
            yield "\n".join(line.strip() for line in code.splitlines()).encode()


def messages() -> set[Key]:
    """Return every text that is looked up: in code, in templates, or by a stored value."""
    found = {
        Key(words if isinstance(words, str) else words[0], context or "")
        for source in sources()
        for _, words, _, context in extract("python", io.BytesIO(source), keywords=CALLS)
    }
    for topic in definitions():
        found |= {Key(topic.label), Key(topic.group), Key(topic.description)}
    names = [name for _, names in time_zones.names_by_region() for name in names]
    return found | {Key(time_zones.city(name)) for name in names}


@pytest.fixture(params=OTHERS)
def folder(request: pytest.FixtureRequest) -> Path:
    return ROOT / "digest" / "locale" / str(request.param) / "LC_MESSAGES"


@pytest.fixture
def catalogue(folder: Path) -> Catalog:
    return read_po(io.BytesIO((folder / "django.po").read_bytes()), abort_invalid=True)


def keys(catalogue: Catalog) -> set[Key]:
    return {Key(strings(one.id)[0], one.context or "") for one in catalogue if one.id}


def test_every_text_is_translated_and_nothing_else(catalogue: Catalog) -> None:
    asked, known = messages(), keys(catalogue)
    assert {"Unsubscribe", "%(n)d author", "j F Y", "Graphs", "Vienna"} <= {
        one.text for one in asked
    }
    assert sorted(asked - known) == []
    assert sorted(known - asked) == []


def test_every_translation_is_whole_and_sure(catalogue: Catalog) -> None:
    assert [one.id for one in catalogue if one.id and one.fuzzy] == []
    assert [one.id for one in catalogue if one.id and not all(strings(one.string))] == []
    assert not catalogue.obsolete


def test_a_translation_has_the_placeholders_and_tags_of_its_text(
    catalogue: Catalog,
) -> None:
    """Of a plural, each form has those of the text's plural."""
    wrong = [
        (one.id, said)
        for one in catalogue
        if one.id
        for said in strings(one.string)
        if placeholders(said) != placeholders(strings(one.id)[-1])
    ]
    assert wrong == []


def strings(text: str | tuple[str, ...] | list[str] | None) -> list[str]:
    return [text] if isinstance(text, str) else list(text or [""])


def placeholders(text: str) -> list[str]:
    return sorted(PLACEHOLDER.findall(text))


def test_what_is_compiled_is_what_is_written(folder: Path, catalogue: Catalog) -> None:
    compiled = read_mo(io.BytesIO((folder / "django.mo").read_bytes()))
    assert texts(catalogue) == texts(compiled)


def texts(catalogue: Catalog) -> set[tuple[str, str]]:
    return {(str(strings(one.id)), str(strings(one.string))) for one in catalogue if one.id}


# What is the same in every language: names, formats, and what machines read.
NAMES = {"Daily Papers", "DAILY PAPERS", "arXiv", "BibTeX", "RIS", "JSON", "Atom", "UTC"}
NAMES |= {"API", "article"}
TAGS = re.compile(r"{% blocktranslate.*?{% endblocktranslate %}|{[{%#].*?[}%#]}", re.DOTALL)
UNSPOKEN = re.compile(
    r"<(code|pre|kbd|style|script)\b.*?</\1>|<!--.*?-->|&\w+;|/[#\w/]+(?=\s)"
    r'|<meta (?!name="description"|property="og:(?:title|description))[^>]*>'
    r'|<(\w+) lang="en">[^<]*</\2>',
    re.DOTALL,
)
ATTRIBUTES = re.compile(r'\s(?:title|alt|placeholder|aria-label|content)="([^"]*)"')


def readers_templates() -> list[Path]:
    folder = ROOT / "templates"
    return [
        path
        for path in sorted(folder.rglob("*.*"))
        if OPERATORS.isdisjoint(path.relative_to(folder).parts) and path.suffix != ".css"
    ]


def test_no_template_has_words_that_are_not_translated() -> None:
    left = {path.name: untranslated(path.read_text()) for path in readers_templates()}
    assert {name: words for name, words in left.items() if words} == {}


def test_words_outside_of_a_translation_are_found() -> None:
    page = (
        '{% translate "Fine" %}<a title="One {{ x }}">Two</a><b>{% if y %}Three{% endif %}'
    )
    assert untranslated(page) == {"One", "Two", "Three"}


def untranslated(template: str) -> set[str]:
    """Return the words that a reader sees and no catalogue has."""
    said = UNSPOKEN.sub("", TAGS.sub("", template))
    runs = {*re.split(r"<[^>]*>|[·›→←:;,()\n]", said), *ATTRIBUTES.findall(said)}
    return {run.strip() for run in runs if re.search("[A-Za-z]{2}", run)} - NAMES
