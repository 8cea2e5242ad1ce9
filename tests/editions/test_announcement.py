"""An operator's Markdown and plain text, as a mail can show them."""

import pytest
from django.core.exceptions import ValidationError

from digest.editions import announcement
from digest.models import Announcement
from digest.ops import announcements
from tests import make

HREF = '<a href="https://x.org/?a=1&amp;b=2">'
MARKDOWN = [
    ("a **b** *c*", "<p>a <strong>b</strong> <em>c</em></p>", "a b c"),
    ("# A\n### B", "<h2>A</h2>\n<h2>B</h2>", "A\n\nB"),
    ("[w](https://x.org/?a=1&b=2)", f"<p>{HREF}w</a></p>", "w (https://x.org/?a=1&b=2)"),
    (
        "<https://x.org>",
        '<p><a href="https://x.org">https://x.org</a></p>',
        "https://x.org",
    ),
    ("[us](mailto:a@x.org)", '<p><a href="mailto:a@x.org">us</a></p>', "us (a@x.org)"),
    ("- a\n- b", "<ul>\n<li>a</li>\n<li>b</li>\n</ul>", "* a\n* b"),
    ("3. a\n4. b", '<ol start="3">\n<li>a</li>\n<li>b</li>\n</ol>', "3. a\n4. b"),
    ("> a", "<blockquote>\n<p>a</p>\n</blockquote>", "> a"),
    ("***", "<hr>", "* * *"),
    # -- hostile, or what no mail shows
    ("<script>x</script>", "<p>&lt;script&gt;x&lt;/script&gt;</p>", "<script>x</script>"),
    ("<b onclick=x>a</b>", "<p>&lt;b onclick=x&gt;a&lt;/b&gt;</p>", "<b onclick=x>a</b>"),
    ("[a](javascript:x)", "<p>[a](javascript:x)</p>", "[a](javascript:x)"),
    ("[a](JaVaScript:x)", "<p>[a](JaVaScript:x)</p>", "[a](JaVaScript:x)"),
    ("[a](data:text/html,x)", "<p>[a](data:text/html,x)</p>", "[a](data:text/html,x)"),
    ("[a](/u/x)", "<p>[a](/u/x)</p>", "[a](/u/x)"),
    ("[a](//x.org)", "<p>[a](//x.org)</p>", "[a](//x.org)"),
    ("`a`", "<p>`a`</p>", "`a`"),
    ("a &#xfdd1; &#x202e; b", "<p>a   b</p>", "a   b"),
    ("a\ufdd1\u202e\x00b", "<p>ab</p>", "ab"),
    ("{{ 7|add:7 }}", "<p>{{ 7|add:7 }}</p>", "{{ 7|add:7 }}"),
]


def draft(body: str, **fields: object) -> Announcement:
    values: dict[str, object] = {"subject": "News of ours", "title": "News"}
    return Announcement(body=body, **values | fields)


@pytest.mark.parametrize(("typed", "html", "text"), MARKDOWN)
def test_markdown_is_shown_and_nothing_else_becomes_markup(typed, html, text) -> None:
    made = announcement.in_mail(draft(typed))
    assert str(made["body_html"]).strip() == html
    assert str(made["body_text"]) == text


@pytest.mark.parametrize(
    ("typed", "html"),
    [
        ("a\nb\n\nc", "<p>a<br>\nb</p>\n<p>c</p>\n"),
        ("<b>**a**", "<p>&lt;b&gt;**a**</p>\n"),
        (
            'See "https://x.org/?a&b".',
            '<p>See &quot;<a href="https://x.org/?a&amp;b">https://x.org/?a&amp;b</a>&quot;.</p>\n',
        ),
        ("javascript:x ftp://x.org", "<p>javascript:x ftp://x.org</p>\n"),
    ],
)
def test_plain_text_has_paragraphs_and_links(typed: str, html: str) -> None:
    made = announcement.in_mail(draft(typed, is_markdown=False))
    assert made["body_html"] == html
    assert made["body_text"] == announcement.clean(typed, lines=True)


@pytest.mark.parametrize("typed", ["![a](https://x.org/a.png)", "![a][b]", "<IMG src=x>"])
def test_an_image_is_refused(typed: str) -> None:
    with pytest.raises(ValidationError, match="Images are not supported"):
        announcement.check(typed)


WORDS = "Wörter, 言葉 und mehr. " * 12


@pytest.mark.parametrize(
    "one",
    [
        draft("\n\n".join(typed for typed, _, _ in MARKDOWN)),
        draft("-- \n--\n.\nFrom me\n\n--=_x", is_markdown=False),
        draft(f"# A\n\n{WORDS}\n\n- {WORDS}\n  - {WORDS}\n\n> {WORDS}", language="de"),
        draft("שלום " * 30, title="שלום", subject="שלום" * 20),
        draft("a", title="<b>&" * 40, subject="=?utf-8?q?=0D=0ABcc:_x=40x.org?="),
    ],
)
def test_its_mail_is_correct_in_every_language(one: Announcement) -> None:
    assert announcements.findings(one, now=make.NOON) == []


def test_a_mail_that_is_too_big_is_found() -> None:
    found = announcements.findings(draft("言" * 20_000), now=make.NOON)
    assert any("bytes" in one for one in found)
