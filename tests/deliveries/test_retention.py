"""What of the ledger is dropped, and what stays."""

from datetime import timedelta

import pytest

from digest.deliveries import history, sweep
from digest.deliveries.plan import plan, plan_edition
from digest.models import Delivery, DeliveryEvent, Edition, Frame
from tests import make

pytestmark = pytest.mark.django_db

LATER = make.NOON + sweep.KEPT


@pytest.fixture
def sent() -> Edition:
    """An edition with three rows that have their end, and a history of one."""
    edition = make.edition({make.paper(1): {"graphs": 1.0}})
    make.readers([f"r{number}@example.org" for number in range(3)], "graphs")
    assert plan(make.NOON) == 3
    rows = Delivery.objects.all()
    rows.update(state="accepted", outcome_at=make.NOON)
    history.note(rows[:1], "accepted", source="operator", reason="told", now=make.NOON)
    return edition


def test_g5_rows_go_ninety_days_after_their_day_and_the_edition_stays(sent, client):
    assert sweep.prune_deliveries(LATER) == 0
    assert sweep.prune_deliveries(LATER + timedelta(days=1)) == 3
    assert not Delivery.objects.exists()
    assert not DeliveryEvent.objects.exists()
    assert not Frame.objects.exists()
    assert sent.blocks.count() == 1
    assert client.get(f"/editions/daily/{sent.day}/").status_code == 200


def test_twice_drops_nothing_more(sent):
    late = LATER + timedelta(days=1)
    assert [sweep.prune_deliveries(late), sweep.prune_deliveries(late)] == [3, 0]


def test_what_was_cut_short_goes_on(sent, monkeypatch):
    monkeypatch.setattr(sweep, "BATCH", 1)
    late = LATER + timedelta(days=1)
    assert [sweep.prune_deliveries(late, batches=2) for _ in range(3)] == [2, 1, 0]


def test_while_a_row_is_open_all_of_its_edition_stays(sent):
    Frame.objects.create(edition=sent, fingerprint="f" * 12, data="{}")
    row = Delivery.objects.filter(pk=Delivery.objects.all()[0].pk)
    row.update(state="submitting")
    assert sweep.prune_deliveries(LATER + timedelta(days=1)) == 0
    assert Delivery.objects.count() == 3 and Frame.objects.exists()
    row.update(state="unknown")
    assert sweep.prune_deliveries(LATER + timedelta(days=1)) == 3
    assert not Frame.objects.exists()


def test_nobody_gets_an_edition_again_whose_rows_are_gone(sent):
    sweep.prune_deliveries(LATER + timedelta(days=1))
    sent.refresh_from_db()
    assert plan_edition(sent, make.NOON) == 0
    assert not Delivery.objects.exists()


@pytest.mark.parametrize("days", [0, 15])
def test_an_old_day_that_was_published_lately_is_no_old_edition(sent, days):
    late = LATER + timedelta(days=100)
    Edition.objects.update(published_at=late - timedelta(days=days))
    assert sweep.fold_deliveries(late) == sweep.prune_deliveries(late) == 0
    assert Delivery.objects.count() == 3
    sent.refresh_from_db()
    assert sent.folded_at is None


def test_reports_of_nobodys_mail_go_as_well(sent):
    DeliveryEvent.objects.create(at=make.NOON, source="provider", kind="bounced")
    sweep.prune_deliveries(LATER + timedelta(days=1))
    assert not DeliveryEvent.objects.exists()


def test_statements_do_not_grow_with_the_rows(sent, django_assert_num_queries):
    with django_assert_num_queries(19):
        sweep.prune_deliveries(LATER + timedelta(days=1))
