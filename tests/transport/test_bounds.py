"""A reply is bounded as a whole, whatever a server does with its time, lines and bytes."""

import time

import pytest

from digest.endpoints import SmtpServer, Tls
from digest.transport import smtp, smtp_opening
from digest.transport.base import Mail
from digest.transport.smtp import Smtp
from tests.smtp_sink import Illness

CONTENT = b"Subject: x\r\n\r\nHello\r\n"
STAGES = ["banner", "ehlo", "mail", "rcpt", "data", "dot"]


@pytest.fixture(params=["pipelining", "one by one"])
def client(request, sink, monkeypatch):
    monkeypatch.setattr(smtp, "REPLY_TIMEOUT", 0.5)
    monkeypatch.setattr(smtp_opening, "OPEN_TIMEOUT", 0.5)
    server = SmtpServer("127.0.0.1", sink.port, Tls.NONE)
    client = Smtp(server, may_pipeline=request.param == "pipelining")
    yield client
    client.close()


def carry(client: Smtp, count: int) -> list[str]:
    mails = [
        Mail(number, "from@example.org", f"r{number}@example.org", lambda: CONTENT)
        for number in range(count)
    ]
    found = dict(client.hand_over(mails))
    return [str(found[number].verdict) for number in range(count)]


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("kind", ["endless", "drip", "reset"])
def test_r34_a_reply_without_an_end_holds_nobody(kind, stage, sink, client, monkeypatch):
    sink.ails(Illness(stage, kind))
    began = time.monotonic()
    assert carry(client, 1) == ["unknown" if stage == "dot" else "retry"]
    assert time.monotonic() - began < 20
    sink.ails(None)
    monkeypatch.undo()  # well again: half a second is too short on a busy machine
    assert carry(client, 2) == ["accepted"] * 2


def test_r34_a_mail_of_which_one_byte_was_read_is_not_accepted(sink, client, monkeypatch):
    sink.ails(Illness("body", "reset"))
    assert carry(client, 1) == ["retry"]
    sink.ails(None)
    monkeypatch.undo()
    assert carry(client, 1) == ["accepted"]


def test_r34_a_server_that_answers_once_too_often_costs_a_connection_and_no_wait(
    sink, client
):
    sink.ails(Illness("dot", "twice"))
    began = time.monotonic()
    assert carry(client, 6) == ["accepted"] * 6
    assert time.monotonic() - began < 20
    assert len(sink.mails()) == 6


def test_a_server_that_takes_so_many_mails_a_session_gets_the_rest_on_the_next(
    sink, client
):
    sink.ails(Illness("mail", "421 4.7.0 enough", lambda number: number % 4 == 3))
    assert carry(client, 9) == ["accepted"] * 9
    assert len(sink.mails()) == 9
