"""Single mails in the reader's language: nothing is left in English, and they are right."""

import re
from itertools import pairwise

import html5lib
import pytest
from django.conf import settings

from digest.ops.gallery import gallery
from digest.ops.gallery.mail_lint import LINK
from subscribers.models import Notice
from tests.mail.conftest import Specimen

pytestmark = pytest.mark.embedded
type Specimens = dict[str, Specimen]
KINDS = Notice.Kind.values
# Names, which every language spells the same.
NAMES = ["Daily Papers", "Europe/Berlin", *(label for _, label in gallery.TOPICS)]


def pairs(text: str) -> set[tuple[str, str]]:
    """Each two words in a row, but for names, links, addresses and numbers."""
    text = re.sub(r"\S*…\S*", " 0 ", LINK.sub(" 0 ", text))
    for name in (*NAMES, settings.POSTAL_ADDRESS):
        text = text.replace(name, " 0 ")
    words = pairwise(re.findall(r"\w+", text))
    return {(one, two) for one, two in words if one.isalpha() and two.isalpha()}


def seen(html: str) -> str:
    html = re.sub(r"<!--.*?-->", "", html, flags=re.DOTALL)
    body = html5lib.parse(html, namespaceHTMLElements=False).find("body")
    assert body is not None
    return " ".join("".join(body.itertext()).split())


def titles(mail: Specimen) -> list[str]:
    tree = html5lib.parse(mail.html, namespaceHTMLElements=False)
    return [str(mail.message["Subject"]), str(tree.findtext(".//title"))]


@pytest.mark.parametrize("kind", KINDS)
def test_a_single_mail_in_german_holds_no_two_words_of_the_english(
    specimens: Specimens, kind: str
) -> None:
    english, german = specimens[f"Single, {kind}"], specimens[f"Single, {kind}, German"]
    for ours, theirs in (
        (english.text, german.text),
        (seen(english.html), seen(german.html)),
        *zip(titles(english), titles(german), strict=True),
    ):
        assert pairs(ours) and pairs(theirs)
        assert pairs(ours) & pairs(theirs) == set()


@pytest.mark.parametrize("kind", KINDS)
def test_m20_a_single_mail_names_its_language(specimens: Specimens, kind: str) -> None:
    for name, code in ((f"Single, {kind}", "en"), (f"Single, {kind}, German", "de")):
        tree = html5lib.parse(specimens[name].html, namespaceHTMLElements=False)
        assert {e.get("lang") for e in tree.iter() if e.get("lang")} == {code}
        assert tree.get("lang") == code


@pytest.mark.parametrize("kind", KINDS)
def test_a_mail_in_german_has_the_links_of_the_english(
    specimens: Specimens, kind: str
) -> None:
    english, german = specimens[f"Single, {kind}"], specimens[f"Single, {kind}, German"]
    assert LINK.findall(english.text)
    assert [link.rstrip(".") for link in LINK.findall(german.text)] == [
        link.rstrip(".") for link in LINK.findall(english.text)
    ]
    for header in ("To", "From", "Date", "Message-ID", "List-Unsubscribe"):
        assert german.message[header] == english.message[header]
