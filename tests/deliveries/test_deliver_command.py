"""`manage.py deliver`: a day by hand, another instant, and why nothing went."""

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from digest.deliveries import control, ledger
from digest.deliveries.sweep import end_leases
from digest.models import Delivery, Edition, Lease
from digest.throttling import circuit_breaker
from digest.throttling.circuit_breaker import Failure
from tests import make

pytestmark = pytest.mark.django_db


@pytest.fixture
def deliver(sink, settings, tmp_path):
    settings.MAILER_URL = sink.url
    settings.STATE_DIR = tmp_path / "state"

    def run(*options: str) -> list[str]:
        output = StringIO()
        call_command("deliver", *options, stdout=output)
        return output.getvalue().splitlines()

    return run


@pytest.fixture
def today():
    """The newest edition that was due by now, and one reader."""
    now = ledger.database_now()
    day = (now - timedelta(hours=9)).date()
    make.reader("ann@example.org", "graphs", when=make.schedule("UTC", now.hour))
    return make.edition({make.paper(1): {"graphs": 1.0}}, day=day)


def test_j7_it_says_that_the_edition_is_paused_and_by_what(deliver, today):
    control.pause(today, "40 of 100 mails bounced")
    day = f"{today.day}"
    planned, why = deliver("--day", day)
    assert planned.startswith("planned 1: 0 accepted")
    assert "is paused: 40 of 100 mails bounced" in why
    assert f"`manage.py edition {day} resume`" in why


def test_j7_it_says_that_senders_rest_and_fails(deliver, today):
    circuit_breaker.trip(
        ledger.database_now() + timedelta(minutes=5), Failure("535 not now")
    )
    with pytest.raises(CommandError, match="535 not now.*relay resume"):
        deliver("--day", f"{today.day}")


def test_j7_it_says_when_the_next_attempt_is(deliver, today):
    make.reader("bob+rcpt-450@example.org", "graphs", when=make.schedule("UTC", 9))
    planned, *_ = deliver("--day", f"{today.day}")
    assert planned == "planned 2: 1 accepted, 0 skipped, 0 refused, 1 retry, 0 unknown"
    row = Delivery.objects.get(state="pending")
    (why,) = control.why_waiting(
        Edition.objects.all(), row.not_before - timedelta(seconds=1)
    )
    assert why.startswith("1 wait, the first until 20") and "temporary refusal" in why
    assert control.why_waiting(Edition.objects.all(), row.not_before) == []


def test_j7_it_says_that_nobody_is_due(deliver, today):
    Edition.objects.update(day=today.day + timedelta(days=9))
    assert deliver()[1:] == ["nothing is due to anybody"]


def test_a_past_day_by_hand_goes_to_those_to_whom_it_was_superseded(deliver, today, sink):
    before = today.day - timedelta(days=1)
    make.edition({make.paper(2): {"graphs": 1.0}}, day=before)
    assert deliver()[0].startswith("planned 1: 1 accepted")
    assert sorted(Delivery.objects.values_list("state", flat=True)) == [
        "accepted",
        "skipped",
    ]
    assert deliver("--day", f"{before}") == [
        "planned 1: 1 accepted, 0 skipped, 0 refused, 0 retry, 0 unknown"
    ]
    assert deliver("--day", f"{before}")[0].startswith("planned 0: 0 accepted")
    assert len(sink.mails()) == 2


def test_now_in_the_future_leaves_nothing_until_that_date(deliver, today, sink):
    """Leases, rests and waits are by the real clock; only what is due is by the other."""
    make.reader("bob+rcpt-450@example.org", "graphs", when=make.schedule("UTC", 9))
    make.reader("cem+dot-keep-drop@example.org", "graphs")
    real = ledger.database_now()
    later = real + timedelta(days=30)
    edition = make.edition({make.paper(9): {"graphs": 1.0}}, day=later.date())
    Edition.objects.filter(pk=edition.pk).update(published_at=real)
    deliver("--day", f"{edition.day}", "--now", f"{later + timedelta(days=2)}")
    soon = real + timedelta(hours=2)
    rows = Delivery.objects.filter(edition=edition)
    assert sorted(rows.values_list("state", flat=True)) == [
        "accepted",
        "pending",
        "unknown",
    ]
    assert rows.get(state="pending").not_before < soon
    assert not rows.filter(intent_at__gt=soon) and not rows.filter(outcome_at__gt=soon)
    assert not Lease.objects.exists()
    (mail, *_) = sink.to("ann@example.org")
    assert abs(mail.message["Date"].datetime - real) < timedelta(minutes=5)


def test_a_killed_deliver_of_the_future_is_over_in_minutes(today):
    from digest.deliveries.plan import plan_edition

    real = ledger.database_now()
    later = real + timedelta(days=30)
    plan_edition(today, later)
    rows = ledger.claim(real, due=later, limit=9)
    ledger.intend(rows, {row.delivery_id: "0" for row in rows}, now=real, due=later)
    end_leases(real + timedelta(minutes=16))
    assert make.states() == {"ann@example.org": "unknown"}
