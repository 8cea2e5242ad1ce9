"""The SMTP client against a server that misbehaves when told to."""

from urllib.parse import urlsplit

import pytest

from digest.deliveries import session
from digest.deliveries.mail import Mail
from digest.deliveries.outcomes import Outcome, Verdict
from digest.deliveries.smtp import Smtp
from tests.sink import in_thread

CONTENT = b"Subject: x\r\nTo: a@example.org\r\n\r\nHello=\r\n there\r\n"


@pytest.fixture(params=["pipelining", "one by one"])
def server(request, tmp_path, monkeypatch):
    monkeypatch.setattr(session, "REPLY_TIMEOUT", 1.0)
    monkeypatch.setattr(session, "OPEN_TIMEOUT", 1.0)
    with in_thread(tmp_path / "sink") as sink:
        client = Smtp(urlsplit(sink.url), may_pipeline=request.param == "pipelining")
        yield sink, client
        client.close()


def hand_over(client: Smtp, *recipients: str) -> list[Outcome]:
    mails = [
        Mail(number, "papers@daily-papers.example", recipient, lambda: CONTENT)
        for number, recipient in enumerate(recipients)
    ]
    return [outcome for _, outcome in client.hand_over(mails)]


def verdicts(client: Smtp, *recipients: str) -> list[str]:
    return [str(outcome.verdict) for outcome in hand_over(client, *recipients)]


def test_mails_arrive_byte_for_byte_on_one_connection(server):
    sink, client = server
    assert verdicts(client, "a@example.org", "b@example.org") == ["accepted"] * 2
    assert [mail.rcpt for mail in sink.mails()] == [("a@example.org",), ("b@example.org",)]
    assert {mail.raw for mail in sink.mails()} == {CONTENT}
    assert {mail.mail_from for mail in sink.mails()} == {"papers@daily-papers.example"}


@pytest.mark.parametrize(
    ("fault", "verdict", "arrives"),
    [
        ("mail-450", "retry", False),
        ("rcpt-450", "retry", False),
        ("rcpt-550", "refused", False),
        ("rcpt-421", "retry", False),
        ("rcpt-drop", "retry", False),
        ("rcpt-hang", "retry", False),
        ("rcpt-garbage", "retry", False),
        ("data-drop", "retry", False),
        ("data-451", "retry", False),
        ("data-554", "refused", False),
        ("body-drop", "retry", False),
        ("dot-451", "retry", False),
        ("dot-554", "refused", False),
        ("dot-421", "retry", False),
        ("dot-drop", "unknown", False),
        ("dot-hang", "unknown", False),
        ("dot-garbage", "unknown", False),
        ("dot-keep-drop", "unknown", True),
        ("dot-keep-hang", "unknown", True),
        ("dot-keep-garbage", "unknown", True),
        ("quit-garbage", "accepted", True),
    ],
)
def test_a_fault_is_judged_by_its_phase_and_spoils_no_other_mail(
    server, fault, verdict, arrives
):
    sink, client = server
    faulty = f"x+{fault}@example.org"
    if fault.startswith("mail"):
        judged = verdicts(client, faulty, "next@example.org", "last@example.org")
        assert judged in (["accepted", verdict, "accepted"], ["accepted", verdict, verdict])
        return
    if fault == "body-drop":
        # A small body is in the kernel, dot and all, before the server hangs up.
        verdict = "unknown"
    got = hand_over(client, "first@example.org", faulty, "last@example.org")
    assert [str(outcome.verdict) for outcome in got][:2] == ["accepted", verdict]
    assert got[2].verdict is Verdict.ACCEPTED or not got[1].charged
    client.close()
    assert bool(sink.to(faulty)) is arrives
    assert len(sink.to("first@example.org")) == 1
    assert len(sink.to("last@example.org")) == (got[2].verdict is Verdict.ACCEPTED)


def test_a_server_that_is_not_there_is_a_retry_that_costs_the_row_nothing():
    client = Smtp(urlsplit("smtp://127.0.0.1:9"))
    outcomes = hand_over(client, "a@example.org", "b@example.org")
    assert [outcome.verdict for outcome in outcomes] == [Verdict.RETRY] * 2
    assert not any(outcome.charged for outcome in outcomes)
    assert outcomes[1].reason == "not tried"


def test_an_address_the_envelope_cannot_carry_is_refused(server):
    sink, client = server
    assert verdicts(client, "用户@example.org", "b@example.org") == ["refused", "accepted"]
    assert len(sink.mails()) == 1
