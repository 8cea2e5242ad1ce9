"""Alarms: what must never be, put into the tables by hand, is found and stopped."""

from datetime import timedelta

import pytest
from django.core import mail
from django.db import connection

from digest.deliveries import control, ledger
from digest.deliveries.plan import plan, plan_edition
from digest.feedback import alarms, events
from digest.feedback.events import Report
from digest.models import Delivery, DeliveryEvent, Edition
from tests import make
from tests.environment import POSTGRES

pytestmark = pytest.mark.django_db
NOW = make.NOON


@pytest.fixture
def handed_over(settings):
    """An edition of which two readers have been handed their mail."""
    settings.ADMINS = ["ada@example.org"]
    settings.MAILERS = {
        "default": {"BACKEND": "django.core.mail.backends.locmem.EmailBackend"}
    }
    edition = make.edition({make.paper(1): {"graphs": 1.0}})
    for name in ("ann", "bob"):
        make.reader(f"{name}@example.org", "graphs")
    hand_over()
    return edition


def hand_over(now=NOW) -> None:
    plan(now)
    rows = ledger.claim(now, limit=9)
    ledger.intend(rows, {row.delivery_id: "0" for row in rows}, now=now)


def second_row() -> None:
    """What the unique pair forbids, past it: the same address once more."""
    make.reader("ann@example.com", "graphs")
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE subscribers_subscriber SET email_hash = (SELECT email_hash FROM"
            " subscribers_subscriber WHERE email = 'ann@example.org')"
            " WHERE email = 'ann@example.com'"
        )
    Edition.objects.update(planned_until=None)
    hand_over()


def test_r15_nothing_is_found_where_nothing_is_wrong(handed_over):
    assert alarms.watch(NOW) == []
    assert Edition.objects.get().hold == ""


def test_r15_an_address_with_two_mails_of_an_edition_pauses_it_and_pages_once(
    handed_over, caplog
):
    second_row()
    assert alarms.watch(NOW) == [handed_over]
    assert "handed two mails" in Edition.objects.get().hold_reason
    assert alarms.watch(NOW) == []
    (told,) = mail.outbox
    assert told.to == ["ada@example.org"] and "paused" in told.subject
    row = Delivery.objects.latest("pk")
    assert f"{row.pk}" in told.body and "ann@" not in told.body + caplog.text
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    control.resume(handed_over, now=make.NOON)
    assert alarms.watch(NOW) == [], "who has resumed it knows better"


@pytest.mark.skipif(not POSTGRES, reason="SQLite cannot drop a constraint of a table")
def test_r15_a_second_row_of_a_pair_is_found_if_the_database_let_it_in(handed_over):
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE digest_delivery DROP CONSTRAINT delivery_unique")
        row = Delivery.objects.latest("pk")
        row.pk = None
        row.save(force_insert=True)
    assert alarms.watch(NOW) == [handed_over]
    assert Edition.objects.get().hold == "paused"


def test_r15_a_daily_a_weekly_and_a_late_one_are_not_too_many_but_four_are(handed_over):
    for number in range(1, 4):
        day = make.DAY + timedelta(days=number)
        made = make.edition({make.paper(number + 1): {"graphs": 1.0}}, day=day)
        hand_over(NOW + timedelta(days=number))
        Delivery.objects.filter(edition=made).update(intent_at=NOW)
        assert bool(alarms.watch(NOW)) == (number == 3)
    assert Edition.objects.filter(hold="paused").count() == 4
    Edition.objects.update(hold="", hold_reason="")
    assert alarms.watch(NOW + timedelta(hours=25)) == []


def test_r15_two_mails_of_one_delivery_at_the_provider_are_an_alarm(handed_over):
    first, second = Delivery.objects.order_by("pk")
    events.take(
        [
            Report(kind, f"{kind} {name}", NOW, delivery_id=pk, message_id=name)
            for pk in (first.pk, second.pk)
            for kind, name in (("sent", f"a{pk}"), ("delivered", f"a{pk}"))
        ],
        now=NOW,
    )
    assert alarms.watch(NOW) == []
    other = Report("delivered", "another", NOW, delivery_id=first.pk, message_id="b")
    events.take([other], now=NOW)
    operator = DeliveryEvent.objects.create(
        delivery=first, at=NOW, source="operator", kind="pending"
    )
    assert alarms.watch(NOW) == [], "sent again by the operator's word"
    operator.delete()
    assert alarms.watch(NOW) == [handed_over]
    assert "provider has reported two" in Edition.objects.get().hold_reason


def test_r15_that_nobody_can_be_told_stops_no_alarm(handed_over, settings, caplog):
    settings.MAILERS = {
        "default": {
            "BACKEND": "django.core.mail.backends.smtp.EmailBackend",
            "OPTIONS": {"host": "127.0.0.1", "port": 9},
        }
    }
    second_row()
    assert alarms.watch(NOW) == [handed_over]
    assert "could not be alerted: ConnectionRefusedError" in caplog.text


@pytest.mark.parametrize("first", [1, 2])
def test_several_past_days_sent_by_hand_are_no_alarm(handed_over, first):
    """As the README's walk does: a day after the other, to readers whose hours are over."""
    now = NOW + timedelta(days=6)
    for back in range(first, first + 4):
        day = (now - timedelta(days=back)).date()
        paper = make.paper(20 + back, day=day)
        edition = (
            make.edition({paper: {"graphs": 1.0}}, day=day) if day != make.DAY else None
        )
        if edition:
            Edition.objects.filter(pk=edition.pk).update(published_at=now)
            plan_edition(edition, now)
            rows = ledger.claim(now, limit=9, edition_id=edition.pk)
            ledger.intend(rows, {row.delivery_id: "0" for row in rows}, now=now)
    assert Delivery.objects.filter(state="submitting").count() == 2 * 5
    assert alarms.watch(now) == []


def test_r15_more_than_three_mails_in_time_in_a_day_are_an_alarm(handed_over):
    for number in range(1, 5):
        make.edition(
            {make.paper(number + 1): {"graphs": 1.0}}, day=make.DAY + timedelta(number)
        )
    Edition.objects.update(published_at=NOW)
    for edition in Edition.objects.exclude(day=make.DAY):
        for row in Delivery.objects.filter(edition__day=make.DAY):
            Delivery.objects.create(
                edition=edition,
                subscriber=row.subscriber,
                state="accepted",
                due_at=NOW,
                not_before=NOW,
                expires_at=NOW,
                intent_at=NOW,
            )
    assert len(alarms.watch(NOW)) == 5
