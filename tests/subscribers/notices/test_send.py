"""Single mails over a real socket: the octets, the outcomes, and never twice."""

import re
from datetime import timedelta

import pytest
from django.template import TemplateDoesNotExist

from subscribers import links, subscriptions, tasks
from subscribers.models import Link, Notice, Subscriber
from subscribers.notices import outbox
from subscribers.notices.send import claim_notice, send_open_notices, sweep
from tests.race import at_once
from tests.sink import Sink
from tests.smtp_sink import Illness
from tests.subscribers.conftest import NOW, ORIGIN, TOKEN, ask, notices

pytestmark = pytest.mark.usefixtures("topics")


def owed(email: str = "ann@example.org", kind: str = "confirm") -> Notice:
    """A notice in the outbox, made as people make it."""
    subscriptions.subscribe(
        *ask(email, interests="Win $$ http://evil.test"), origin=ORIGIN, now=NOW
    )
    if kind != "confirm":
        Notice.objects.all().delete()
        reader = Subscriber.objects.get()
        token = links.make(reader, Link.Purpose.CONFIRM, now=NOW)
        subscriptions.confirm(token, origin=ORIGIN, now=NOW)
        Notice.objects.all().delete()
        outbox.enqueue(reader, Notice.Kind(kind), now=NOW)
    return Notice.objects.get()


def send(*, minutes: int = 0) -> None:
    send_open_notices(now=NOW + timedelta(minutes=minutes))


def test_a_sign_up_is_answered_by_one_mail(mailer: Sink) -> None:
    owed("Ann@example.org")
    send()
    send()
    (got,) = mailer.mails()
    message = got.message
    assert got.rcpt == ("Ann@example.org",)
    assert got.mail_from == "papers@daily-papers.example"
    assert message["Subject"] == "Please confirm your subscription to Daily Papers"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["X-Auto-Response-Suppress"] == "All"
    assert message["Date"].datetime == NOW
    assert re.fullmatch(
        r"<notice-[0-9a-f]{24}@daily-papers\.example>", message["Message-ID"]
    )
    assert "List-Unsubscribe" not in message
    assert [part.get_content_type() for part in message.iter_parts()] == [
        "text/plain",
        "text/html",
    ]
    assert notices() == [("confirm", "accepted")]


def test_s3_the_mail_to_confirm_holds_no_word_of_a_stranger(mailer: Sink) -> None:
    owed("www.evil.test/win@example.org")
    send()
    (got,) = mailer.mails()
    bodies = "".join(part.get_content() for part in got.message.iter_parts())
    for words in (got.raw.decode(), bodies):
        assert "Win $$" not in words
        assert "http://evil.test" not in words
    assert "evil" not in bodies
    assert "Graphs" in bodies
    assert "/block/" in bodies


@pytest.mark.parametrize("kind", ["confirm", "welcome", "already", "preferences"])
def test_s7_each_mail_is_seven_bit_and_clean_on_the_wire(
    mailer: Sink, settings, kind: str
) -> None:
    settings.SITE_URL = (
        "https://a-rather-long-name-of-a-host.papers.example.org/under/a/path"
    )
    local = "a" * 64
    owed(f"{local}@example.org", kind)
    send()
    (got,) = mailer.mails()
    assert got.raw.isascii()
    assert not re.search(rb"(?<!\r)\n|\r(?!\n)|\x00", got.raw)
    assert max(len(line) for line in got.raw.split(b"\r\n")) <= 998
    assert b"=?utf-8" not in got.raw.split(b"\r\n\r\n")[0].lower()
    text, html = got.message.iter_parts()
    for part in (text, html):
        assert TOKEN.search(part.get_content())
        assert "{" not in re.sub(
            r"<style.*?</style>", "", part.get_content(), flags=re.DOTALL
        )
    assert got.message["To"] == f"{local}@example.org"
    assert "&" not in text.get_content()
    assert settings.POSTAL_ADDRESS in text.get_content()
    assert settings.POSTAL_ADDRESS in html.get_content()


@pytest.mark.parametrize("kind", ["welcome", "already", "preferences"])
def test_a_reader_can_leave_by_one_click_from_every_mail(
    mailer: Sink, settings, kind: str
) -> None:
    owed(kind=kind)
    send()
    (got,) = mailer.mails()
    token = Subscriber.objects.get().unsubscribe_token
    assert got.message["List-Unsubscribe"] == f"<{settings.SITE_URL}/u/{token}>"
    assert got.message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"


def test_the_mailed_link_is_the_one_that_works(mailer: Sink) -> None:
    owed()
    send()
    text, _ = mailer.mails()[0].message.iter_parts()
    found = TOKEN.search(text.get_content())
    assert found
    link = links.read(found[1], Link.Purpose.CONFIRM, now=NOW)
    assert link.expires_at == NOW + timedelta(hours=48)


def test_a_refusal_for_now_is_tried_again_later(mailer: Sink) -> None:
    owed("ann+rcpt-450x1@example.org")
    send()
    assert (mailer.mails(), notices()) == ([], [("confirm", "pending")])
    send()
    assert mailer.mails() == []
    send(minutes=2)
    assert len(mailer.mails()) == 1
    assert notices() == [("confirm", "accepted")]


def test_after_five_refusals_it_is_given_up(mailer: Sink) -> None:
    notice = owed("ann+dot-451@example.org")
    for hour in range(0, 40, 2):
        send(minutes=hour * 60)
    notice.refresh_from_db()
    assert (notice.state, notice.attempts) == ("refused", 5)
    assert notice.reason.startswith("451")
    assert mailer.mails() == []


def test_r34_what_ended_before_the_mail_did_is_tried_again(mailer: Sink) -> None:
    owed("ann+body-dropx1@example.org")
    send()
    assert notices() == [("confirm", "pending")]
    send(minutes=2)
    assert notices() == [("confirm", "accepted")]
    assert len(mailer.mails()) == 1


@pytest.mark.parametrize("fault", ["rcpt-550", "data-554", "dot-554"])
def test_a_refusal_for_good_is_the_end(mailer: Sink, fault: str) -> None:
    owed(f"ann+{fault}@example.org")
    send()
    send(minutes=600)
    assert notices() == [("confirm", "refused")]
    assert mailer.mails() == []


@pytest.mark.parametrize("fault", ["dot-keep-drop", "dot-keep-garbage", "dot-hang"])
def test_without_an_answer_it_is_never_sent_again(mailer: Sink, fault: str) -> None:
    owed(f"ann+{fault}@example.org")
    send()
    send(minutes=600)
    assert notices() == [("confirm", "unknown")]
    assert len(mailer.mails()) <= 1


def test_a_server_that_is_down_costs_no_attempt(mailer: Sink, settings) -> None:
    notice = owed()
    up = settings.MAILERS
    closed = {"host": "127.0.0.1", "port": 9, "timeout": 3}
    settings.MAILERS = {"default": up["default"] | {"OPTIONS": closed}}
    for minute in range(20):
        send(minutes=minute)
    notice.refresh_from_db()
    assert (notice.state, notice.attempts) == ("pending", 0)
    settings.MAILERS = up
    send(minutes=20)
    assert len(mailer.mails()) == 1


@pytest.mark.parametrize(
    ("stage", "reply"),
    [
        ("mail", "530 5.7.0 Must issue a STARTTLS command first"),
        ("mail", "452 4.3.1 insufficient system storage"),
        ("rcpt", "554 5.7.1 Relay access denied"),
        ("dot", "550 5.7.60 not permitted to send as this sender"),
    ],
)
def test_r32_what_a_relay_says_of_us_ends_no_notice(
    mailer: Sink, caplog, stage: str, reply: str
) -> None:
    owed()
    mailer.ails(Illness(stage, reply))
    for hour in range(0, 40, 2):
        send(minutes=hour * 60)
    assert notices() == [("confirm", "pending")]
    assert reply in caplog.text and "ann@" not in caplog.text
    mailer.ails(None)
    send(minutes=42 * 60)
    assert notices() == [("confirm", "accepted")]


def test_r32_a_relay_that_refuses_us_is_asked_once_for_all_that_waits(mailer: Sink) -> None:
    for name in "abc":
        subscriptions.subscribe(*ask(f"{name}@example.org"), origin=ORIGIN, now=NOW)
    mailer.ails(Illness("mail", "553 sender not allowed"))
    send()
    assert sorted(Notice.objects.values_list("attempts", flat=True)) == [0, 0, 1]


def test_a_farewell_gone_wrong_does_not_undo_the_mail(mailer: Sink) -> None:
    owed("ann+quit-drop@example.org")
    send()
    assert notices() == [("confirm", "accepted")]


def test_one_bad_notice_does_not_keep_the_others(mailer: Sink) -> None:
    subscriptions.subscribe(*ask("a+rcpt-550@example.org"), origin=ORIGIN, now=NOW)
    subscriptions.subscribe(*ask("b+dot-drop@example.org"), origin=ORIGIN, now=NOW)
    subscriptions.subscribe(*ask("c@example.org"), origin=ORIGIN, now=NOW)
    send()
    assert [state for _, state in notices()] == ["refused", "unknown", "accepted"]


def test_a_mail_that_cannot_be_composed_is_refused_and_told(mailer: Sink, settings) -> None:
    owed()
    settings.TEMPLATES = [
        engine | {"DIRS": ["/nonexistent"], "APP_DIRS": False}
        for engine in settings.TEMPLATES
    ]
    with pytest.raises(TemplateDoesNotExist):
        send()
    assert notices() == [("confirm", "refused")]


def test_what_is_not_wanted_any_more_is_not_sent(mailer: Sink) -> None:
    owed()
    reader = Subscriber.objects.get()
    token = links.make(reader, Link.Purpose.CONFIRM, now=NOW)
    subscriptions.block(token, origin=ORIGIN, now=NOW)
    send()
    assert mailer.mails() == []
    assert notices() == [("confirm", "refused")]


def test_what_a_dead_worker_left_becomes_unknown() -> None:
    notice = owed()
    claim_notice(notice.pk, now=NOW)
    sweep(now=NOW + timedelta(minutes=9))
    assert notices() == [("confirm", "submitting")]
    sweep(now=NOW + timedelta(minutes=11))
    assert notices() == [("confirm", "unknown")]


def test_what_has_waited_two_days_is_not_sent(mailer: Sink) -> None:
    owed()
    sweep(now=NOW + timedelta(hours=49))
    send(minutes=49 * 60)
    assert notices() == [("confirm", "refused")]
    assert mailer.mails() == []


@pytest.mark.django_db(transaction=True)
def test_four_workers_at_once_send_one_mail(mailer: Sink) -> None:
    owed()
    at_once(*[send] * 4)
    assert len(mailer.mails()) == 1
    assert notices() == [("confirm", "accepted")]


def test_the_task_sends_what_is_open(mailer: Sink, client, form) -> None:
    client.post("/subscribe/", form)
    tasks.send_notices()
    tasks.send_notices()
    assert len(mailer.mails()) == 1


def test_no_address_or_token_is_logged(mailer: Sink, caplog) -> None:
    caplog.set_level("DEBUG", logger="subscribers")
    owed("canary+rcpt-450@example.org")
    send()
    assert "notice" in caplog.text
    assert "canary" not in caplog.text
