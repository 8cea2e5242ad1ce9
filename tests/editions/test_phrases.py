"""The catalogues: complete in every language, and compiled as they are written."""

import io
import re
from pathlib import Path

import pytest
from babel.messages.mofile import read_mo
from babel.messages.pofile import read_po
from django.conf import settings
from django.utils import translation

from digest.editions import phrases
from tests.environment import ROOT

OTHERS = [code for code, _ in settings.LANGUAGES if code != settings.LANGUAGE_CODE]
SOURCES = [
    *(ROOT / "templates" / "mail").glob("*.html"),
    *(ROOT / "templates" / "mail").glob("*.txt"),
    ROOT / "digest" / "editions" / "phrases.py",
    ROOT / "digest" / "editions" / "frames.py",
    ROOT / "subscribers" / "models" / "people.py",
]


def messages() -> set[str]:
    """Every text that is looked up, as a catalogue knows it."""
    text = "\n".join(path.read_text() for path in SOURCES)
    found = set(re.findall(r'(?:{% translate |=_\()"([^"]+)"', text))
    for block in re.findall(r"{% blocktranslate %}(.*?){% endblocktranslate %}", text):
        found.add(re.sub(r"{{ (\w+) }}", r"%(\1)s", block))
    found |= set(re.findall(r"\bn?gettext\(\s*[\"']([^\"']+)", text))
    return found | set(re.findall(r"pgettext\([^,]+, \"([^\"]+)", text))


@pytest.fixture(params=OTHERS)
def folder(request) -> Path:
    return ROOT / "digest" / "locale" / str(request.param) / "LC_MESSAGES"


def test_every_text_is_translated(folder):
    catalogue = read_po(io.BytesIO((folder / "django.po").read_bytes()))
    known = {
        message.id if isinstance(message.id, str) else message.id[0]
        for message in catalogue
        if message.id and all(message.string or [])
    }
    asked = messages()
    assert {"Unsubscribe", "%(n)d author", "j F Y", "Your week: %(n)d paper"} <= asked
    assert {"Change my preferences", "Once a week, on %(day)s"} <= asked
    assert asked - known == set()


def test_what_is_compiled_is_what_is_written(folder):
    written = read_po(io.BytesIO((folder / "django.po").read_bytes()))
    compiled = read_mo(io.BytesIO((folder / "django.mo").read_bytes()))
    assert texts(written) == texts(compiled)


def texts(catalogue) -> set[tuple[str, str]]:
    return {(str(tuple(m.id)), str(tuple(m.string))) for m in catalogue if m.id}


@pytest.mark.parametrize("code", OTHERS)
def test_every_phrase_of_a_block_is_spoken(code):
    for name in phrases.PHRASES:
        for number in (0, 1, 2):
            with translation.override(code):
                said = phrases.translate(phrases.phrase(name, number))
            assert said and not re.search("[\ufdd0-\ufdef]", said)


def test_a_phrase_that_is_not_there_is_refused():
    with pytest.raises(KeyError):
        phrases.phrase("nonsense")
