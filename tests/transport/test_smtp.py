"""The SMTP client against a server that misbehaves when told to."""

import contextlib
import smtplib
import socket
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import pytest
import trustme
from django.test import override_settings

from digest.endpoints import smtp_server
from digest.transport import smtp, smtp_opening
from digest.transport.base import Mail
from digest.transport.open import SingleMail
from digest.transport.outcomes import Outcome, Phase, Verdict
from digest.transport.smtp import ConnectionLost, Session, Smtp
from tests.configured import GIVEN
from tests.configured import settings as settings_with
from tests.sink import in_thread

CONTENT = b"Subject: x\r\nTo: a@example.org\r\n\r\nHello=\r\n there\r\n"


@pytest.fixture(params=["pipelining", "one by one"])
def server(request, tmp_path, monkeypatch):
    monkeypatch.setattr(smtp, "REPLY_TIMEOUT", 1.0)
    monkeypatch.setattr(smtp_opening, "OPEN_TIMEOUT", 1.0)
    with in_thread(tmp_path / "sink") as sink:
        client = Smtp(smtp_server(sink.url), may_pipeline=request.param == "pipelining")
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


def test_ehlo_gives_the_name_that_is_configured_for_digests_and_single_mails(
    server, settings, monkeypatch
):
    sink, client = server
    settings.EHLO_NAME = "mail.papers.example.org"
    assert verdicts(client, "a@example.org") == ["accepted"]
    settings.MAILERS = {
        "default": {
            "BACKEND": "django.core.mail.backends.smtp.EmailBackend",
            "OPTIONS": {"host": "127.0.0.1", "port": sink.port},
        }
    }
    single = SingleMail()
    assert single.open() is None
    single.close()
    assert sink.server.greetings == ["mail.papers.example.org"] * 2


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
    client = Smtp(smtp_server("smtp://127.0.0.1:9"))
    outcomes = hand_over(client, "a@example.org", "b@example.org")
    assert [outcome.verdict for outcome in outcomes] == [Verdict.RETRY] * 2
    assert not any(outcome.charged for outcome in outcomes)
    assert outcomes[1].reason == "not tried"


@pytest.mark.parametrize(
    "address",
    [
        "用户@example.org",
        "a@example.org>\r\nRCPT TO:<x@example.org",
        "a@example.org> SIZE=1",
        "a@example.org\n",
        "a b@example.org",
        "a\0@example.org",
        "",
    ],
)
def test_r33_an_address_the_envelope_cannot_carry_is_refused(server, address):
    sink, client = server
    assert verdicts(client, address, "b@example.org") == ["refused", "accepted"]
    assert [mail.rcpt for mail in sink.mails()] == [("b@example.org",)]


def carry(client: Smtp, recipients: list[str], content: bytes = CONTENT) -> dict[str, str]:
    """The verdicts by recipient, in the order in which they became known."""
    mails = [
        Mail(number, "papers@daily-papers.example", recipient, lambda: content)
        for number, recipient in enumerate(recipients)
    ]
    return {
        recipients[number]: str(outcome.verdict)
        for number, outcome in client.hand_over(mails)
    }


class Mouth:
    """A socket that takes so many bytes and then says this."""

    def __init__(self, room: int, error: OSError) -> None:
        self.room = room
        self.error = error

    def setblocking(self, flag: bool) -> None:
        assert not flag

    def sendmsg(self, parts) -> int:
        taken = min(sum(map(len, parts)), self.room)
        if not taken:
            raise self.error
        self.room -= taken
        return taken


def says_not_accepted(opened: Session, data: bytes, ahead: bytes) -> bool:
    try:
        for _ in opened.write(data, ahead=ahead, phase=Phase.CONTENT):
            pass
    except ConnectionLost as silence:
        return silence.phase is Phase.CONTENT
    return False


@pytest.mark.parametrize("error", [BlockingIOError(), ConnectionResetError()])
def test_a_mail_is_surely_not_accepted_only_if_its_end_has_not_left(error, monkeypatch):
    monkeypatch.setattr(smtp, "REPLY_TIMEOUT", -1.0)
    data, ahead = b"words\r\n.\r\n", b"MAIL FROM:<a@b.example>\r\n"
    for room in range(len(data + ahead)):
        opened = Session(smtplib.SMTP(), Mouth(room, error))  # type: ignore[arg-type]
        assert says_not_accepted(opened, data, ahead) is (room < len(data)), room


def test_over_tls_too_what_has_left_is_known_to_a_byte(trusted, monkeypatch):
    monkeypatch.setattr(smtp, "REPLY_TIMEOUT", 0.2)
    data, ahead, arrived = b"x" * 4 * smtp.RECORD, b"y" * 4_000_000, bytearray()
    near, far = socket.socketpair()
    near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * len(data))
    written = threading.Event()

    def serve() -> None:
        with trusted.wrap_socket(far, server_side=True) as server:
            written.wait(10)
            server.settimeout(0.2)
            with contextlib.suppress(OSError):
                while data := server.recv(65536):
                    arrived.extend(data)

    with ThreadPoolExecutor() as threads:
        serving = threads.submit(serve)
        client = smtp_opening.trust().wrap_socket(near, server_hostname="127.0.0.1")
        judged = says_not_accepted(Session(smtplib.SMTP(), client), data, ahead)
        written.set()
        serving.result(10)
        client.close()
    assert len(data) <= len(arrived) < len(data + ahead)
    assert not judged


def test_one_connection_that_cannot_be_opened_anew_costs_no_other(tmp_path):
    with in_thread(tmp_path / "sink") as sink:
        client = several(sink.url, 4)
        assert len(carry(client, [f"r{number}@example.org" for number in range(8)])) == 8
        lost = client.connections[0]
        lost.drop()
        lost.server = smtp_server("smtp://127.0.0.1:9")
        assert carry(client, ["a@example.org"]) == {"a@example.org": "accepted"}
        line = [f"s{number}@example.org" for number in range(8)]
        assert set(carry(client, line).values()) == {"accepted"}
        assert len(client.connections) == 3
        client.close()


def several(url: str, connections: int = 3) -> Smtp:
    return Smtp(smtp_server(url), connections=connections)


FAULTS = {
    "rcpt-450": "retry",
    "rcpt-550": "refused",
    "rcpt-drop": "retry",
    "data-554": "refused",
    "dot-451": "retry",
    "dot-drop": "unknown",
    "dot-keep-drop": "unknown",
    "dot-garbage": "unknown",
    "dot-keep-hang": "unknown",
}


def test_faults_on_several_connections_spoil_no_other_mail(tmp_path, monkeypatch):
    monkeypatch.setattr(smtp, "REPLY_TIMEOUT", 1.0)
    fine = [f"r{number}@example.org" for number in range(40)]
    faulty = {f"x+{fault}@example.org": verdict for fault, verdict in FAULTS.items()}
    line = fine.copy()
    for place, address in enumerate(faulty):
        line.insert(4 * place + 2, address)
    with in_thread(tmp_path / "sink") as sink:
        client = several(sink.url)
        found = carry(client, line)
        client.close()
        arrived = [mail.rcpt[0] for mail in sink.mails()]
    assert {address: found[address] for address in faulty} == faulty
    assert {found[address] for address in fine} == {"accepted"}
    kept = [address for address in faulty if "keep" in address]
    assert sorted(arrived) == sorted([*fine, *kept])


def test_a_connection_that_hangs_holds_up_a_mail_and_the_one_ahead(tmp_path, monkeypatch):
    monkeypatch.setattr(smtp, "REPLY_TIMEOUT", 3.0)  # the others need less
    fine = [f"r{number}@example.org" for number in range(20)]
    with in_thread(tmp_path / "sink") as sink:
        client = several(sink.url)
        found = carry(client, ["x+dot-hang@example.org", *fine])
        client.close()
    assert list(found.values()) == ["accepted"] * 19 + ["unknown", "accepted"]


def test_a_server_that_takes_fewer_connections_gets_all_mails_on_those(tmp_path):
    line = [f"r{number}@example.org" for number in range(12)]
    with in_thread(tmp_path / "sink", most_connections=2) as sink:
        client = several(sink.url, 5)
        found = carry(client, line[:6]) | carry(client, line[6:])
        assert len(client.connections) == 2
        client.close()
        assert len(sink.mails()) == 12
    assert [*found.values()] == ["accepted"] * 12


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def trusted(authority, tmp_path, monkeypatch) -> Iterator[ssl.SSLContext]:
    """A server's context that a client on this machine trusts."""
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    smtp_opening.trust.cache_clear()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    yield context
    smtp_opening.trust.cache_clear()


KINDS = ["smtp", "smtps", "starttls", "one by one"]


@pytest.mark.parametrize("kind", KINDS)
def test_mails_longer_than_a_socket_takes_at_once_arrive_byte_for_byte(
    kind, trusted, tmp_path
):
    content = b"Subject: x\r\n\r\n" + b"words and words and words\r\n" * 150_000
    line = [f"r{number}@example.org" for number in range(5)]
    tls = None if kind in {"smtp", "one by one"} else trusted
    with in_thread(tmp_path / "sink", tls=tls, secure=kind == "smtps") as sink:
        login = f"ann:secret@127.0.0.1:{sink.port}"
        url = {"smtps": f"smtps://{login}", "starttls": f"smtp://{login}?tls=starttls"}
        parts = smtp_server(url.get(kind, sink.url))
        client = Smtp(parts, connections=2, may_pipeline=kind != "one by one")
        found = carry(client, line, content)
        client.close()
        assert [mail.raw == content for mail in sink.mails()] == [True] * 5
    assert set(found.values()) == {"accepted"}


@pytest.mark.parametrize("fault", ["dot-hang", "rcpt-drop", "dot-keep-drop", "dot-554"])
def test_over_tls_a_fault_is_judged_as_without(fault, trusted, tmp_path, monkeypatch):
    monkeypatch.setattr(smtp, "REPLY_TIMEOUT", 1.0)
    verdict = {"dot-hang": "unknown", "dot-554": "refused"} | FAULTS
    with in_thread(tmp_path / "sink", tls=trusted, secure=True) as sink:
        client = several(sink.url, 2)
        found = carry(client, ["a@example.org", f"x+{fault}@example.org", "b@example.org"])
        client.close()
    assert found == {
        "a@example.org": "accepted",
        f"x+{fault}@example.org": verdict[fault],
        "b@example.org": "accepted",
    }


@pytest.mark.parametrize("reason", ["another name", "another authority", "wrong password"])
def test_a_server_that_cannot_be_trusted_gets_no_mail(reason, trusted, authority, tmp_path):
    tls, password = trusted, "secret"
    if reason == "wrong password":
        password = "guess"
    else:
        issuer = trustme.CA() if reason == "another authority" else authority
        name = "127.0.0.1" if reason == "another authority" else "mail.example"
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        issuer.issue_cert(name).configure_cert(tls)
    with in_thread(tmp_path / "sink", tls=tls) as sink:
        url = f"smtp://ann:{password}@127.0.0.1:{sink.port}?tls=starttls"
        client = several(url, 2)
        outcomes = hand_over(client, "a@example.org", "b@example.org")
        assert sink.mails() == []
    assert {outcome.verdict for outcome in outcomes} == {Verdict.RETRY}
    assert not any(outcome.charged for outcome in outcomes)


def test_a_password_of_any_characters_is_the_same_for_digests_and_single_mails(
    trusted, tmp_path, monkeypatch
):
    from django.core.mail import EmailMessage

    context = smtp_opening.trust()
    monkeypatch.setattr(ssl, "create_default_context", lambda: context)
    password = "secret#/?@:% +%41\"'"
    with in_thread(tmp_path / "sink", tls=trusted) as sink:
        login = f"a%40b.example:{quote(password, safe='')}"
        url = f"smtp://{login}@127.0.0.1:{sink.port}?tls=starttls"
        client = Smtp(smtp_server(url))
        assert carry(client, ["a@example.org"]) == {"a@example.org": "accepted"}
        client.close()
        read = settings_with({**GIVEN, "MAILER_URL": url}, state=tmp_path)
        with override_settings(MAILERS=read["MAILERS"]):
            EmailMessage("x", "x", "p@example.org", ["b@example.org"]).send(using="default")
        assert len(sink.mails()) == 2
    logins = (tmp_path / "sink" / "logins").read_text().splitlines()
    assert logins == [f"\0a@b.example\0{password}"] * 2
