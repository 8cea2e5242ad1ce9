"""The parts of a digest that a provider's API gets are those of the mail that SMTP gets."""

import email
import email.policy
import json

import pytest

from digest.editions.compose import Pick, Reader
from digest.ranking.loaded import load
from digest.transport import base
from tests import make

pytestmark = [pytest.mark.django_db, pytest.mark.embedded]

HOSTILE = [
    'Quotes "and" \\ backslashes',
    "Ünïcödé 論文 𝔸 \u200fעברית",
    ".\n..\n.leading dots",
    "=?utf-8?q?encoded?= = =3D",
    "A " * 90 + "long one",
]
# What an API takes as a field of its own, or makes itself.
FRAME = {"MIME-Version", "Content-Type"}


@pytest.fixture
def encoded():
    load.cache_clear()
    topic = make.topic("graphs")
    papers = {
        make.paper(number, upvotes=number, title=title, abstract=title * 3): {
            topic.slug: 1.0
        }
        for number, title in enumerate(HOSTILE)
    }
    return load(make.edition(papers).pk).encoded


@pytest.mark.parametrize("language", ["en", "de"])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_the_parts_say_what_the_mail_says(encoded, language, count):
    reader = Reader(7, "ann@example.org", "t" * 22, language)
    picks = [Pick(place, 0) for place in range(count)]
    raw = encoded.compose(reader, picks, sent_at=make.NOON)
    mail = email.message_from_bytes(raw, policy=email.policy.default)
    letter = encoded.letter(reader, picks, sent_at=make.NOON)
    text, html = mail.get_body(("plain",)), mail.get_body(("html",))
    for part, pieces in ((text, letter.text), (html, letter.html)):
        assert part
        content = part.get_content().replace("\r\n", "\n")
        assert base.as_text(pieces, letter.values) == content
        assert json.loads(b'"%b"' % base.as_json(pieces, letter.values)) == content
    fields = {**letter.shared, **letter.own}
    assert set(fields) == set(mail.keys())
    for name in set(fields) - FRAME:
        assert fields[name] == str(mail[name])
    assert letter.own.keys() >= {"Subject", "To", "Date", "Message-ID", "List-Unsubscribe"}
    assert letter.sent_at == make.NOON


def test_pieces_that_readers_share_are_turned_once(encoded):
    picks = [Pick(place, 0) for place in range(5)]
    base.in_json.cache_clear()
    missed = []
    for number in range(3):
        reader = Reader(number, f"r{number}@example.org", f"{number:022}")
        letter = encoded.letter(reader, picks, sent_at=make.NOON)
        base.as_json([*letter.text, *letter.html], letter.values)
        missed.append(base.in_json.cache_info().misses)
    own = missed[2] - missed[1]
    assert missed[1] - missed[0] == own <= 4  # the names in the reader's links
