"""What a provider posts: whom we believe, what we refuse, and how often it counts."""

import hashlib
import hmac
import json
from base64 import b64encode
from datetime import timedelta
from urllib.parse import urlencode

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from digest.models import Delivery, DeliveryEvent
from subscribers.models import Suppression
from tests import make
from tests.environment import POSTGRES

pytestmark = pytest.mark.django_db
SECRET = "new:a-secret"
KEY = "mailguns-key"


@pytest.fixture
def row():
    """A mail that was handed over just now."""
    (row,) = make.handed_over()
    return row


@pytest.fixture
def post(settings):
    """Posts a body to a provider's address, as who knows the secret or another."""
    settings.ANYMAIL = settings.ANYMAIL | {
        "WEBHOOK_SECRET": ["old:secret", SECRET],
        "MAILGUN_WEBHOOK_SIGNING_KEY": KEY,
        "MANDRILL_API_KEY": "k",
        "MANDRILL_WEBHOOK_KEY": "k",
        "MANDRILL_WEBHOOK_URL": "https://it/",
    }

    def post(provider: str, body: object, login: str = SECRET, **sent: str) -> int:
        given = body if isinstance(body, str | bytes) else json.dumps(body)
        headers = {key.replace("_", "-"): value for key, value in sent.items()}
        if login:
            headers["Authorization"] = f"Basic {b64encode(login.encode()).decode()}"
        kind = headers.pop("content-type", "application/json")
        url = f"/webhooks/{provider}/tracking/"
        answer = Client(raise_request_exception=False).post(
            url, given, content_type=kind, headers=headers
        )
        return int(answer.status_code)

    return post


def bounce(row: Delivery, number: int = 41) -> dict[str, object]:
    """As Postmark reports it."""
    return {
        "RecordType": "Bounce",
        "Type": "HardBounce",
        "ID": number,
        "MessageID": "m-1",
        "Email": "r0@example.org",
        "BouncedAt": timezone.now().isoformat(),
        "Details": "smtp;550 5.1.1 no such user",
        "Metadata": {"delivery_id": str(row.pk)},
    }


def mailgun(
    row: Delivery, event: str, *, token: str = "t", age: int = 0
) -> dict[str, object]:
    """As Mailgun reports it, signed."""
    stamp = str(int((timezone.now() - timedelta(minutes=age)).timestamp()))
    signature = hmac.new(KEY.encode(), f"{stamp}{token}".encode(), hashlib.sha256)
    return {
        "signature": {
            "token": token,
            "timestamp": stamp,
            "signature": signature.hexdigest(),
        },
        "event-data": {
            "event": event,
            "timestamp": timezone.now().timestamp(),
            "recipient": "r0@example.org",
            "user-variables": {"delivery_id": str(row.pk)},
            "message": {"headers": {"message-id": "m"}},
        },
    }


def reasons() -> list[str]:
    return list(Suppression.objects.values_list("reason", flat=True))


def test_a11_only_who_knows_a_secret_may_report_and_two_are_valid_at_once(row, post):
    for login in ("", "old:wrong", "new:"):
        assert post("postmark", bounce(row), login) == 401
    assert DeliveryEvent.objects.count() == 0
    assert post("postmark", bounce(row)) == 200
    assert post("postmark", bounce(row), "old:secret") == 200
    event = DeliveryEvent.objects.get()
    assert (event.delivery, event.message_id) == (row, "m-1")
    assert reasons() == ["bounced"]


def test_a11_without_a_secret_there_is_no_webhook(client, post, settings):
    settings.ANYMAIL = settings.ANYMAIL | {"WEBHOOK_SECRET": []}
    assert post("postmark", {}) == 404


@pytest.mark.parametrize("provider", ["nobody", "postal"])  # postal: without its key
def test_there_is_no_address_for_who_is_not_set_up(provider, post):
    assert post(provider, {}) == 404


def test_inbound_mail_is_not_taken(client, post):
    assert client.post("/webhooks/postmark/inbound/", {}).status_code == 404


def test_b4_who_has_no_secret_is_refused_before_anything_is_read(
    post, django_assert_num_queries
):
    with django_assert_num_queries(0):
        assert post("amazon_ses", b"{" * 100, "") == 401  # SNS asks for 401
        assert post("postmark", b"x" * (5 * 1024 * 1024 + 1)) == 413


def test_b4_a_large_batch_is_taken(row, post):
    events = [
        {
            "event": "soft_bounce",
            "ts": int(timezone.now().timestamp()),
            "_id": f"e{number}",
            "msg": {
                "_id": f"m{number}",
                "email": "r0@example.org",
                "metadata": {"delivery_id": str(row.pk)},
                "diag": "451 busy " + "x" * 400,
            },
        }
        for number in range(1000)
    ]
    body = urlencode({"mandrill_events": json.dumps(events)})
    assert len(body) > 500_000
    signed = b"https://it/mandrill_events" + json.dumps(events).encode()
    signature = b64encode(hmac.new(b"k", signed, hashlib.sha1).digest()).decode()
    form = "application/x-www-form-urlencoded"
    assert post("mandrill", body, X_Mandrill_Signature="no", content_type=form) == 400
    sent = {"X_Mandrill_Signature": signature, "content_type": form}
    assert post("mandrill", body, **sent) == 200
    assert row.events.count() == 1000


@pytest.mark.parametrize(
    "body",
    ["", "{", "[]", "null", "[" * 100_000, b"\xff", '{"RecordType": 7}', "{}", "1e999"],
)
@pytest.mark.parametrize(
    "provider", ["postmark", "mailgun", "sparkpost", "brevo", "resend"]
)
def test_s20_what_cannot_be_read_is_refused_and_keeps_nothing(body, provider, post, caplog):
    assert post(provider, body) in {200, 400}
    assert all(event.delivery is None for event in DeliveryEvent.objects.all())
    assert not reasons() and "Traceback" not in caplog.text


@pytest.mark.django_db(transaction=True)
def test_b3_while_the_database_is_away_the_provider_keeps_its_report(row, post):
    class Away:
        def __call__(self, execute, sql, *rest):
            if "digest_deliveryevent" in sql:
                connection.connection.close()  # as it is lost: in mid-transaction
            return execute(sql, *rest)

    with connection.execute_wrapper(Away()):
        # Either makes each provider try again.
        assert post("postmark", bounce(row)) == (503 if POSTGRES else 500)
    connection.close()
    assert not DeliveryEvent.objects.exists() and not reasons()
    assert [post("postmark", bounce(row)) for _ in range(5)] == [200] * 5
    assert DeliveryEvent.objects.count() == 1 and reasons() == ["bounced"]


def test_a12_a_captured_signature_says_nothing_with_another_body(row, post):
    genuine = mailgun(row, "delivered")
    assert post("mailgun", genuine) == 200
    altered = genuine | {"event-data": mailgun(row, "complained")["event-data"]}
    assert post("mailgun", altered) == 200
    assert [event.kind for event in DeliveryEvent.objects.all()] == ["delivered"]
    assert reasons() == []


def test_a12_a_signature_of_a_quarter_of_an_hour_ago_is_too_old(row, post):
    assert post("mailgun", mailgun(row, "complained", age=16)) == 400
    assert post("mailgun", mailgun(row, "complained", age=-16)) == 400
    assert not DeliveryEvent.objects.exists()
    assert post("mailgun", mailgun(row, "complained", age=14)) == 200
    assert reasons() == ["complained"]


def test_a12_the_older_form_of_mailguns_reports_is_held_to_the_same(row, post):
    signed = mailgun(row, "delivered")["signature"]
    assert isinstance(signed, dict)
    form = "application/x-www-form-urlencoded"
    body = signed | {"event": "delivered", "recipient": "r0@example.org"}
    assert post("mailgun", urlencode(body), content_type=form) == 200
    altered = urlencode(body | {"event": "complained"})
    assert post("mailgun", altered, content_type=form) == 200
    old = mailgun(row, "complained", token="u", age=16)["signature"]
    assert isinstance(old, dict)
    late = urlencode(old | {"event": "complained", "recipient": "r0@example.org"})
    assert post("mailgun", late, content_type=form) == 400
    assert DeliveryEvent.objects.get().kind == "delivered" and reasons() == []


def test_s20_a_flipped_byte_is_refused(row, post):
    event = mailgun(row, "complained")
    assert isinstance(event["signature"], dict)
    event["signature"]["token"] = "u"
    assert post("mailgun", event) == 400
    assert reasons() == []


def test_s20_a_get_does_nothing(client, post):
    assert client.get("/webhooks/postmark/tracking/").status_code == 405


def test_s20_no_log_repeats_what_was_posted(row, post, caplog):
    post("postmark", {"RecordType": ["r0@example.org"], "MessageID": {}})
    post("mailgun", mailgun(row, "complained", age=99))
    assert "r0@" not in caplog.text


def test_mandrill_without_its_key_may_look_for_the_page_and_report_nothing(post, settings):
    # It asks with HEAD before it gives the key away.
    settings.ANYMAIL = settings.ANYMAIL | {"MANDRILL_WEBHOOK_KEY": None}
    form = "application/x-www-form-urlencoded"
    assert post("mandrill", "mandrill_events=[]", content_type=form) == 404
    login = b64encode(SECRET.encode()).decode()
    headers = {"Authorization": f"Basic {login}"}
    assert Client().head("/webhooks/mandrill/tracking/", headers=headers).status_code == 200
