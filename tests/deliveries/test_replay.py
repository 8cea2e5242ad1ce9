"""Preview and replay: the same mail again, and who a name in a mail belongs to."""

import io
import json
import sys
from email import message_from_bytes, policy
from email.utils import format_datetime

import pytest
from django.core.management import CommandError, call_command

from digest import signing
from digest.deliveries import replay
from digest.deliveries.plan import plan_edition
from digest.deliveries.send import send_due
from digest.editions import picks
from digest.editions.compose import Pick, Reader
from digest.editions.frames import load_frame
from digest.models import Delivery, Frame
from digest.ranking.loaded import load
from digest.signing import Purpose
from tests import make

pytestmark = pytest.mark.django_db


@pytest.fixture
def sent(sink, settings):
    """ann@example.org got an edition of two papers; her mail as it arrived."""
    settings.MAILER_URL = sink.url
    make.topic("knots", label="Graphs & networks")
    make.topic("films")
    make.reader("ann@example.org", "knots", "films")
    edition = make.edition(
        {
            make.paper(1, upvotes=41, title="On graphs"): {"knots": 1.0},
            make.paper(2, upvotes=3, title="Über Video"): {"films": 0.75},
            make.paper(3, upvotes=90): {"other": 1.0},
        }
    )
    plan_edition(edition, make.NOON)
    send_due(lambda: make.NOON, edition_id=edition.pk)
    (mail,) = sink.mails()
    return mail


def replayed(*arguments: str) -> tuple[bytes, str]:
    """Standard output as octets and standard error of `manage.py replay`."""
    out, err = io.TextIOWrapper(io.BytesIO()), io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", out)
        call_command("replay", *arguments, stderr=err)
    return out.buffer.getvalue(), err.getvalue()


def test_a_mail_is_replayed_byte_for_byte_with_its_scores(sent):
    content, scores = replayed("ann@example.org", "2026-04-17")
    assert content == sent.raw
    assert scores.splitlines() == [
        " 1 2604.00001 Graphs & networks, fit 1.00, 41 upvotes",
        " 2 2604.00002 Films, fit 0.75, 3 upvotes",
    ]


def test_a_replay_outlives_changes_of_settings_and_topics(sent, settings):
    settings.POSTAL_ADDRESS = "Elsewhere 5"
    settings.FROM_EMAIL = "Other <other@other.example>"
    make.topic("knots").delete()
    load.cache_clear()
    content, _ = replayed("ann@example.org", "2026-04-17")
    assert content == sent.raw


def header(raw: bytes, name: bytes) -> bytes:
    """Return a header of the mail as it is on the wire, unfolded; empty without it."""
    head = raw.partition(b"\r\n\r\n")[0].replace(b"\r\n ", b" ")
    found = [line for line in head.split(b"\r\n") if line.startswith(name + b": ")]
    return found[0].removeprefix(name + b": ") if found else b""


def test_m31_a_mail_says_that_it_expires_when_its_row_does(sent):
    row = Delivery.objects.get()
    assert header(sent.raw, b"Expires").decode() == format_datetime(row.expires_at)
    assert header(sent.raw, b"CFBL-Address") == b""
    assert b"mailto:" not in header(sent.raw, b"List-Unsubscribe")


def test_a_mail_of_before_the_header_is_replayed_without_it(sent):
    frame = Frame.objects.get()
    data = json.loads(frame.data)
    del data["expires"]
    Frame.objects.filter(pk=frame.pk).update(data=json.dumps(data, sort_keys=True))
    old = Delivery.objects.get()
    fingerprint = load_frame(old.edition, frame.fingerprint).fingerprint
    Frame.objects.filter(pk=frame.pk).update(fingerprint=fingerprint)
    Delivery.objects.update(picks=old.picks.replace(frame.fingerprint, fingerprint))
    load.cache_clear()
    content, _ = replayed("ann@example.org", "2026-04-17")
    lines = sent.raw.splitlines(True)
    assert content == b"".join(one for one in lines if not one.startswith(b"Expires:"))


def test_where_bounces_are_read_a_mail_names_its_own_address_there(sink, settings):
    settings.MAILER_URL, settings.BOUNCES_PIPED = sink.url, True
    make.reader("ann@example.org")
    edition = make.edition({make.paper(1): {}})
    plan_edition(edition, make.NOON)
    send_due(lambda: make.NOON, edition_id=edition.pk)
    (mail,) = sink.mails()
    row = Delivery.objects.get()
    assert row.subscriber
    address = mail.mail_from
    assert signing.delivery_of(address) == row.pk
    url = f"{settings.SITE_URL}/u/{row.subscriber.unsubscribe_token}"
    by_mail = f"mailto:{address}?subject=unsubscribe"
    assert header(mail.raw, b"List-Unsubscribe").decode() == f"<{url}>, <{by_mail}>"
    assert header(mail.raw, b"CFBL-Address").decode() == f"{address}; report=arf"
    settings.BOUNCES_PIPED = False  # a mail that went out is replayed as it was
    load.cache_clear()
    assert replayed("ann@example.org", "2026-04-17")[0] == mail.raw


def test_new_mails_follow_the_settings_of_today(sent, settings):
    settings.POSTAL_ADDRESS = "Elsewhere 5"
    load.cache_clear()
    row = Delivery.objects.get()
    assert row.subscriber
    content = replay.preview(row.subscriber, row.edition, now=make.NOON)
    assert b"Elsewhere 5" in content and b"Elsewhere 5" not in sent.raw
    assert Frame.objects.count() == 2


def test_a_preview_is_the_mail_that_goes_out(sent, tmp_path):
    call_command("preview", "ann@example.org", "--out", str(tmp_path), stdout=io.StringIO())
    content = (tmp_path / "daily-2026-04-17.eml").read_bytes()
    without_date = [
        b"".join(line for line in raw.splitlines(True) if not line.startswith(b"Date:"))
        for raw in (content, sent.raw)
    ]
    assert without_date[0] == without_date[1]
    assert "On graphs" in (tmp_path / "daily-2026-04-17.html").read_text()
    assert "On graphs" in (tmp_path / "daily-2026-04-17.txt").read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["replay", "bo@example.org", "2026-04-17"], "no reader has this address"),
        (["replay", "ann@example.org", "2026-04-18"], "no daily edition of 2026-04-18"),
        (["preview", "nonsense"], "address"),
        (["preview"], "--gallery"),
        (["preview", "ann@example.org", "--day", "2026-04-18"], "not published"),
    ],
)
def test_what_is_not_there_is_one_clear_line(sent, arguments, words):
    with pytest.raises(CommandError, match=words):
        call_command(*arguments)


def test_a_row_that_was_never_handed_over_is_not_replayed():
    make.reader("ann@example.org", "knots")
    edition = make.edition({make.paper(1): {"knots": 1.0}})
    plan_edition(edition, make.NOON)
    with pytest.raises(CommandError, match="the row is pending"):
        call_command("replay", "ann@example.org", "2026-04-17")


def test_m15_the_envelope_sender_tells_of_which_mail_a_bounce_is(sent):
    row = Delivery.objects.get()
    message = message_from_bytes(sent.raw, policy=policy.default)
    local, _, domain = sent.mail_from.partition("@")
    assert domain == message["From"].addresses[0].domain
    assert local.startswith("papers+") and len(local) <= 64
    assert signing.delivery_of(sent.mail_from) == row.pk
    assert signing.delivery_of(sent.mail_from.upper()) == row.pk


def test_m15_a_forged_bounce_address_is_nobodys():
    real = signing.senders("papers@example.org")(77)
    page = signing.name(Purpose.PAGE, 77)
    forged = [
        real.replace("+4d-", "+4e-"),
        real.replace("papers+", "papers+1"),
        f"papers+{page}@example.org",
        "papers@example.org",
        "papers+@example.org",
        "",
        real[:-14] + "@example.org",
    ]
    assert signing.delivery_of(real) == 77
    assert [signing.delivery_of(address) for address in forged] == [None] * len(forged)


def test_m15_a_local_part_too_long_stays_as_it_is():
    address = "p" * 60 + "@example.org"
    assert signing.senders(address)(7) == address


def test_names_survive_a_change_of_the_secret_key(settings):
    name = signing.name(Purpose.PAGE, 5)
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another-secret-key-for-tests-only-0123456789-abcdef"
    assert signing.read(Purpose.PAGE, name) == 5
    settings.SECRET_KEY_FALLBACKS = []
    assert signing.read(Purpose.PAGE, name) is None


def test_what_a_row_remembers_reads_back():
    make.topic("knots")
    encoded = load.__wrapped__(make.edition({make.paper(1): {}}).pk).encoded
    chosen = [Pick(0, 3), Pick(499, None)]
    text = picks.format_picks(encoded, Reader(1, "a@example.org", "t", "de"), chosen)
    found = picks.parse_picks(text)
    assert found and list(found.picks) == chosen and found.language == "de"
    assert found.fingerprint == encoded.fingerprint
    assert picks.format_picks(encoded, Reader(1, "a@example.org", "t"), []) == ""
    assert [picks.parse_picks(text) for text in ("", "0", "0 1", "x@y")] == [None] * 4
