"""The sink itself: what it calls accepted is on disk, octet for octet."""

import smtplib
import socket
from pathlib import Path

import pytest

from tests.sink import Sink, in_process

RAW = b"Subject: dots\r\n\r\n.one\r\n..two\r\n\xc3\xa9 8bit\r\nbare\nline\r\n"


def send(sink: Sink, *recipients: str, raw: bytes = RAW) -> tuple[int, bytes]:
    """One transaction by hand; the code and text of the last answer."""
    with smtplib.SMTP("127.0.0.1", sink.port, timeout=5) as client:
        client.ehlo()
        client.mail("papers@example.org", ["body=8bitmime"])
        for recipient in recipients:
            code, text = client.rcpt(recipient)
            if code >= 400:
                return code, text
        return client.data(raw)


def test_keeps_the_octets_as_they_were_before_dot_stuffing(sink: Sink) -> None:
    with socket.create_connection(("127.0.0.1", sink.port), timeout=5) as wire:
        answers = wire.makefile("rb")
        answers.readline()
        wire.sendall(
            b"EHLO me\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n"
        )
        while not answers.readline().startswith(b"354"):
            pass
        stuffed = RAW.replace(b"\r\n.", b"\r\n..")
        wire.sendall(stuffed + b".\r\nQUIT\r\n")
        assert answers.readline().startswith(b"250")
        assert answers.readline().startswith(b"221")
    (mail,) = sink.mails()
    assert mail.raw == RAW
    assert (mail.mail_from, mail.rcpt) == ("a@example.org", ("b@example.org",))


def test_several_mails_go_through_one_connection(sink: Sink) -> None:
    with smtplib.SMTP("127.0.0.1", sink.port, timeout=5) as client:
        for number in range(30):
            client.sendmail("a@example.org", [f"r{number}@example.org"], RAW)
    assert [mail.rcpt for mail in sink.mails()] == [
        (f"r{number}@example.org",) for number in range(30)
    ]


@pytest.mark.parametrize(
    "fault", ["rcpt-450", "rcpt-550", "data-451", "dot-451", "dot-554"]
)
def test_an_explicit_no_is_answered_and_nothing_is_kept(sink: Sink, fault: str) -> None:
    try:
        code, _ = send(sink, f"ann+{fault}@example.org")
    except smtplib.SMTPDataError as error:
        code = error.smtp_code
    assert code == int(fault[-3:])
    assert sink.mails() == []


@pytest.mark.parametrize("fault", ["rcpt-drop", "data-drop", "body-drop", "dot-drop"])
def test_a_drop_closes_the_connection_and_keeps_nothing(sink: Sink, fault: str) -> None:
    with pytest.raises((smtplib.SMTPServerDisconnected, ConnectionError)):
        send(sink, f"ann+{fault}@example.org")
    assert sink.mails() == []


@pytest.mark.parametrize("fault", ["dot-keep-drop", "dot-keep-hang", "dot-keep-garbage"])
def test_an_accepted_mail_whose_answer_is_lost_is_kept(sink: Sink, fault: str) -> None:
    with (
        smtplib.SMTP("127.0.0.1", sink.port, timeout=0.5) as client,
        pytest.raises((smtplib.SMTPException, OSError)),
    ):
        client.sendmail("a@example.org", [f"ann+{fault}@example.org"], RAW)
        client.noop()
    assert len(sink.mails()) == 1


def test_a_fault_with_a_count_passes(sink: Sink) -> None:
    codes = [send(sink, "ann+rcpt-450x2@example.org")[0] for _ in range(3)]
    assert codes == [450, 450, 250]


def test_mail_faults_meet_the_next_mail_of_the_connection(sink: Sink) -> None:
    with smtplib.SMTP("127.0.0.1", sink.port, timeout=5) as client:
        client.sendmail("a@example.org", ["ann+mail-421@example.org"], RAW)
        assert client.mail("a@example.org")[0] == 421
    assert len(sink.mails()) == 1


def test_garbage_after_quit_changes_nothing_about_the_mail(sink: Sink) -> None:
    with (
        pytest.raises(smtplib.SMTPException),
        smtplib.SMTP("127.0.0.1", sink.port, timeout=5) as client,
    ):
        client.sendmail("a@example.org", ["ann+quit-garbage@example.org"], RAW)
    assert len(sink.mails()) == 1


def test_runs_as_a_process_and_its_journal_outlives_it(tmp_path: Path) -> None:
    with in_process(tmp_path) as sink:
        assert send(sink, "ann@example.org")[0] == 250
    assert sink.mails()[0].message["Subject"] == "dots"
