"""Digests and single mails: every code at every stage means the same for both.

In the suite the codes that servers are known to say, and the ends of each hundred; every
code there is at night.
"""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

import pytest
from django.core.mail import EmailMultiAlternatives

from digest.endpoints import SmtpServer, Tls
from digest.transport.base import Letter, Mail
from digest.transport.esp import Provider
from digest.transport.open import SingleMail
from digest.transport.outcomes import Outcome, put_back
from digest.transport.smtp import Smtp
from tests.smtp_sink import Illness

CONTENT = b"Subject: x\r\n\r\nHello\r\n"
GOES_ON = {"mail": {250}, "rcpt": {250, 251}, "data": {354}, "dot": set()}
NOW = datetime(2026, 4, 17, tzinfo=UTC)
ENDS = {end for hundred in range(1, 6) for end in (hundred * 100, hundred * 100 + 99)}
# RFC 5321, RFC 4954, RFC 5248, and what relays were seen to say.
SMTP_CODES = ENDS | {
    211, 214, 220, 221, 235, 250, 251, 252, 334, 354, 421, 422, 431, 432, 441, 442, 450, 451,
    452, 454, 455, 471, 500, 501, 502, 503, 504, 510, 512, 521, 523, 530, 534, 535, 538, 541,
    550, 551, 552, 553, 554, 555, 556, 557, 571,
}  # fmt: skip
HTTP_CODES = ENDS | set(HTTPStatus) | {419, 420, 520, 524}
EVERY = pytest.param(set(range(100, 600)), id="every", marks=pytest.mark.nightly)


class Meaning(NamedTuple):
    verdict: str
    charged: bool


def meaning(outcome: Outcome) -> Meaning:
    """What it means where nothing is known of other recipients."""
    judged = put_back(outcome) if outcome.suspect else outcome
    return Meaning(str(judged.verdict), judged.charged)


def message() -> EmailMultiAlternatives:
    made = EmailMultiAlternatives("x", "Hello", "from@example.org", ["ann@example.org"])
    made.attach_alternative("<p>Hello</p>", "text/html")
    return made


def single() -> Meaning:
    mailer = SingleMail()
    assert mailer.open() is None
    try:
        return meaning(mailer.hand_over(message()))
    finally:
        mailer.close()


@pytest.mark.parametrize("codes", [pytest.param(SMTP_CODES, id="known"), EVERY])
@pytest.mark.parametrize("stage", GOES_ON)
def test_a9_each_smtp_code_means_the_same_for_digests_and_single_mails(
    stage, codes, sink, settings
):
    options = {"host": "127.0.0.1", "port": sink.port}
    backend = "django.core.mail.backends.smtp.EmailBackend"
    settings.MAILERS = {"default": {"BACKEND": backend, "OPTIONS": options}}
    client = Smtp(SmtpServer("127.0.0.1", sink.port, Tls.NONE))
    mail = Mail(1, "from@example.org", "ann@example.org", lambda: CONTENT)
    digests, singles = {}, {}
    for code in sorted(code for code in codes - GOES_ON[stage] if code >= 200):
        sink.ails(Illness(stage, f"{code} so it is"))
        ((_, outcome),) = client.hand_over([mail])
        digests[code], singles[code] = meaning(outcome), single()
    client.close()
    assert digests == singles
    never = {"unknown", "accepted"} if stage != "dot" else set()
    assert not {one.verdict for one in digests.values()} & never
    assert not [code for code, one in digests.items() if stage == "mail" and one.charged]
    refused = {code for code, one in digests.items() if one.verdict == "refused"}
    assert all(500 <= code < 600 for code in refused)


class Api(BaseHTTPRequestHandler):
    """Answers with the status that is in the path."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response_only(int(self.path.split("/")[1]), "as asked")
        self.send_header("Content-Length", "0")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def api() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


HTTP = {
    "accepted": {*range(200, 300)},
    "retry": {401, 402, 403, 404, 405, 408, 420, 425, 429, 503, *range(300, 400)},
    "refused": {400, 413, 422},
    "unknown": {*range(102, 200), 409, 500, 502, 504, 520, 524, 599},
}


@pytest.mark.parametrize("codes", [pytest.param(HTTP_CODES, id="known"), EVERY])
def test_a9_each_http_code_means_the_same_for_digests_and_single_mails(
    codes, api, settings
):
    settings.MAILERS = {"default": {"BACKEND": "anymail.backends.postmark.EmailBackend"}}
    own = {"To": "ann@example.org", "Subject": "x"}
    letter = Letter(
        NOW, own, {"From": "from@example.org"}, [b"Hello"], [b"<p>Hello</p>"], {}
    )
    mail = Mail(1, "from@example.org", "ann@example.org", bytes, lambda: letter)
    digests, singles = {}, {}
    for status in sorted(codes):
        account = {"POSTMARK_SERVER_TOKEN": "x", "POSTMARK_API_URL": f"{api}/{status}/"}
        settings.ANYMAIL = settings.ANYMAIL | account
        provider = Provider()
        ((_, outcome),) = provider.hand_over([mail])
        provider.close()
        digests[status], singles[status] = meaning(outcome), single()
    assert digests == singles
    for verdict, meant in HTTP.items():
        assert {digests[code].verdict for code in meant & codes} == {verdict}, verdict
    assert not [code for code, one in digests.items() if one == ("retry", True)]
