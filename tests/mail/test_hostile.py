"""S7 to S9: whatever a paper says stays text, in both parts, in headers, for providers."""

import email
import re
from itertools import product

import html5lib
import pytest
from django.conf import settings
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from digest.editions.compose import fields
from digest.ops.gallery import gallery
from digest.ops.gallery.mail_lint import lint
from digest.papers.text import clean_text
from digest.transport.base import Letter, Mail
from digest.transport.esp import as_django
from tests.mail.conftest import NOW, Specimen

pytestmark = pytest.mark.embedded
MARKUP = [
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "<svg/onload=alert(1)>",
    "<iframe src=javascript:alert(1)>", "</td></tr></table>", "</style><script>x</script>",
    "<!--", "-->", "<![CDATA[x]]>", "]]>", "<!--[if mso]>x<![endif]-->", "<style>*{}</style>",
    "<a href='javascript:alert(1)'>x</a>", "<base href=//x>", "<meta http-equiv=refresh>",
    "<form action=//x><input name=y>", "<math><mi//xlink:href='data:x,y'>", "<plaintext>",
    "\"><b>", "' onmouseover='x", "`onload=x`", "&lt;b&gt;", "&#60;script&#62;", "&amp;",
    "<b", "a < b > c", "<?php x ?>", "<%= 7*7 %>", "<!DOCTYPE x>", "<title>", "<body onload=x>",
]  # fmt: skip
TEMPLATES = [
    "{{ 7|add:7 }}", "{% debug %}", "{# x #}", "{{{contact.EMAIL}}}", "${7*7}", "#{7*7}",
    "%recipient.email%", "%unsubscribe_url%", "*|EMAIL|*", "*|IF:X|*", "[[data:name]]",
    "[[var:x]]", "-name-", "{{unsubscribe}}", "<%body%>", "[%x%]", "@@x@@", "%%x%%", "~x~",
    "{{#if x}}y{{/if}}", "%7B%7B", "{%x%}", "%}", "}}", "{{", "%s", "%(x)s", "{0}", "\\x",
    "{{loop_vars}}", "{{ render_snippet( \"x\" ) }}", "##x##", "[unsubscribe]", "|UNSUB|",
]  # fmt: skip
HEADERS = [
    "=?utf-8?q?x?=", "=?utf-8?b?eA==?=", "\r\nBcc: x@example.org", "\nX: y", "\r\n\r\nbody",
    "\u2028Bcc: x", "\u0085Bcc: x", "\r\n.\r\nMAIL FROM:<x>", "\n.\n", ".", "..", ". .",
    "\0", "\x1b[31m", "a@example.org, b@example.org", "\"x\" <x@example.org>", ":;,<>@",
    "--daily-papers-daily-20260417--", "--daily-papers-daily-20260417", "From x", "=\r\n", "=3D",
    "=", "=2", "=XX", " ", "a" * 400, "word " * 90, "ä" * 300, "図" * 300, "👩‍🔬" * 90,
]  # fmt: skip
UNICODE = [
    "\u202eevil\u202c", "\u2066x\u2069", "\ufdd0\ufdd1\ufdd2\ufdd3\ufdd8authors:3\ufdd9",
    "\ufffe\uffff", "\U000e0041\U000e0042", "e\u0301" * 9, "Z͑ͫ̓ͪ̂ͫ̽͏", "\u200b\u200d\ufeff",
    "مرحبا (x)", "שלום 3", "日本語", "한국어", "Ⅷ ﬁ ½ ２", "\U0001f1e9\U0001f1ea", "\ud800",
    "İıſK", "ß", "\u00a0\u3000x", "\u0000\u0001\u001f\u007f\u009f",
]  # fmt: skip
PAYLOADS = [*MARKUP, *TEMPLATES, *HEADERS, *UNICODE]
WRAPPED = [*PAYLOADS, *(f"{a}{b}" for a, b in product(MARKUP[:6], TEMPLATES[:15]))]


def tens(payloads: list[str]) -> list[list[str]]:
    return [payloads[start : start + 10] for start in range(0, len(payloads), 10)]


def digest_of(payloads: list[str]) -> tuple[list[str], bytes]:
    """(cleaned payloads, mail), one paper each."""
    texts = [clean_text(f"T {payload} z") for payload in payloads]
    papers = [
        gallery.paper(place, text, f"{text}. ", organization=text[:200])
        for place, text in enumerate(texts, start=1)
    ]
    return texts, gallery.digest(papers, NOW)


def test_s8_there_are_two_hundred_payloads() -> None:
    assert len(set(WRAPPED)) >= 200


def check(texts: list[str], raw: bytes) -> None:
    assert lint(raw, postal_address=settings.POSTAL_ADDRESS) == []
    mail = Specimen("", raw)
    message = mail.message
    assert not message.defects
    tree = html5lib.parse(mail.html, namespaceHTMLElements=False)
    titles = ["".join(heading.itertext()) for heading in tree.iter("h2")]
    assert [shown.rstrip("…") for shown in titles] == [
        text[: len(shown.rstrip("…"))] for text, shown in zip(texts, titles, strict=True)
    ]
    plain = squeezed(mail.text)
    assert all(squeezed(title.rstrip("…")) in plain for title in titles)
    head = texts[0][:60].rstrip()
    assert squeezed(head)[:40] in squeezed(str(message["Subject"]))


def squeezed(text: str) -> str:
    return re.sub(r"\s+", "", text)


@pytest.mark.parametrize("payloads", tens(WRAPPED), ids=lambda value: "")
def test_s7_s8_a_payload_arrives_as_the_text_that_it_is(payloads) -> None:
    check(*digest_of(payloads))


@hypothesis_settings(max_examples=40, deadline=None)
@given(st.lists(st.text(max_size=80), min_size=1, max_size=4))
def test_s8_so_does_any_text(found) -> None:
    check(*digest_of(found))


def letter_of(raw: bytes) -> Letter:
    """The mail in parts, its two bodies still encoded as they travel."""
    parts = email.message_from_bytes(raw).walk()
    _, text, html = (str(part.get_payload()).encode() for part in parts)
    return Letter(NOW, fields(raw.partition(b"\r\n\r\n")[0]), {}, [text], [html], {})


MERGE = re.compile(r"\{\{|\}\}|\{%|%\}|\*\||\|\*|\[\[|\]\]|\$\{|<%|%>|%[\w.]+%|\{#")


@pytest.mark.parametrize("payloads", tens(TEMPLATES), ids=lambda value: "")
def test_s9_a8_a_provider_finds_nothing_to_merge_in_the_html(payloads) -> None:
    """The source that a provider gets, as its API is handed it, holds no merge syntax."""
    texts, raw = digest_of(payloads)
    mail = Mail(1, "papers@example.org", "ann@example.org", lambda: raw)
    message = as_django(mail, letter_of(raw))
    ((html, kind),) = message.alternatives
    body = re.sub(r"<style.*?</style>", "", str(html), flags=re.DOTALL)
    assert kind == "text/html"
    assert MERGE.findall(body) == []
    tree = html5lib.parse(str(html), namespaceHTMLElements=False)
    assert ["".join(h.itertext()) for h in tree.iter("h2")] == texts
    assert not re.search(r"[\r\n\0]", str(message.subject))
    assert not any(
        re.search(r"[\r\n\0]", value) for value in message.extra_headers.values()
    )
