"""M11: a mail stays whole at any size of its papers: papers are left out, never the foot."""

import re
from datetime import date
from email import message_from_bytes, policy

import html5lib
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from digest.editions.compose import MOST_BYTES, MOST_HTML, Pick, Reader
from digest.models import Paper
from digest.ops.gallery import gallery
from digest.ops.gallery.mail_lint import lint
from digest.ranking.loaded import load
from tests import make

pytestmark = [pytest.mark.django_db, pytest.mark.embedded]
READER = Reader(delivery_id=9, address="ann@example.org", token="A" * 22)


def composed(papers, count: int, reader: Reader = READER) -> bytes:
    encoded = load(make.edition({paper: {} for paper in papers}).pk).encoded
    picks = [Pick(place, None) for place in range(count)]
    return encoded.compose(reader, picks, sent_at=make.NOON)


def large(number: int):
    return make.paper(
        number,
        upvotes=1000 - number,
        title=f"{number} {gallery.CHINESE * 40}"[:500],
        abstract=gallery.CHINESE_TEXT * 8,
        authors=["図" * 120] * 3,
        author_count=9,
    )


@pytest.mark.parametrize("language", ["en", "de"])
def test_m11_a_mail_with_large_papers_keeps_its_size_and_its_foot(language):
    reader = Reader(9, "ann@example.org", "A" * 22, language)
    raw = composed([large(number) for number in range(40)], 20, reader)
    html = raw.rpartition(b"quoted-printable\r\n\r\n")[2]
    assert MOST_HTML * 0.7 < len(html) <= MOST_HTML
    assert len(raw) <= MOST_BYTES
    assert lint(raw, postal_address="Sample Street 1") == []
    shown = len(re.findall(rb"<h2", html))
    assert 3 <= shown < 20
    words = {"en": "%d more papers for you did not fit", "de": "%d weitere Paper f"}
    flat = raw.replace(b"=\r\n", b"").decode()
    assert flat.count(words[language] % (20 - shown)) == 2
    assert flat.count("/u/" + READER.token) >= 4


def test_m11_even_one_paper_too_large_is_sent_within_the_limits():
    raw = composed([large(0)], 1)
    assert lint(raw, postal_address="Sample Street 1") == []
    assert b"did not fit" not in raw.replace(b"=\r\n", b"")


def test_twenty_plain_papers_are_all_there():
    raw = composed([make.paper(number) for number in range(20)], 20)
    assert len(re.findall(rb"<h2", raw)) == 20


def test_composing_needs_no_query():
    encoded = load(make.edition({make.paper(1): {}, make.paper(2): {}}).pk).encoded
    with CaptureQueriesContext(connection) as queries:
        encoded.compose(READER, [Pick(0, None), Pick(1, None)], sent_at=make.NOON)
    assert len(queries) == 0


@pytest.mark.parametrize("language", ["en", "de"])
def test_the_first_200_characters_name_three_papers(language):
    """Mailboxes make their preview from them, and some summarise them."""
    papers = [
        make.paper(n, upvotes=9 - n, title=f"{n} {'long title ' * 20}") for n in range(6)
    ]
    reader = Reader(9, "ann@example.org", "A" * 22, language)
    message = message_from_bytes(composed(papers, 6, reader), policy=policy.default)
    html = re.sub(r"<!--.*?-->", "", text_of(message, "html"))
    body = html5lib.parse(html, namespaceHTMLElements=False).find("body")
    assert body is not None
    seen = " ".join("".join(body.itertext()).split())
    for start in (seen[:200], " ".join(text_of(message, "plain").split())[:200]):
        assert all(f"{n} long title long title long" in start for n in range(3))


def test_the_list_at_the_top_names_all_papers_of_the_mail():
    papers = [make.paper(n, upvotes=9 - n, title=f"Title {n}") for n in range(1, 7)]
    message = message_from_bytes(composed(papers, 6), policy=policy.default)
    listed = re.findall(r"<li>(.*?)</li>", text_of(message, "html"))
    assert listed == [f"Title {n}" for n in range(1, 7)]
    assert re.findall(r"(?m)^\* (.*)$", text_of(message, "plain")) == listed


def text_of(message, kind: str) -> str:
    return str(message.get_body((kind,)).get_content()).replace("\r\n", "\n")


LENGTHS = {
    # (titles in the list, whether the abstract's first and last sentence are there)
    "titles": (0, False, False),
    "short": (2, True, False),
    "abstracts": (2, True, True),
}


@pytest.mark.parametrize("length", LENGTHS)
def test_a_reader_chooses_the_length_of_the_mail(length):
    abstract = "It starts here. " + "It goes on and on. " * 20 + "It ends there."
    papers = [make.paper(n, upvotes=9 - n, abstract=abstract) for n in (1, 2)]
    reader = READER._replace(length=length)
    message = message_from_bytes(composed(papers, 2, reader), policy=policy.default)
    listed, starts, ends = LENGTHS[length]
    for kind, item in (("html", "<li>"), ("plain", "\n* ")):
        text = text_of(message, kind)
        assert text.count(item) == listed
        assert ("It starts here." in text, "It ends there." in text) == (starts, ends)
        assert text.count("Paper 1") >= 1 and text.count("/v/") == 4


@pytest.mark.parametrize(
    ("kind", "day", "subject", "headline"),
    [
        ("daily", date(2026, 4, 17), "17 Apr · Paper 1 +1", "2 papers for you"),
        ("weekly", date(2026, 4, 17), "11–17 Apr · Paper 1 +1", "Your week: 2 papers"),
        ("weekly", date(2026, 5, 3), "27 Apr–3 May · Paper 1 +1", "Your week: 2 papers"),
    ],
)
def test_the_subject_says_day_and_substance(kind, day, subject, headline):
    papers: dict[Paper, dict[str, float]] = {
        make.paper(n, day=day, upvotes=9 - n): {} for n in (1, 2)
    }
    encoded = load(make.edition(papers, kind=kind, day=day).pk).encoded
    raw = encoded.compose(READER, [Pick(0, None), Pick(1, None)], sent_at=make.NOON)
    message = message_from_bytes(raw, policy=policy.default)
    assert message["Subject"] == subject
    assert "<h1" in text_of(message, "html") and headline in text_of(message, "html")
    assert headline in text_of(message, "plain")


@pytest.mark.parametrize(
    "title", ["Long words " * 20, "長い文章を読む" * 30, "e\u0301" * 90]
)
def test_a_subject_is_shown_whole(title):
    raw = composed([make.paper(1, upvotes=9, title=title), make.paper(2)], 2)
    subject = str(message_from_bytes(raw, policy=policy.default)["Subject"])
    assert 40 < len(subject) <= 60
    assert subject.startswith("17 Apr · ") and subject.endswith("… +1")


def test_m8_m9_list_and_feedback_id_are_the_same_for_all_readers():
    encoded = load(make.edition({make.paper(1): {}}).pk).encoded
    mails = [
        encoded.compose(
            Reader(n, f"r{n}@example.org", "B" * 22), [Pick(0, None)], sent_at=make.NOON
        )
        for n in (1, 2)
    ]
    for name in (b"List-Id", b"Feedback-ID"):
        one, other = (re.search(rb"(?m)^%b: .*$" % name, raw) for raw in mails)
        assert one and other and one[0] == other[0]
        assert b"r1@" not in one[0]


def test_m5_the_way_out_is_in_one_line_at_a_long_address(settings):
    settings.SITE_URL = f"https://{'daily-papers-of-a-large-house.' * 3}example.org"
    settings.SITE_HOST = settings.SITE_URL.removeprefix("https://")
    raw = composed([make.paper(1)], 1)
    url = f"<{settings.SITE_URL}/u/{READER.token}>".encode()
    assert b"\r\nList-Unsubscribe: " + url + b"\r\n" in raw
    assert b"\r\nList-Id: Daily Papers\r\n <daily.daily-papers-of" in raw
    assert lint(raw, postal_address="Sample Street 1") == []
