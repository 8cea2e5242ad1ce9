"""The bounce mailbox: each letter through the same door as the pipe's, and nothing lost."""

import gzip
import io
import json
import socket
import ssl
from collections import deque
from collections.abc import Iterator
from datetime import timedelta
from email.message import EmailMessage

import pytest
import trustme
from django.core.management import CommandError, call_command
from django.db import OperationalError

from digest import signing, tasks
from digest.deliveries import heartbeats, ledger
from digest.deliveries.heartbeats import Loop
from digest.feedback import bounce_mailbox, events, mailbox_session
from digest.feedback.mailbox_session import MailboxBusy
from digest.models import Delivery, DeliveryEvent, Heartbeat, ReportedCount
from subscribers.models import Subscriber, Suppression
from tests import make
from tests.feedback.test_domain_reports import dmarc, mailed
from tests.feedback.test_dsn import OURS, bounce
from tests.mailbox_server import Mailbox, serve

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def tls(authority, tmp_path, monkeypatch) -> ssl.SSLContext:
    """A server's context that a client on this machine trusts."""
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.fixture(params=["imap", "pop3"])
def box(request, settings) -> Iterator[Mailbox]:
    """A mailbox that is in the settings."""
    with serve(Mailbox(request.param)) as box:
        settings.BOUNCE_MAILBOX_URL = box.url
        yield box


def run() -> dict[str, int]:
    """Read the mailbox as an operator does by hand; return the letters of each kind."""
    printed = io.StringIO()
    call_command("bounce", mailbox=True, json=True, stdout=printed)
    found: dict[str, int] = json.loads(printed.getvalue())
    return found


def address(row: Delivery) -> str:
    return signing.senders(OURS)(row.pk)


def letter(to: str, subject: str, text: str = "", **more: str) -> bytes:
    mail = EmailMessage()
    mail["To"], mail["Subject"], mail["From"] = to, subject, "someone@example.org"
    for name, value in more.items():
        mail[name.replace("_", "-")] = value
    mail.set_content(text)
    return mail.as_bytes().replace(b"\n", b"\r\n")


def complaint(row: Delivery, *, named_in: str) -> bytes:
    """A complaint of a feedback loop, which sends all of them to one address (RFC 5965)."""
    field, head = "Original-Mail-From: <nobody@example.org>", "Subject: Daily Papers"
    if named_in == "field":
        field = f"Original-Mail-From: <{address(row)}>"
    elif named_in == "head":
        head = f"CFBL-Address: {address(row)}; report=arf"
    return f"""\
To: fbl@daily-papers.example\r
Content-Type: multipart/report; report-type=feedback-report; boundary="b"\r
\r
--b\r
Content-Type: text/plain\r
\r
This is a complaint.\r
--b\r
Content-Type: message/feedback-report\r
\r
Feedback-Type: abuse\r
User-Agent: loop/1\r
Version: 1\r
{field}\r
\r
--b\r
Content-Type: message/rfc822\r
\r
{head}\r
\r
--b--\r
""".encode()


def reasons() -> set[str]:
    return set(Suppression.objects.values_list("reason", flat=True))


# -- through the same door -------------------------------------------------------------------


def test_b7_all_that_the_pipes_know_is_read_and_then_deleted(box, db):
    rows = make.handed_over(4)
    box.add(
        bounce(address(rows[0])).encode(),
        letter(address(rows[1]), "unsubscribe"),
        complaint(rows[2], named_in="head"),
        complaint(rows[3], named_in="field"),
        mailed(gzip.compress(dmarc())),
    )
    assert run() == {"report": 4, "domain": 1}
    kinds = [rows[n].events.get(source="provider").kind for n in range(4)]
    assert kinds == ["bounced", "unsubscribed", "complained", "complained"]
    assert reasons() == {"bounced", "left", "complained"}
    assert Subscriber.objects.get(pk=rows[1].subscriber_id or 0).state == "unsubscribed"
    assert ReportedCount.objects.exists()
    assert box.letters == {}
    assert run() == {} and box.sessions == 2


def test_a_letter_of_no_mail_of_ours_suppresses_nobody(box, row):
    forged = f"papers+{row.pk:x}-{'0' * 24}@daily-papers.example"
    box.add(bounce(forged).encode(), complaint(row, named_in="nothing"))
    box.add(letter("papers@daily-papers.example", "unsubscribe"))
    assert run() == {"other": 3}
    assert reasons() == set() and not row.events.filter(source="provider").exists()
    # By IMAP they stay for a person to look at, starred, and are read no second time.
    assert len(box.letters) == (3 if box.protocol == "imap" else 0)
    assert run() == {}


HOSTILE = [
    b"",
    b"\x00" * 1000,
    b"To: " + b"a@b.example, " * 10_000 + b"\r\n\r\n",
    b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n" * 20_000,
    b"Subject: x\r\n\r\n.\r\n..\r\nA5 OK done\r\n)\r\n+OK\r\n.",
    b"To: =?utf-8?b?////?=\r\nX: " + b"\xff\xfe" * 500 + b"\r\n\r\n{99}\r\n",
    b"Subject: one line\r\n\r\n" + b"x" * 3_000_000,
]


def test_b7_hostile_letters_stop_nothing_behind_them(box, row):
    nested = "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n" * 2000
    signed = [f"To: {address(row)}\r\n{nested}".encode()]
    box.add(*HOSTILE, *signed, bounce(address(row)).encode())
    found = run()
    assert found["report"] == 2 and sum(found.values()) == len(HOSTILE) + 2
    assert reasons() == {"bounced"}


def test_of_a_huge_letter_only_the_beginning_is_read(box, row, monkeypatch):
    monkeypatch.setattr(mailbox_session, "MOST_BYTES", 20_000)
    box.add(bounce(address(row)).encode() + b"words\r\n" * 1_000_000)
    assert run() == {"report": 1} and reasons() == {"bounced"}


def test_a_run_ends_after_so_many_letters_and_the_next_goes_on(box, monkeypatch):
    monkeypatch.setattr(bounce_mailbox, "MOST_LETTERS", 2)
    rows = make.handed_over(3)
    box.add(*(bounce(address(row)).encode() for row in rows))
    assert [run(), run(), run()] == [{"report": 2}, {"report": 1}, {}]


def test_a_mailbox_of_years_is_read_though_imap_names_all_letters_in_one_line(
    settings, monkeypatch, db
):
    monkeypatch.setattr(bounce_mailbox, "MOST_LETTERS", 2)
    letters = dict.fromkeys(range(1_000_000, 1_150_000), b"Subject: hello\r\n\r\n")
    flags: dict[int, set[str]] = {uid: set() for uid in letters}
    with serve(Mailbox("imap", letters, flags)) as box:
        settings.BOUNCE_MAILBOX_URL = box.url
        assert run() == {"other": 2}


# -- nothing lost, nothing twice -----------------------------------------------------------------


def test_b7_what_was_handled_before_a_crash_changes_nothing_when_it_comes_again(box, row):
    box.add(bounce(address(row)).encode(), letter(address(row), "hello", "out of office"))
    box.drop_at_end = True  # the server never deletes
    assert run() == {"report": 2}
    assert len(box.letters) == 2
    before = list(DeliveryEvent.objects.values())
    for flags in box.flags.values():
        flags.clear()
    box.drop_at_end = False
    assert run() == {"report": 2}
    assert list(DeliveryEvent.objects.values()) == before and box.letters == {}


def test_b7_a_connection_that_breaks_in_a_letter_loses_none(box, settings):
    rows = make.handed_over(3)
    box.add(*(bounce(address(row)).encode() for row in rows))
    box.drop_in = 2
    with pytest.raises(CommandError, match="the bounce mailbox was not read"):
        run()
    assert rows[0].events.filter(kind="bounced").exists()
    assert not rows[1].events.filter(kind="bounced").exists()
    box.drop_in = 0
    assert run()["report"] >= 2
    assert box.letters == {}
    assert DeliveryEvent.objects.filter(kind="bounced").count() == 3


def test_a_database_that_is_away_leaves_the_letter_where_it_is(box, row, monkeypatch):
    def away(*_: object, **__: object) -> None:
        raise OperationalError("the server closed the connection")

    box.add(bounce(address(row)).encode())
    with monkeypatch.context() as broken:
        broken.setattr(events, "keep", away)
        with pytest.raises(CommandError, match="the database does not answer"):
            run()
    assert run() == {"report": 1}


def test_a_letter_over_which_we_stumble_stays_and_the_next_is_read(
    box, monkeypatch, caplog
):
    rows = make.handed_over(2)
    box.add(*(bounce(address(row)).encode() for row in rows))
    keep = events.keep

    def stumble(found: list[events.Traced]) -> list[events.Traced]:
        if found[0].delivery_id == rows[0].pk:
            raise ZeroDivisionError
        return keep(found)

    monkeypatch.setattr(events, "keep", stumble)
    monkeypatch.setattr(bounce_mailbox, "STUMBLED", deque())
    assert run() == {"broken": 1, "report": 1}
    assert list(box.letters) == [1] and "cannot be handled" in caplog.text
    # By POP3, which has no stars, it is read again; its traceback is not repeated.
    assert run() == ({"broken": 1} if box.protocol == "pop3" else {})
    assert caplog.text.count("Traceback") == 1


def test_b7_two_runs_at_once_handle_each_letter_as_one_would(box, row):
    box.add(bounce(address(row)).encode())
    server = bounce_mailbox.configured()
    assert server
    first = bounce_mailbox.read_all(server)
    assert next(first) == "report"
    if box.protocol == "pop3":  # it lets in one at a time
        box.is_locked = True
        with pytest.raises(MailboxBusy):
            list(bounce_mailbox.read_all(server))
    else:
        box.flags[1].clear()  # the other one has not seen the mark
        assert list(bounce_mailbox.read_all(server)) == ["report"]
    assert list(first) == []
    assert row.events.filter(kind="bounced").count() == 1 and box.letters == {}


# -- the way there -------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["imap", "pop3"])
@pytest.mark.parametrize("secure", [True, False])
def test_b7_the_way_is_encrypted_and_the_certificate_verified(
    protocol, secure, tls, settings, monkeypatch, row
):
    box = Mailbox(protocol, tls=tls, secure=secure)
    box.add(bounce(address(row)).encode())
    with serve(box):
        settings.BOUNCE_MAILBOX_URL = box.url
        assert run() == {"report": 1}
        monkeypatch.delenv("SSL_CERT_FILE")
        with pytest.raises(CommandError, match="its certificate: "):
            run()


@pytest.mark.parametrize("protocol", ["imap", "pop3"])
def test_a_server_without_starttls_never_gets_the_password(protocol, settings, db):
    with serve(Mailbox(protocol)) as box:
        settings.BOUNCE_MAILBOX_URL = f"{box.url}?tls=starttls"
        with pytest.raises(CommandError, match="(?i)not supported"):
            run()
    assert box.logins == 0


def test_a_server_without_sasl_takes_a_password_of_ascii(settings, row):
    with serve(Mailbox("imap", sasl=False)) as box:
        box.add(bounce(address(row)).encode())
        settings.BOUNCE_MAILBOX_URL = box.url
        assert run() == {"report": 1}
        settings.BOUNCE_MAILBOX_URL = box.url.replace("plain", "%C3%B6")
        with pytest.raises(CommandError, match="letters beyond ASCII"):
            run()


def test_a_mailbox_that_is_dead_is_told_of_without_a_secret(box, settings, client, caplog):
    tasks.tick()
    tasks.read_mailbox()
    assert client.get("/readyz").content.startswith(b"ready\n")
    settings.BOUNCE_MAILBOX_URL = box.url.replace("papers:", "papers:hush-hush")
    caplog.clear()
    tasks.read_mailbox()  # another beat's, a moment after the first: no turn
    assert caplog.records == []
    Heartbeat.objects.filter(loop=Loop.MAILBOX).update(begun_at=heartbeats.EPOCH)
    tasks.read_mailbox()
    (record,) = caplog.records
    told = client.get("/readyz").content.decode()
    assert told.startswith("degraded\nthe bounce mailbox was not read since ")
    for words in (record.getMessage(), told):
        assert "may not come in with ***" in words and "hush" not in words
    settings.BOUNCE_MAILBOX_URL = box.url
    assert run() == {}
    assert client.get("/readyz").content.startswith(b"ready\n")


def test_a_mailbox_that_nobody_has_read_for_long_is_told_of(box, client):
    tasks.tick()
    now = ledger.database_now()
    heartbeats.beat(Loop.MAILBOX, now - timedelta(minutes=50))
    assert client.get("/readyz").content.startswith(b"ready\n")
    heartbeats.beat(Loop.MAILBOX, now - timedelta(minutes=70))
    assert b"the bounce mailbox was not read since" in client.get("/readyz").content


def test_a_server_that_says_nothing_is_waited_for_not_long(settings, monkeypatch, db):
    monkeypatch.setattr(mailbox_session, "TIMEOUT", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings.BOUNCE_MAILBOX_URL = f"imap://a:b@127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(CommandError, match="no answer in time"):
            run()


def test_without_a_mailbox_or_an_address_the_command_says_what_it_needs(settings, db):
    settings.BOUNCE_MAILBOX_URL = ""
    with pytest.raises(CommandError, match="set BOUNCE_MAILBOX_URL"):
        call_command("bounce", mailbox=True)
    for given in ([], ["--mailbox", "papers@x.example"]):
        with pytest.raises(CommandError, match="give the ADDRESS"):
            call_command("bounce", *given)
