"""M11: a mail stays whole at any size of its papers: papers are left out, never the foot."""

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from digest.editions.compose import MOST_BYTES, MOST_HTML, Pick, Reader
from digest.ops.gallery import gallery
from digest.ops.gallery.mail_lint import lint
from digest.ranking.loaded import load
from tests import make

pytestmark = pytest.mark.django_db
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
@pytest.mark.embedded
def test_m11_a_mail_with_large_papers_keeps_its_size_and_its_foot(language):
    reader = Reader(9, "ann@example.org", "A" * 22, language)
    raw = composed([large(number) for number in range(40)], 20, reader)
    html = raw.rpartition(b"quoted-printable\r\n\r\n")[2]
    assert MOST_HTML * 0.7 < len(html) <= MOST_HTML
    assert len(raw) <= MOST_BYTES
    assert lint(raw, postal_address="Sample Street 1") == []
    shown = len(re.findall(rb"<h2", html))
    assert 3 <= shown < 20
    words = {"en": "%d more papers of yours had no room", "de": "%d weitere Paper war"}
    flat = raw.replace(b"=\r\n", b"").decode()
    assert flat.count(words[language] % (20 - shown)) == 2
    assert flat.count("/u/" + READER.token) >= 4


def test_m11_even_one_paper_too_large_is_sent_within_the_limits():
    raw = composed([large(0)], 1)
    assert lint(raw, postal_address="Sample Street 1") == []
    assert b"had no room" not in raw.replace(b"=\r\n", b"")


def test_twenty_plain_papers_are_all_there():
    raw = composed([make.paper(number) for number in range(20)], 20)
    assert len(re.findall(rb"<h2", raw)) == 20


def test_composing_needs_no_query():
    encoded = load(make.edition({make.paper(1): {}, make.paper(2): {}}).pk).encoded
    with CaptureQueriesContext(connection) as queries:
        encoded.compose(READER, [Pick(0, None), Pick(1, None)], sent_at=make.NOON)
    assert len(queries) == 0


def test_the_next_picks_are_named_first_and_only_those():
    papers = [make.paper(n, upvotes=9 - n, title=f"Title {n}") for n in range(1, 7)]
    html = composed(papers, 6).rpartition(b"quoted-printable")[2].replace(b"=\r\n", b"")
    line = re.search(rb'<p class=3D"ahead"[^>]*>(.*?)</p>', html)
    assert line and line[1].decode().replace("=C2=A0=C2=B7", " ·") == (
        "Also inside · Title 2 · Title 3 · Title 4"
    )


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
