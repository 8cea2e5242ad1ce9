"""What others report of mails: kept once, believed with care."""

import random
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from digest.deliveries import control, ledger
from digest.feedback import alarms, bounce_rules, events
from digest.feedback.bounce_rules import FeedbackCounts
from digest.feedback.events import Report
from digest.models import Delivery, DeliveryEvent, Edition
from digest.privacy import personal_data
from digest.transport.outcomes import Outcome, Verdict
from subscribers import privacy, requests, subscriptions
from subscribers.consent import Origin
from subscribers.models import Notice, Subscriber, Suppression
from subscribers.rate_limits import Filled
from tests import make
from tests.subscribers.conftest import ask

pytestmark = pytest.mark.django_db
NOW = make.NOON
ACCEPTED = Outcome(Verdict.ACCEPTED, "accepted", "250 ok")


keys = count()


def report(kind: str, row: Delivery | None = None, **fields: object) -> Report:
    values: dict[str, Any] = {
        "at": NOW,
        "key": f"{next(keys)}",
        "delivery_id": row.pk if row else None,
        "recipient": "r0@example.org",
    }
    return Report(kind, **values | fields)


def take(*reports: Report, now=NOW) -> int:
    return events.take(reports, now=now)


def reasons() -> list[str]:
    return list(Suppression.objects.values_list("reason", flat=True))


def test_b1_who_complained_gets_no_mail_even_erased_and_signed_up_anew():
    (row,) = make.handed_over()
    take(report("complained", row))
    privacy.erase(Subscriber.objects.get().pk, now=NOW)
    requests.sign_up(*ask("R0@example.org"), origin=Origin("/"), filled=Filled(), now=NOW)
    assert requests.handle_open(now=NOW + timedelta(hours=1)) == 1
    assert not Notice.objects.exists() and not Subscriber.objects.exists()
    assert reasons() == ["complained"]


def test_b2_a_complaint_suppresses_at_once():
    (row,) = make.handed_over()
    assert take(report("complained", row)) == 1
    assert reasons() == ["complained"]


def test_b2_a_complaint_outdoes_that_somebody_has_left():
    (row,) = make.handed_over()
    subscriptions.unsubscribe(Subscriber.objects.get().pk, origin=Origin("test"), now=NOW)
    take(report("complained", row))
    assert reasons() == ["complained"]


@pytest.mark.parametrize(
    ("words", "suppressed"),
    [("550 5.1.1 no such user", True), ("550 5.2.1 disabled", True)]
    + [("550 5.7.1 spam", False), ("552 5.2.2 full", False), ("", False)],
)
def test_b2_only_an_address_that_does_not_exist_is_suppressed_at_the_first_bounce(
    words, suppressed
):
    (row,) = make.handed_over()
    take(report("bounced", row, words=words))
    assert reasons() == (["bounced"] if suppressed else [])


def test_b2_an_address_that_bounces_day_after_day_is_suppressed():
    (row,) = make.handed_over()
    for day in range(5):
        assert reasons() == []
        for again in range(2):  # two a day are one point
            at = NOW + timedelta(days=day, hours=again)
            take(report("bounced", row, at=at), now=at)
    assert reasons() == ["bounced"]


def test_b2_a_week_of_silence_forgets_the_score():
    day = NOW.date()
    dates = [day + timedelta(days=step) for step in (0, 1, 2, 10, 11)]
    assert bounce_rules.score(dates) == 2
    assert bounce_rules.score([day + timedelta(days=7 * step) for step in range(5)]) == 5


def test_b2_who_unsubscribes_at_the_provider_has_left_and_may_come_back():
    (row,) = make.handed_over()
    take(report("unsubscribed", row))
    assert Subscriber.objects.get().state == "unsubscribed"
    assert reasons() == ["left"]
    subscriptions.subscribe(*ask("r0@example.org"), origin=Origin("test"), now=NOW)
    assert Notice.objects.get().kind == "confirm"


def test_b3_a_report_counts_once_however_often_it_comes():
    (row,) = make.handed_over()
    same = report("bounced", row)
    assert [take(same, same) for _ in range(5)] == [1, 0, 0, 0, 0]
    assert DeliveryEvent.objects.count() == 1


def test_b3_the_order_of_reports_does_not_matter():
    rows = make.handed_over(3)
    reports = [report("bounced", rows[0], at=NOW + timedelta(days=day)) for day in range(5)]
    reports += [report("delivered", rows[1]), report("complained", rows[1])]
    reports += [report("bounced", rows[2], words="5.1.1"), report("opened", rows[2])]
    for seed in range(5):
        DeliveryEvent.objects.all().delete()
        Suppression.objects.all().delete()
        shuffled = random.Random(seed).sample(reports * 2, len(reports) * 2)
        assert sum(take(*shuffled[place : place + 4]) for place in range(0, 18, 4)) == 9
        assert sorted(reasons()) == ["bounced", "bounced", "complained"]


def test_b3_a_report_from_before_the_hand_over_changes_nothing():
    (row,) = make.handed_over()
    take(report("complained", row, at=NOW - timedelta(days=2)))
    assert reasons() == []


@pytest.mark.parametrize("named", [None, int("9" * 18)])
def test_b3_a_report_about_nobody_is_kept_and_harmless(named):
    assert take(report("complained", delivery_id=named, recipient="no address")) == 1
    assert DeliveryEvent.objects.get().delivery is None
    assert reasons() == []


def test_what_was_reported_of_a_reader_is_theirs_to_see_and_goes_with_them():
    (row,) = make.handed_over()
    words = "452 4.2.2 <r0@example.org> over quota"
    take(report("bounced", row, words=words), report("bounced", words=words))
    told = personal_data(Subscriber.objects.get())["delivery_events"]
    assert [one["reply"] for one in told] == [words] * 2
    privacy.erase(Subscriber.objects.get().pk, now=NOW)
    events_left = DeliveryEvent.objects.values_list("reply", "email_hash")
    assert list(events_left) == [("", "")] * 2


def test_a_report_about_a_single_mail_finds_its_reader_by_the_address():
    make.handed_over()
    take(report("complained", recipient="R0@EXAMPLE.org"))
    assert Suppression.objects.get().email_hash == Subscriber.objects.get().email_hash


def test_words_that_no_database_takes_are_kept_without_them():
    (row,) = make.handed_over()
    take(report("bounced\0", row, words="\ud800 5.1.1\0 no", message_id="\udfff"))
    assert DeliveryEvent.objects.get().reply == " 5.1.1 no"


def test_words_that_would_steer_a_terminal_are_kept_without_that(capsys):
    (row,) = make.handed_over()
    words = (
        "5.1.1 \x1b]0;owned\x07 \x9b31mred\x7f \u202ertl\u2066 two\nlines\u2028more \xad"
    )
    take(report("bounced", row, words=words, message_id="\x1b[2J<id>"))
    call_command("delivery", f"{row.pk}")
    printed = capsys.readouterr().out
    assert "5.1.1 ]0;owned 31mred rtl two lines more" in printed and "[2J<id>" in printed
    assert all(one.isprintable() for line in printed.split("\n") for one in line)


def test_b4_a_batch_of_a_thousand_reports_takes_a_few_statements():
    rows = make.handed_over(20)
    kinds = ["delivered", "bounced", "complained", "opened"]
    reports = [
        report(kinds[number % 4], rows[number % 20], words="5.1.1")
        for number in range(1000)
    ]
    with CaptureQueriesContext(
        connection,
    ) as seen:
        assert take(*reports) == 1000
    statements = [query["sql"] for query in seen if "INSERT" in query["sql"]]
    assert len([sql for sql in statements if "digest_deliveryevent" in sql]) == 1
    assert len(seen) <= 12
    with CaptureQueriesContext(connection) as seen:
        take(report("delivered", rows[0]))
    assert len(seen) <= 4  # with the transaction's own


def test_an_unknown_is_resolved_by_evidence_and_nothing_else_is_moved():
    first, second = make.handed_over(2)
    ledger.rescue_expired(NOW + timedelta(hours=1))
    take(report("delivered", first, recipient=""))
    assert make.states() == {"r0@example.org": "accepted", "r1@example.org": "unknown"}
    Delivery.objects.filter(pk=second.pk).update(state="refused")
    take(report("delivered", second))
    assert Delivery.objects.get(pk=second.pk).state == "refused"


def test_evidence_that_came_before_the_lease_ended_counts_as_well():
    first, second, third = make.handed_over(3)
    take(report("delivered", first), report("rejected", second, words="on our list"))
    take(report("delivered", third, at=NOW - timedelta(hours=1)))  # of an earlier mail
    assert events.resolve_reported(NOW) == 0
    ledger.rescue_expired(NOW + timedelta(hours=1))
    assert events.resolve_reported(NOW + timedelta(hours=1)) == 2
    assert make.states() == {
        "r0@example.org": "accepted",
        "r1@example.org": "refused",
        "r2@example.org": "unknown",
    }
    told = first.events.get(kind="accepted")
    assert told.reply == "was unknown: crashed in flight"


def test_b5_too_many_complaints_pause_the_edition_and_the_operator_resumes():
    rows = make.handed_over(60)
    claimed = [
        ledger.Claimed(row.pk, row.edition_id, row.subscriber_id, 0, row.lease_token)
        for row in rows
    ]
    ledger.record({row.pk: ACCEPTED for row in rows}, claimed, now=NOW)
    take(*[report("complained", row) for row in rows[:2]])
    assert alarms.pause_alarming(NOW) == []
    take(report("complained", rows[2]))
    (paused,) = alarms.pause_alarming(NOW)
    assert Edition.objects.get().hold_reason == "3 of 60 mails were reported as spam"
    control.resume(paused, now=make.NOON)
    assert alarms.pause_alarming(NOW) == []


def test_b5_a_bounce_rate_pauses_above_five_percent_only():
    assert bounce_rules.alarm(FeedbackCounts(accepted=400, bounced=20)) is None
    assert bounce_rules.alarm(FeedbackCounts(accepted=399, bounced=20)) is not None
    assert bounce_rules.alarm(FeedbackCounts(accepted=10, bounced=9, complained=2)) is None


def test_b5_complaints_warn_above_a_thousandth_and_pause_above_three():
    for accepted, warns in ((3000, False), (2999, True)):
        counts = FeedbackCounts(accepted=accepted, complained=3)
        assert (bounce_rules.warning(counts), bounce_rules.alarm(counts)) == (
            f"3 of {accepted} mails were reported as spam" if warns else None,
            None,
        )
    assert bounce_rules.alarm(FeedbackCounts(accepted=999, complained=3)) is not None
    for bounced, complained in ((20, 0), (0, 3), (200, 7)):
        most = bounce_rules.most_that_matter(bounced, complained)
        counts = FeedbackCounts(most, bounced, complained)
        assert (bounce_rules.warning(counts), bounce_rules.alarm(counts)) == (None, None)
    assert bounce_rules.alarm(FeedbackCounts(accepted=1000, complained=3)) is None
