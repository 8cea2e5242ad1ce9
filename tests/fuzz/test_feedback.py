"""Fuzz what mail servers and providers say of our mails: bounces and webhooks."""

import json
from base64 import b64encode
from email.utils import parseaddr
from typing import Any

import pytest
from django.conf import settings as django_settings
from hypothesis import strategies as st

from digest import signing
from digest.feedback import dsn, events
from tests import make
from tests.fuzz import explore
from tests.fuzz.inputs import ENCODABLE, TEXT, trees

pytestmark = pytest.mark.django_db
PROVIDERS = [
    "postmark",
    "sendgrid",
    "brevo",
    "mailjet",
    "sparkpost",
    "amazon_ses",
    "mailgun",
]
PROVIDERS += ["mandrill", "resend", "mailersend", "postal"]
NAMES = [
    "RecordType",
    "Email",
    "MessageID",
    "Metadata",
    "delivery_id",
    "event",
    "timestamp",
]
NAMES += [
    "Type",
    "Message",
    "event-data",
    "signature",
    "token",
    "data",
    "type",
    "recipient",
]
NAMES += ["BouncedAt", "msys", "message_event", "MessageId", "id", "mail", "reason", "ts"]
KINDS = ["multipart/report; report-type=delivery-status; boundary=b", "text/plain"]
KINDS += ["message/delivery-status", "multipart/mixed; boundary=b", "message/rfc822"]
FIELDS = ["Action: failed", "Status: 5.1.1", "Diagnostic-Code: smtp; 550 no such user"]
FIELDS += ["Final-Recipient: rfc822; a@example.org", "--b", "--b--", "", "Action: delayed"]
FIELDS += ["Content-Type: " + kind for kind in KINDS] + [
    "Content-Transfer-Encoding: base64"
]


def test_s31_fuzz_bounce_mails() -> None:
    (row,) = make.handed_over()

    came_to = signing.senders(parseaddr(django_settings.FROM_EMAIL)[1])(row.pk)
    lines = st.lists(st.sampled_from(FIELDS) | TEXT, max_size=25).map("\r\n".join)
    written = lines.map(lambda text: text.encode("utf-8", "replace"))
    headed = written.map(
        lambda body: f"Content-Type: {KINDS[0]}\r\n\r\n--b\r\n".encode() + body
    )

    def check(raw: bytes) -> None:
        found = dsn.reports(raw, came_to=came_to, now=make.NOON)
        assert {report.delivery_id for report in found} <= {row.pk}
        events.take(found, now=make.NOON)
        assert dsn.reports(raw, came_to="papers@example.org", now=make.NOON) == []

    explore(written | headed | st.binary(), check)


def test_s31_fuzz_webhooks(client: Any, settings: Any) -> None:
    settings.ANYMAIL = settings.ANYMAIL | {
        "WEBHOOK_SECRET": ["a:secret"],
        "MAILGUN_WEBHOOK_SIGNING_KEY": "k",
        "MANDRILL_API_KEY": "k",
        "MANDRILL_WEBHOOK_KEY": "k",
        "MANDRILL_WEBHOOK_URL": "https://it/",
    }
    client.raise_request_exception = False
    make.handed_over()
    login = {"Authorization": "Basic " + b64encode(b"a:secret").decode()}
    bodies = trees(NAMES).map(lambda tree: json.dumps(tree).encode()) | st.binary()
    bodies |= ENCODABLE.map(str.encode)
    kinds = ["application/json", "application/x-www-form-urlencoded", "text/plain"]
    kinds += ["multipart/form-data; boundary=b"]

    def check(example: tuple[str, bytes, str]) -> None:
        provider, body, kind = example
        url = f"/webhooks/{provider}/tracking/"
        answer = client.post(url, body, content_type=kind, headers=login)
        assert answer.status_code in {200, 400, 404, 413}, (url, answer.status_code)

    explore(st.tuples(st.sampled_from(PROVIDERS), bodies, st.sampled_from(kinds)), check)
