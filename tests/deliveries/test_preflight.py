"""Preflight: an edition that nobody should get is held before anything is claimed."""

import re
from datetime import timedelta

import pytest
from django.db.models import Value
from django.db.models.functions import Concat

from digest.deliveries import control, ledger, preflight
from digest.deliveries.plan import due_editions, plan_edition
from digest.deliveries.plan import plan as make_rows
from digest.editions.publish import publish
from digest.models import Block, Delivery, Edition
from digest.papers import ingest
from digest.papers.records import parse_entry
from digest.ranking import loaded
from tests import make

pytestmark = pytest.mark.django_db
NOW = make.NOON
HOSTILE = {
    "title": "\x0b\ud800\u202e\uffff <b>{{x}}</b> \r\n.\r\nMAIL FROM:<x@example.org>",
    "abstract": "\ud800" + "word " * 200_000,
}


@pytest.fixture
def reader():
    return make.reader("ann@example.org", "graphs")


def plan(now) -> int:
    """As a tick does: what is new is checked before its rows are made."""
    preflight.check_new(due_editions(now), now)
    return make_rows(now)


def broken(**fields: object) -> Edition:
    edition = make.edition({make.paper(1): {"graphs": 1.0}, make.paper(2): {}})
    Block.objects.filter(position=1).update(**fields)
    return edition


def test_r10_a_sound_edition_is_planned_and_goes_on(reader):
    make.edition({make.paper(number): {"graphs": 1.0} for number in range(1, 13)})
    assert plan(NOW) == 1
    assert Edition.objects.get().hold == ""
    assert len(ledger.claim(NOW, limit=9)) == 1


def test_r10_mails_that_name_an_inbox_to_leave_by_mail_are_sound(reader, settings):
    settings.BOUNCES_PIPED = True
    make.edition({make.paper(number): {"graphs": 1.0} for number in range(1, 13)})
    assert plan(NOW) == 1
    assert Edition.objects.get().hold_reason == ""


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"html": "no marks", "text": "no marks"}, id="no marks"),
        pytest.param({"html": Concat("html", Value("y " * 80_000))}, id="too big"),
    ],
)
def test_r10_what_all_mails_share_holds_the_edition_before_anything_is_claimed(
    reader, fields, caplog
):
    edition = broken(**fields)
    assert plan(NOW) == 1
    edition.refresh_from_db()
    assert edition.hold == "paused" and edition.hold_reason.startswith(
        "preflight check failed: "
    )
    assert "is paused: its mails are not sound" in caplog.text
    assert ledger.claim(NOW, limit=9) == []
    assert Delivery.objects.get().state == "pending", "counted, and not lost"


def test_r10_an_edition_that_is_held_holds_no_other(reader):
    broken(html="no marks", text="no marks")
    make.edition({make.paper(3): {"graphs": 1.0}}, day=make.DAY + timedelta(days=1))
    later = NOW + timedelta(days=1)
    assert plan(later) == 1
    assert [row.edition_id for row in ledger.claim(later, limit=9)] == [
        Edition.objects.get(hold="").pk
    ]


def test_r10_who_resumes_it_is_not_overruled(reader):
    edition = broken(title="")
    Edition.objects.update(hold="paused")
    control.resume(edition, now=make.NOON)
    plan(NOW)
    Edition.objects.update(planned_until=NOW)
    loaded.load.cache_clear()
    Block.objects.update(html="no marks", text="no marks")
    plan(NOW)
    assert Edition.objects.get().hold == ""


def test_r10_an_old_edition_sent_by_hand_is_looked_at_too(reader):
    edition = broken(html="no marks", text="no marks")
    preflight.check_new(Edition.objects.all(), NOW + timedelta(days=9))
    assert plan_edition(edition, NOW + timedelta(days=9)) == 1
    assert Edition.objects.get().hold == "paused"


def test_r10_looking_again_changes_nothing(reader):
    edition = broken(html="no marks", text="no marks")
    assert preflight.hold_if_failing(edition)
    assert not preflight.hold_if_failing(edition), "it is held already"
    Edition.objects.update(hold="cancelled")
    assert not preflight.hold_if_failing(edition)
    assert Edition.objects.get().hold == "cancelled"


def test_r10_hostile_papers_do_not_stop_an_edition(reader):
    entry = HOSTILE | {"id": "2604.00009", "authors": ["\x00", "'\"<>" * 50]}
    ingest.store([parse_entry({"paper": entry}, day=make.DAY)], now=NOW)
    publish(make.DAY, now=make.RELEASE)
    assert plan(NOW) == 1
    assert Edition.objects.get().hold_reason == ""
    assert "MAIL FROM" in Block.objects.get().title


def sound() -> preflight.SampleMail:
    ready = loaded.load(make.edition({make.paper(1): {"graphs": 1.0}}).pk)
    return next(preflight.mails(ready))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (b"", b"x" * 1000 + b"\r\n", "a line is too long"),
        (b"\r\n", b"\n", "ends without CRLF"),
        (b"To: preflight-", b"To: somebody-", "headers"),
        (b"Precedence: bulk\r\n", b"", "headers"),
        (b"Precedence: bulk\r\n", b"Precedence: bulk\r\nBcc: x@example.org\r\n", "headers"),
        (b"text/html", b"text/other", "a text part and an html part"),
        (b"text/plain", b"text/other", "a text part and an html part"),
        (b"multipart/alternative", b"text/plain", "a text part and an html part"),
        (b"/u/", b"/nowhere/", "headers|not what was meant"),
        (b"\r\nPaper 1\r\n", b"\r\nPaper 2\r\n", "plain part is not what was meant"),
        (b"<h1", b"<p", "html part is not what was meant"),
        (b"\r\nPaper 1\r\n", b"\r\n--Paper 1\r\n", "delimiter of a part"),
        (b"</body>", b"x=\r\n" * 60_000 + b"</body>", "bytes"),
    ],
)
def test_r10_a_mail_that_must_not_go_out_is_told_from_one_that_may(old, new, words):
    sample = sound()
    preflight.read(sample)
    mail = (
        sample.mail.replace(old, new, 1) if old != b"/u/" else sample.mail.replace(old, new)
    )
    assert mail != sample.mail
    with pytest.raises(preflight.PreflightFailed, match=words):
        preflight.read(sample._replace(mail=mail))


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param(b"--B--\r\n", id="ends all"),
        pytest.param(b"--B\r\n", id="begins a part"),
        pytest.param(b"--B\r\nContent-Type: text/html\r\n\r\nx\r\n", id="its own html"),
        pytest.param(
            b"--B\r\nContent-Type: text/html\r\n\r\nx\r\n--B--\r\n", id="its own, and ends"
        ),
        pytest.param(b"--other\r\n", id="a delimiter for a lenient parser"),
    ],
)
def test_m30_a_delimiter_within_a_text_is_seen(lines):
    sample = sound()
    lines = lines.replace(b"B", re.findall(rb'boundary="([^"]+)"', sample.mail)[0])
    mail = sample.mail.replace(b"DAILY PAPERS\r\n", b"DAILY PAPERS\r\n" + lines, 1)
    assert mail != sample.mail
    with pytest.raises(preflight.PreflightFailed):
        preflight.read(sample._replace(mail=mail))


def test_m30_no_two_samples_have_the_same_address_or_token():
    ready = loaded.load(make.edition({make.paper(1): {"graphs": 1.0}}).pk)
    samples = [next(preflight.mails(ready)) for _ in range(3)]
    assert len({sample.reader.address for sample in samples}) == 3
    assert len({sample.reader.token for sample in samples}) == 3
