"""M30: papers that know what was constant in an earlier mail of the same day.

Their authors are subscribed, read their mail, and write a paper that holds what they saw.
The next edition of the day must be the mail that was meant, for two parsers.
"""

import json
import re
from email import message_from_bytes

import pytest

from digest.deliveries import preflight
from digest.editions.compose import Pick, Reader
from digest.editions.encode import encode
from digest.editions.frames import FrameContent, frame_content, load_frame, store_frame
from digest.editions.publish import publish
from digest.models import Edition, Frame, Paper
from digest.ops.gallery import gallery
from digest.papers import ingest
from digest.papers.records import parse_entry
from digest.ranking.loaded import load
from digest.transport.base import as_json, as_text
from subscribers.models import Notice
from tests import make
from tests.mail.reading import in_python, in_rust

pytestmark = [pytest.mark.django_db, pytest.mark.embedded]
READER = Reader(delivery_id=7, address="ann@example.org", token="A" * 21 + "_")
FIELDS = ["title", "abstract", "authors", "organization"]
# Each finds a constant in the raw bytes of an earlier mail.
IN_A_MAIL = {
    "the boundary": r'boundary="([^"]+)"',
    "an opening of a part": r"(?m)^(--[^\r\n]+[^-\r\n])\r$",
    "the end of all parts": r"(?m)^(--[^\r\n]+--)\r$",
    "the message id": r"Message-ID: (\S+)",
    "the list": r"List-Id: (.+?)\r\n",
    "the feedback id": r"Feedback-ID: (\S+)",
    "the type of a part": r"(?m)^(Content-Type: text/html.*?)\r$",
    "the way out": r"List-Unsubscribe: <(\S+)>",
    "the sender": r"From: (.+?)\r\n",
    "the line before the foot": r"(?m)^(=2D- ?|--=20|-- )",
    "the first line": r"(DAILY PAPERS)",
}
# Known from the source: marks, slots and what mail servers and mailboxes take for theirs.
BY_NAME = {
    "a dot": ".",
    "two dots": "..",
    "a line with a dot": ".quit",
    "an end of a mail": "\r\n.\r\nMAIL FROM:<x@example.org>",
    "dashes": "--",
    "a dash at a time": "- - --",
    "an mbox": "From nobody Mon Sep 17 00:00:00 2001",
    "an encoded dash": "=2D-",
    "a soft break": "=\r\n--x",
    "an older boundary": "--daily-papers-daily-20260417--",
    "an older boundary of single mails": "--=_daily-papers--",
    "marks": "".join(map(chr, range(0xFDD0, 0xFDF0))) + "x",
    "a phrase": "\ufdd8web:0\ufdd9",
    "a link to vote": "\ufdd7\ufdd5/\ufdda\ufdd7",
    "a slot": "slot-To-slot",
    "the slot of the html": "slot-html-slot",
    "a frame": '{"boundary": "x", "spoken": {}}',
    "the canary": "canary-canary-canary-c",
    "the canary's address": "canary@daily-papers.example",
    "a header": "Content-Type: text/html",
}


def entry(number: int, **fields: object) -> dict[str, object]:
    plain: dict[str, object] = {
        "id": f"2604.{number:05}",
        "title": f"Paper {number}",
        "summary": f"What paper {number} finds. It is short.",
        "authors": [{"name": "Ada Example"}],
        "upvotes": 99 - number,
    }
    return {"paper": plain | fields}


def with_constant(field: str, text: str, number: int) -> dict[str, object]:
    named: dict[str, dict[str, object]] = {
        "title": {"title": text},
        "abstract": {"summary": text},
        "authors": {"authors": [{"name": text}]},
        "organization": {"organization": {"name": text, "fullname": text}},
    }
    return entry(number, **named[field])


def published(entries: list[dict[str, object]]) -> Edition:
    ingest.store([parse_entry(one, day=make.DAY) for one in entries], now=make.NOON)
    return publish(make.DAY, now=make.RELEASE)


def unpublish() -> None:
    Frame.objects.all().delete()
    Edition.objects.all().delete()
    Paper.objects.all().delete()
    load.cache_clear()


def mail_of(edition: Edition) -> tuple[bytes, list[tuple[str, str]]]:
    """A reader's mail of all papers, and the two parts that were meant."""
    encoded = load(edition.pk).encoded
    picks = [Pick(position, None) for position in range(len(encoded.titles))]
    meant = encoded.letter(READER, picks, sent_at=make.NOON)
    parts = [
        ("text/plain", as_text(meant.text, meant.values)),
        ("text/html", as_text(meant.html, meant.values)),
    ]
    return encoded.compose(READER, picks, sent_at=make.NOON), parts


def hostile_entries(text: str) -> list[dict[str, object]]:
    """Papers with this in each field: alone, at its start, twice."""
    return [
        with_constant(field, words, 10 * place + variant)
        for place, field in enumerate(FIELDS, start=1)
        for variant, words in enumerate([text, f"{text} and more words", f"{text} {text}"])
    ]


def check(raw: bytes, meant: list[tuple[str, str]]) -> None:
    assert in_python(raw) == in_rust(raw) == meant
    head, body = raw.split(b"\r\n\r\n", 1)
    assert len(re.findall(rb"(?m)^--", body)) == 3
    assert not re.search(rb"(?m)^(\.|From )", body)
    assert all(f"/u/{READER.token}" in text for _, text in meant)


@pytest.mark.parametrize("name", [*IN_A_MAIL, *BY_NAME])
def test_m30_a_paper_that_holds_a_constant_of_an_earlier_mail_is_only_text(name):
    published([entry(1)])
    earlier, _ = mail_of(Edition.objects.get())
    known = BY_NAME.get(name) or re.findall(IN_A_MAIL[name], earlier.decode())[0]
    unpublish()
    edition = published(hostile_entries(known))
    check(*mail_of(edition))
    assert not preflight.hold_if_failing(edition)


def test_m30_two_papers_that_know_the_boundary_do_not_replace_the_html_part():
    published([entry(1)])
    earlier, _ = mail_of(Edition.objects.get())
    boundary = message_from_bytes(earlier).get_boundary()
    unpublish()
    edition = published(
        [
            entry(1, title=f"--{boundary}"),
            entry(2, title="Content-Type: text/html", summary="<b>the attacker's</b>"),
            entry(3, title=f"--{boundary}--"),
        ]
    )
    raw, meant = mail_of(edition)
    check(raw, meant)


def test_m30_each_edition_has_a_boundary_of_its_own_and_no_text_can_hold_it():
    found = set()
    for _ in range(3):
        raw, _ = mail_of(published([entry(1)]))
        boundary = message_from_bytes(raw).get_boundary() or ""
        assert re.fullmatch(r"=_[0-9a-f]{32}", boundary)
        found.add(boundary)
        unpublish()
    assert len(found) == 3


def test_m30_processes_that_load_an_edition_at_once_have_the_same_boundary():
    edition = make.edition({make.paper(1): {}})
    first, second = (frame_content(edition, topics=[]) for _ in range(2))
    assert first.boundary != second.boundary and first.fingerprint == second.fingerprint
    assert (
        store_frame(edition, first)
        == store_frame(edition, second)
        == load_frame(edition, first.fingerprint)
    )
    assert Frame.objects.count() == 1


def test_m30_replay_gives_the_same_bytes_after_the_process_has_ended():
    edition = make.edition({make.paper(1): {}})
    raw, _ = mail_of(edition)
    load.cache_clear()
    assert mail_of(edition)[0] == raw


def test_m30_a_frame_of_before_makes_the_bytes_of_before_and_is_used_no_more():
    edition = make.edition({make.paper(1, title="-- two dashes"): {}})
    now = frame_content(edition, topics=[])
    old = FrameContent(now.sender, now.site, now.topics, now.spoken)
    stored = json.loads(old.as_json())
    assert "boundary" not in stored
    store_frame(edition, old)
    assert load_frame(edition, old.fingerprint) == old
    encoded = encode(edition, list(edition.blocks.all()), around=old)
    raw = encoded.compose(READER, [Pick(0, None)], sent_at=make.NOON)
    assert b'boundary="daily-papers-daily-20260417"' in raw
    assert b"\r\n-- two dashes\r\n" in raw and b"\r\n--=20\r\n" in raw
    assert load(edition.pk).encoded.fingerprint != old.fingerprint
    assert b"daily-papers-daily-20260417" not in mail_of(edition)[0]


@pytest.mark.parametrize("token", ["--" + "A" * 20, "-" * 22, "-A" * 11])
def test_m30_a_reader_s_own_token_never_looks_like_a_delimiter(token):
    make.edition({make.paper(1): {}})
    encoded = load(Edition.objects.get().pk).encoded
    reader = READER._replace(token=token)
    raw = encoded.compose(reader, [Pick(0, None)], sent_at=make.NOON)
    assert len(re.findall(rb"(?m)^--", raw.split(b"\r\n\r\n", 1)[1])) == 3
    assert in_python(raw) == in_rust(raw)
    assert all(text.count(f"/u/{token}") == 2 for _, text in in_python(raw))


@pytest.mark.parametrize("name", BY_NAME)
def test_m30_a_provider_s_json_holds_the_same_text(name):
    edition = published(hostile_entries(BY_NAME[name]))
    encoded = load(edition.pk).encoded
    picks = [Pick(position, None) for position in range(len(encoded.titles))]
    meant = encoded.letter(READER, picks, sent_at=make.NOON)
    raw, parts = mail_of(edition)
    joined = [as_json(meant.text, meant.values), as_json(meant.html, meant.values)]
    assert [json.loads(b'"%b"' % one) for one in joined] == [text for _, text in parts]


@pytest.mark.parametrize("kind", list(Notice.Kind))
@pytest.mark.parametrize("text", ["--", "--=_daily-papers--", "-- x", ".", "..x", "From x"])
def test_m30_no_line_of_a_single_mail_looks_like_a_delimiter(
    kind, text, settings, monkeypatch
):
    settings.POSTAL_ADDRESS = f"Sample Street 1\n{text} {'long words ' * 20}\n{text}\nx"
    monkeypatch.setattr(gallery, "TOPICS", [("a", text), ("b", f"{text} {'x' * 90}")])
    raw = gallery.single(kind, make.NOON)
    assert in_python(raw) == in_rust(raw)
    assert [kind for kind, _ in in_python(raw)] == ["text/plain", "text/html"]
    assert f"\n{text}" in in_python(raw)[0][1]
    head, body = raw.replace(b"\r\n", b"\n").split(b"\n\n", 1)
    assert len(re.findall(rb"(?m)^--", body)) == 3
    assert not re.search(rb"(?m)^(\.|From )", body)
    assert max(map(len, body.split(b"\n"))) <= 76
    another = message_from_bytes(gallery.single(kind, make.NOON)).get_boundary()
    assert another and another.encode() not in raw
