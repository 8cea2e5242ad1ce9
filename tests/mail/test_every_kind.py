"""What holds for each mail of the gallery, judged by tools that are not ours."""

import os
import re
import shutil
import subprocess

import html5lib
import pytest
from django.conf import settings
from fast_mail_parser import parse_email

from digest.ops.gallery.mail_lint import LINK, lint
from tests.mail.conftest import Specimen

pytestmark = pytest.mark.embedded
type Specimens = dict[str, Specimen]
SPAMASSASSIN = shutil.which("spamassassin") or "/usr/bin/spamassassin"


def test_there_is_every_kind_of_digest_and_of_single_mail(specimens: Specimens) -> None:
    names = set(specimens)
    for kind in ["typical", "German", "shortest", "longest", "CJK", "hostile"]:
        assert f"Digest, {kind}" in names
    assert {"Digest, right to left", "Single, confirm", "Single, preferences"} <= names
    assert {"Digest, with reasons", "Announcement"} <= names


def test_a_digest_of_one_paper_has_no_list_of_its_only_title(specimens: Specimens) -> None:
    one, two = specimens["Digest, shortest"], specimens["Digest, of a day with few papers"]
    assert "<ul" not in one.html and "* " not in one.text
    assert two.html.count("<li") == two.text.count("* ") == 2


def test_m1_to_m13_no_lint_finding_in_any_kind_of_mail(specimens: Specimens) -> None:
    found = {
        name: findings
        for name, mail in specimens.items()
        if (findings := lint(mail.raw, postal_address=settings.POSTAL_ADDRESS))
    }
    assert found == {}


def test_a_parser_of_other_make_reads_the_same(specimens: Specimens) -> None:
    """Of Rust, with no line in common with the standard library's."""
    for mail in specimens.values():
        other = parse_email(mail.raw)
        assert other.warnings == []
        assert other.subject == mail.message["Subject"]
        for parts, ours in ((other.text_plain, mail.text), (other.text_html, mail.html)):
            (theirs,) = parts
            assert theirs.replace("\r\n", "\n").rstrip("\n") == ours.rstrip("\n")
        assert other.headers["Message-ID"] == [mail.message["Message-ID"]]
        assert [address.address for address in other.to] == ["ann@example.org"]


def test_html_parses_without_an_error(specimens: Specimens) -> None:
    for mail in specimens.values():
        parser = html5lib.HTMLParser()
        parser.parse(mail.html)
        assert parser.errors == [], mail.name


def test_m4_both_parts_hold_the_same_links_and_words(specimens: Specimens) -> None:
    for mail in specimens.values():
        tree = html5lib.parse(mail.html, namespaceHTMLElements=False)
        links = {str(a.get("href")).rstrip("/") for a in tree.iter("a")}
        assert links == {link.rstrip("/.)") for link in LINK.findall(mail.text)}, mail.name
        text = squeezed(mail.text)
        for heading in tree.iter("h2"):
            assert squeezed("".join(heading.itertext())) in text


def squeezed(text: str) -> str:
    return re.sub(r"\s+", "", text)


def test_m18_no_image_and_nothing_loaded_from_anywhere(specimens: Specimens) -> None:
    """M18: no pixel, no link that leads over us to somewhere else."""
    for mail in specimens.values():
        tree = html5lib.parse(mail.html, namespaceHTMLElements=False)
        for element in tree.iter():
            assert element.tag not in {"img", "link", "iframe", "object", "script"}
            assert not {"src", "srcset", "background", "poster"} & set(element.keys())
            assert not re.search(r"url\(|@import", element.get("style", ""))
        assert not any("url(" in (style.text or "") for style in tree.iter("style"))


def test_spamassassin_finds_nothing_in_the_content(specimens: Specimens) -> None:
    if not os.path.exists(SPAMASSASSIN):
        reason = "no SpamAssassin found: install spamassassin to run this test"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    for name in ("Digest, typical", "Single, confirm"):
        done = subprocess.run(
            [SPAMASSASSIN, "--local", "--test-mode"],
            input=specimens[name].raw.replace(b"\r\n", b"\n"),
            capture_output=True,
            check=True,
        )
        report = done.stdout.decode("utf-8", "replace").rpartition("Content analysis")[2]
        points = {
            rule: float(score)
            for score, rule in re.findall(r"^\s*(-?\d+\.\d) (\w+)", report, re.MULTILINE)
        }
        assert len(points) > 2, report
        assert [rule for rule, score in points.items() if score > 0] == [], name
