"""A provider's reports: kept once, believed with care."""

import importlib
import json
from base64 import b64encode
from datetime import timedelta

import pytest
from anymail.signals import AnymailTrackingEvent
from django.urls import clear_url_caches
from django.utils import timezone

import digest.urls
from digest.deliveries import bounces, control, events, ledger
from digest.deliveries.outcomes import Outcome, Verdict
from digest.deliveries.plan import plan
from digest.models import Delivery, DeliveryEvent, Edition
from subscribers.models import Suppression
from tests import make

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.deliveries.webhook_urls")]
NOW = make.NOON
ACCEPTED = Outcome(Verdict.ACCEPTED, "accepted", "250 ok")


@pytest.fixture
def handed_over():
    """Makes that many hand-overs whose outcome is not known."""

    def hand_over(count: int = 1) -> list[Delivery]:
        make.edition({make.paper(1): {"graphs": 1.0}})
        for number in range(count):
            make.reader(f"r{number}@example.org", "graphs")
        plan(NOW)
        rows = ledger.claim(NOW, limit=count)
        ledger.intend(rows, {row.delivery_id: "0" for row in rows}, now=NOW)
        return list(Delivery.objects.order_by("pk"))

    return hand_over


def report(
    kind: str, row: Delivery | None = None, **fields: object
) -> AnymailTrackingEvent:
    values: dict[str, object] = {
        "timestamp": NOW,
        "event_id": f"{kind} {row}",
        "message_id": "m",
        "recipient": "r0@example.org",
        "metadata": {"delivery_id": str(row.pk)} if row else {},
    }
    return AnymailTrackingEvent(event_type=kind, **values | fields)


def reasons() -> list[str]:
    return list(Suppression.objects.values_list("reason", flat=True))


def test_b2_a_complaint_suppresses_at_once(handed_over):
    (row,) = handed_over()
    assert events.take(report("complained", row), now=NOW)
    assert reasons() == ["complained"]


@pytest.mark.parametrize(
    "words, suppressed",
    [("550 5.1.1 no such user", True), ("550 5.2.1 disabled", True)]
    + [("550 5.7.1 spam", False), ("552 5.2.2 full", False), ("", False)],
)
def test_b2_only_an_address_that_does_not_exist_is_suppressed_at_the_first_bounce(
    handed_over, words, suppressed
):
    (row,) = handed_over()
    events.take(report("bounced", row, mta_response=words), now=NOW)
    assert reasons() == (["bounced"] if suppressed else [])


def test_b2_an_address_that_bounces_day_after_day_is_suppressed(handed_over):
    (row,) = handed_over()
    for day in range(5):
        assert reasons() == []
        for again in range(2):  # two a day are one point
            at = NOW + timedelta(days=day, hours=again)
            bounce = report("bounced", row, timestamp=at, event_id=f"{day} {again}")
            events.take(bounce, now=at)
    assert reasons() == ["bounced"]


def test_b2_a_week_of_silence_forgets_the_score():
    day = NOW.date()
    dates = [day + timedelta(days=step) for step in (0, 1, 2, 10, 11)]
    assert bounces.score(dates) == 2
    assert bounces.score([day + timedelta(days=7 * step) for step in range(5)]) == 5


def test_b3_a_report_counts_once_however_often_it_comes(handed_over):
    (row,) = handed_over()
    taken = [events.take(report("bounced", row), now=NOW) for _ in range(5)]
    assert taken == [True, False, False, False, False]
    assert DeliveryEvent.objects.count() == 1


def test_b3_a_report_from_before_the_hand_over_changes_nothing(handed_over):
    (row,) = handed_over()
    events.take(report("complained", row, timestamp=NOW - timedelta(days=2)), now=NOW)
    assert reasons() == []


@pytest.mark.parametrize("named", ["", "no number", "9" * 18, "-1", "٣"])
def test_b3_a_report_about_nobody_is_kept_and_harmless(named):
    stranger = report("delivered", metadata={"delivery_id": named}, recipient="no address")
    assert events.take(stranger, now=NOW)
    assert DeliveryEvent.objects.get().delivery is None


def test_an_unknown_is_resolved_by_evidence_and_nothing_else_is_moved(handed_over):
    first, second = handed_over(2)
    events.take(report("queued", first), now=NOW)
    ledger.reap(NOW + timedelta(hours=1))
    assert events.take(report("delivered", first), now=NOW)
    assert make.states() == {"r0@example.org": "accepted", "r1@example.org": "unknown"}
    Delivery.objects.filter(pk=second.pk).update(state="refused")
    events.take(report("delivered", second), now=NOW)
    assert Delivery.objects.get(pk=second.pk).state == "refused"


def test_a12_a_captured_signature_says_nothing_a_second_time_or_late(handed_over):
    (row,) = handed_over()
    signed = {"signature": {"token": "t", "timestamp": str(int(NOW.timestamp()))}}
    assert events.take(report("delivered", row, esp_event=signed), now=NOW)
    altered = report("complained", row, event_id="another", esp_event=signed)
    assert not events.take(altered, now=NOW)
    fresh = {"signature": {"token": "u", "timestamp": str(int(NOW.timestamp()))}}
    with pytest.raises(events.Replayed):
        events.take(
            report("complained", row, esp_event=fresh), now=NOW + timedelta(minutes=16)
        )
    assert reasons() == []


def test_b5_too_many_complaints_pause_the_edition_and_the_operator_resumes(handed_over):
    rows = handed_over(60)
    claimed = [
        ledger.Claimed(row.pk, row.edition_id, row.subscriber_id, 0, row.lease_token)
        for row in rows
    ]
    ledger.record({row.pk: ACCEPTED for row in rows}, claimed, now=NOW)
    for row in rows[:2]:
        events.take(report("complained", row), now=NOW)
    assert control.pause_alarming(NOW) == []
    events.take(report("complained", rows[2]), now=NOW)
    (paused,) = control.pause_alarming(NOW)
    assert Edition.objects.get().hold_reason == "3 of 60 mails were reported as spam"
    control.resume(paused)
    assert control.pause_alarming(NOW) == []


def test_b5_a_bounce_rate_pauses_above_five_percent_only():
    assert bounces.alarm(accepted=400, bounced=20, complained=0) is None
    assert bounces.alarm(accepted=399, bounced=20, complained=0) is not None
    assert bounces.alarm(accepted=10, bounced=9, complained=2) is None


@pytest.fixture
def postmark(settings, client):
    """Posts one of Postmark's reports, with this user and password."""
    settings.ANYMAIL = settings.ANYMAIL | {"WEBHOOK_SECRET": ["old:secret", "new:secret"]}

    def post(login: str, body: object) -> int:
        headers = {"Authorization": f"Basic {b64encode(login.encode()).decode()}"}
        answer = client.post(
            "/webhooks/postmark/tracking/",
            json.dumps(body),
            content_type="application/json",
            headers=headers if login else {},
        )
        return int(answer.status_code)

    return post


def bounce(row: Delivery) -> dict[str, object]:
    return {
        "RecordType": "Bounce",
        "Type": "HardBounce",
        "ID": 41,
        "MessageID": "m-1",
        "Email": "r0@example.org",
        "BouncedAt": timezone.now().isoformat(),
        "Details": "smtp;550 5.1.1 no such user",
        "Metadata": {"delivery_id": str(row.pk)},
    }


def test_a11_only_who_knows_a_secret_may_report(handed_over, postmark):
    (row,) = handed_over()
    for login in ("", "old:wrong", "new:"):
        assert postmark(login, bounce(row)) == 400
    assert DeliveryEvent.objects.count() == 0
    assert postmark("new:secret", bounce(row)) == 200
    assert postmark("old:secret", bounce(row)) == 200
    assert DeliveryEvent.objects.get().delivery == row
    assert reasons() == ["bounced"]


@pytest.mark.urls("digest.urls")
def test_a11_without_a_secret_there_is_no_webhook(client):
    clear_url_caches()
    importlib.reload(digest.urls)
    assert client.post("/webhooks/postmark/tracking/", {}).status_code == 404
