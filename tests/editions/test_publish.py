"""Publish: a day's papers become a frozen edition, once."""

from datetime import date

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from digest.deliveries.plan import plan_edition
from digest.editions.publish import NothingToPublish, publish
from digest.models import Block, Edition, Paper
from tests import make
from tests.race import at_once


@pytest.mark.django_db
def test_a_day_is_published_best_first_with_topics():
    make.paper(
        1, upvotes=3, title="Message passing on graphs", abstract="Graph neural networks."
    )
    make.paper(2, upvotes=30)
    edition = publish(make.DAY, now=make.NOON)
    blocks = list(edition.blocks.all())
    assert [block.paper.arxiv_id for block in blocks] == ["2604.00002", "2604.00001"]
    assert blocks[1].topics["graphs"] == 1.0
    assert "Message passing on graphs" in blocks[1].html
    assert "Message passing on graphs" in blocks[1].text


@pytest.mark.django_db
def test_publishing_again_changes_nothing():
    item = make.paper(1, upvotes=3)
    first = publish(make.DAY, now=make.NOON)
    Paper.objects.filter(pk=item.pk).update(upvotes=99, title="Changed")
    make.paper(2)
    again = publish(make.DAY, now=make.NOON)
    assert again.pk == first.pk
    assert [(block.upvotes, block.title) for block in again.blocks.all()] == [
        (3, "Paper 1")
    ]


@pytest.mark.django_db
def test_a_day_without_papers_is_not_published():
    with pytest.raises(NothingToPublish, match="2026-04-17"):
        publish(make.DAY, now=make.NOON)
    assert not Edition.objects.exists()


@pytest.mark.django_db
def test_samples_stand_in_only_where_there_is_nothing_real():
    make.paper(1, is_sample=True)
    assert publish(make.DAY, now=make.NOON).blocks.count() == 1
    make.paper(2)
    assert [b.paper.is_sample for b in publish(make.DAY, now=make.NOON).blocks.all()] == [
        False
    ]


@pytest.mark.django_db
def test_the_week_holds_its_seven_days():
    for number, day in enumerate(["2026-04-11", "2026-04-12", "2026-04-18", "2026-04-19"]):
        make.paper(number, day=date.fromisoformat(day), upvotes=number)
    edition = publish(date(2026, 4, 18), now=make.NOON, kind=Edition.Kind.WEEKLY)
    assert [block.upvotes for block in edition.blocks.all()] == [2, 1]


@pytest.mark.django_db(transaction=True)
def test_two_who_publish_at_once_end_with_one_edition():
    for number in range(20):
        make.paper(number)
    one, other = at_once(*[lambda: publish(make.DAY, now=make.NOON)] * 2)
    assert one == other
    assert Block.objects.count() == 20


@pytest.mark.django_db
def test_the_number_of_queries_does_not_grow_with_the_papers():
    counts = []
    for day, papers in [(make.DAY, 1), (date(2026, 4, 18), 50)]:
        for number in range(papers):
            make.paper(papers * 100 + number, day=day)
        with CaptureQueriesContext(
            connection,
        ) as queries:
            publish(day, now=make.NOON)
        counts.append(len(queries))
    assert counts[0] == counts[1]


@pytest.mark.django_db
def test_samples_that_somebody_got_stay_as_they_went_out():
    make.paper(1, is_sample=True)
    edition = publish(make.DAY, now=make.NOON)
    make.reader("ann@example.org")
    assert plan_edition(edition, make.NOON) == 1
    make.paper(2)
    assert publish(make.DAY, now=make.NOON).pk == edition.pk
