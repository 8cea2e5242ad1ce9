"""Counts for pages: exact while small, a worker's once large, and again when they may change."""

from datetime import timedelta

import pytest
from django.db.models import F

from digest.deliveries import counts
from digest.deliveries.plan import plan
from digest.models import Delivery, Edition, StoredCount
from subscribers.models import Subscriber
from tests import make

pytestmark = pytest.mark.django_db
NOW = make.NOON


@pytest.fixture
def edition(monkeypatch) -> Edition:
    """An edition of more deliveries than a page counts, for so many readers."""
    monkeypatch.setattr(counts, "SMALL", 2)
    edition = make.edition({make.paper(1): {"graphs": 1.0}})
    for number in range(3):
        make.reader(f"r{number}@example.org", "graphs")
    plan(NOW)
    return edition


def of(edition: Edition) -> counts.Counted:
    return counts.of_editions([edition.pk])[edition.pk]


def test_what_is_small_is_counted_at_once(edition, monkeypatch) -> None:
    monkeypatch.setattr(counts, "SMALL", 3)
    counts.refresh(NOW)
    assert not StoredCount.objects.exists()
    assert of(edition) == counts.Counted([("pending", "", 3)])
    assert [row[-1] for row in counts.readers().rows] == [3]


@pytest.mark.parametrize(
    ("states", "seconds", "counted"),
    [
        ("pending", 20, False),
        ("pending", 30, True),
        ("unknown", 30, True),
        ("accepted", 30, False),
        ("accepted", 3700, True),
        ("accepted", -7200, True),  # the clock was set back
    ],
)
def test_what_is_large_is_counted_by_the_worker_while_it_moves(
    edition, states, seconds, counted
) -> None:
    Delivery.objects.update(state=states)
    counts.refresh(NOW)
    assert of(edition) == counts.Counted([(states, "", 3)], NOW)
    Delivery.objects.filter(pk=Delivery.objects.order_by("pk")[0].pk).update(
        state="refused"
    )
    counts.refresh(NOW + timedelta(seconds=seconds))
    assert (of(edition).rows != [(states, "", 3)]) is counted


def test_an_old_edition_is_counted_again_while_something_is_open(edition) -> None:
    Delivery.objects.update(state="accepted")
    counts.refresh(NOW)
    Delivery.objects.filter(pk=Delivery.objects.order_by("pk")[0].pk).update(
        state="pending"
    )
    Edition.objects.update(published_at=F("published_at") - timedelta(days=9))
    counts.refresh(NOW + timedelta(minutes=1))
    assert of(edition).rows == [("accepted", "", 3)]  # too old for anything to come due
    Edition.objects.update(published_at=NOW)
    counts.refresh(NOW + timedelta(minutes=1))
    assert sorted(of(edition).rows) == [("accepted", "", 2), ("pending", "", 1)]


def test_what_has_become_small_is_forgotten(edition) -> None:
    counts.refresh(NOW)
    stored = StoredCount.objects.values_list("pk", flat=True)
    assert set(stored) == {f"edition {edition.pk}", "readers", "topics", "domains"}
    Delivery.objects.all().delete()
    Subscriber.objects.all().delete()
    counts.refresh(NOW)
    assert of(edition) == counts.readers() == counts.Counted([])
    assert not stored.all()
