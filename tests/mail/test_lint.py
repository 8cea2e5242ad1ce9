"""The lint itself: each fault that it is for is found in a mail that was right before."""

import pytest
from django.conf import settings

from digest.ops.gallery.accessibility import accessibility
from digest.ops.gallery.mail_lint import lint

pytestmark = pytest.mark.embedded
FAULTS = {
    "a bare LF": (b"To: ann", b"X-A: b\nTo: ann", "bare"),
    "a NUL": (b"papers for", b"papers\0for", "NUL"),
    "eight bits": (b"papers for", b"p\xc3\xa4pers for", "7-bit"),
    "a missing header": (b"Auto-Submitted: auto-generated\r\n", b"", "0 times Auto"),
    "a header twice": (b"Date: ", b"Date: Fri, 17 Apr 2026 12:00:00 +0000\r\nDate: ", "2 t"),
    "two in From": (b"From: ", b"From: Bo <bo@example.org>, ", "not exactly one"),
    "two in To": (b"To: ", b"To: bo@example.org, ", "not exactly one"),
    "a folded way out": (b"List-Unsubscribe: <", b"List-Unsubscribe:\r\n <", "first line"),
    "an encoded way out": (
        b"List-Unsubscribe: <http",
        b"List-Unsubscribe: =?utf-8?q?x?= <http",
        "list-unsubscribe is",
    ),
    "no one-click": (b"=One-Click", b"=Two-Clicks", "list-unsubscribe-post is"),
    "a long line": (b"X-Auto-Response-Suppress: All", b"X-A: " + b"word " * 20, "octets"),
    "a split character": (
        b"Precedence: bulk",
        b"X-A: =?utf-8?q?=C3?=\r\nPrecedence: bulk",
        "can't be read",
    ),
    "a long encoded word": (
        b"Precedence: bulk",
        b"X-A: =?utf-8?q?" + b"a" * 80 + b"?=\r\nPrecedence: bulk",
        "an encoded word of",
    ),
    "another domain": (b"@daily-papers.example>\r\nList", b"@host>\r\nList", "sending do"),
    "base64": (b"Encoding: quoted-printable", b"Encoding: base64", "neither quoted"),
    "a third part": (b"</body></html>\r\n\r\n--", b"</body></html>\r\n\r\n", "parts"),
    "a line like a delimiter": (b"DAILY PAPERS\r\n", b"--DAILY PAPERS\r\n", "a delimiter"),
    "a dot": (b"DAILY PAPERS\r\n", b".DAILY PAPERS\r\n", "dot"),
    "a script": (b"<p class=3D", b"<script>x</script><p class=3D", "an element script"),
    "a handler": (b"<p class=3D", b"<p onclick=3D'x' class=3D", "an attribute onclick"),
    "hidden words": (b"<p class=3D", b"<p style=3D'display:none'>x</p><p class=3D", "a style"),
    "a bad link": (b"<p class=3D", b"<a href=3D'data:x'>x</a><p class=3D", "a link to"),
    "one part's link": (
        b"<p class=3D",
        b"<a href=3D'http://x.example/'>x</a><p class=3D",
        "one part only",
    ),
    "a mark": (b"DAILY PAPERS", b"DAILY =EF=B7=90", "a mark"),
    "no address": (b"Sample Street 1", b"", "no postal address"),
    "too large": (b"</body>", b"x" * 70 + b"\r\n" * 100_000 + b"</body>", "bytes"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found(specimens, fault: str) -> None:
    right, wrong, words = FAULTS[fault]
    raw = specimens["Digest, typical"].raw
    assert right in raw
    found = lint(raw.replace(right, wrong, 1), postal_address=settings.POSTAL_ADDRESS)
    assert any(words in finding for finding in found), found


def test_a_right_mail_has_no_finding(specimens) -> None:
    raw = specimens["Digest, typical"].raw
    assert lint(raw, postal_address=settings.POSTAL_ADDRESS) == []


RIGHT = (
    '<!doctype html><html lang="en" dir="ltr"><body>'
    '<table role="presentation"><tr><td style="background:#9a3412;color:#ffffff">'
    '<div role="article" lang="en" dir="ltr"><h1>Two papers</h1><h2>One</h2>'
    '<p style="color: #ffffff">Why <a href="https://x.example/">On <i>knots</i></a></p>'
    "</div></td></tr></table></body></html>"
)
BARRIERS = {
    "no language": ('<html lang="en"', "<html", "no lang or dir of the mail"),
    "no direction": ('dir="ltr"><body', "><body", "no lang or dir of the mail"),
    "no wrapper": ('role="article"', "", "no element around"),
    "a wrapper without language": (' lang="en" dir="ltr"><h1', "><h1", "no element around"),
    "a table that is read out": (' role="presentation"', "", "without its role"),
    "a picture without words": ("<p", '<img src="x"><p', "without alt"),
    "a link without words": ("On <i>knots</i>", " ", "words say nothing: ''"),
    "click here": ("On <i>knots</i>", "click <b>HERE</b>", "words say nothing"),
    "no heading": ("h1>", "h2>", "0 headings of level 1"),
    "two titles": ("h2>", "h1>", "2 headings of level 1"),
    "a level left out": ("h2>", "h3>", "skipped"),
    "pale words": ("color: #ffffff", "color: #c07a63", "#c07a63 on #9a3412: 'Why'"),
    "dark on dark": ("color:#ffffff", "color:#1f1c18", "#1f1c18 on #9a3412: 'Two papers'"),
}


@pytest.mark.parametrize("barrier", BARRIERS)
def test_what_keeps_a_reader_out_is_found(barrier: str) -> None:
    right, wrong, words = BARRIERS[barrier]
    assert right in RIGHT and accessibility(RIGHT) == []
    found = accessibility(RIGHT.replace(right, wrong))
    assert any(words in finding for finding in found), found


def test_large_letters_need_less_contrast() -> None:
    small = '<p style="font:16px/20px Arial;color:#949494">x</p>'
    for style, found in (("16px", 1), ("23px", 1), ("24px", 0), ("bold 18px", 1)):
        html = RIGHT.replace("</div>", f"</div>{small.replace('16px', style)}")
        html = html.replace("background:#9a3412;color:#ffffff", "").replace(
            "#ffffff", "#000000"
        )
        assert len(accessibility(html)) == found, style
