"""No paper twice to one reader, and a week that ends on the reader's own day."""

from datetime import UTC, date, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from digest.deliveries.plan import plan, plan_edition, weeks_wanted
from digest.deliveries.send import send_due
from digest.editions.publish import publish
from digest.models import Delivery, Edition, Paper
from digest.ranking.loaded import load
from digest.ranking.select import select
from subscribers.consent import Origin
from subscribers.models import Schedule, Subscriber
from subscribers.preferences import Preferences
from tests import make

pytestmark = pytest.mark.django_db
ORIGIN = Origin("/test/", "", "test")
DAILY, WEEKLY = Edition.Kind.DAILY, Edition.Kind.WEEKLY


def papers(days: int) -> list[Paper]:
    """Two papers of each of so many days that end on make.DAY."""
    return [
        make.paper(
            10 * ago + number, day=make.DAY - timedelta(days=ago), upvotes=ago + number
        )
        for ago in range(days)
        for number in range(2)
    ]


def titles_sent(sink) -> list[str]:
    """The titles of all papers in all mails, in order."""
    text = [str(mail.message.get_body(("plain",)).get_content()) for mail in sink.mails()]
    return [line for one in text for line in one.splitlines() if line.startswith("Paper ")]


def send(edition: Edition) -> None:
    now = datetime.combine(edition.day, make.NOON.timetz())
    plan_edition(edition, now + timedelta(days=1))
    send_due(lambda: now + timedelta(days=1), edition_id=edition.pk)


@pytest.mark.parametrize(
    "kinds",
    [(DAILY, WEEKLY), (WEEKLY, DAILY), (DAILY, WEEKLY, DAILY), (WEEKLY, WEEKLY)],
    ids=["daily to weekly", "weekly to daily", "and back", "weekly on another day"],
)
def test_a_change_of_cadence_repeats_no_paper(kinds, sink, settings) -> None:
    settings.MAILER_URL = sink.url
    papers(9)
    ann = make.reader("ann@example.org")
    Subscriber.objects.update(most_papers=20)
    days = [make.DAY - timedelta(days=2), make.DAY - timedelta(days=1), make.DAY]
    for kind, day in zip(kinds, days, strict=False):
        weekday = (day + timedelta(days=1)).weekday()
        cadence = Schedule.Cadence.WEEKLY if kind == WEEKLY else Schedule.Cadence.DAILY
        wanted = Preferences(cadence=cadence, days=(weekday,), send_hour=8, most_papers=20)
        make.change_preferences(ann.pk, wanted, origin=ORIGIN, now=make.NOON)
        send(publish(day, now=make.NOON, kind=kind))
    sent = titles_sent(sink)
    assert len(sent) == len(set(sent)) and len(sent) > 2
    assert Delivery.objects.filter(state="accepted").count() >= 2


def test_a_new_version_of_a_paper_is_the_same_paper(sink, settings) -> None:
    settings.MAILER_URL = sink.url
    make.reader("ann@example.org")
    (paper, _) = papers(1)
    send(publish(make.DAY, now=make.NOON))
    Paper.objects.filter(pk=paper.pk).update(title="Paper 0, second version")
    weekly = publish(make.DAY, now=make.NOON, kind=WEEKLY)
    (digest,) = select(load(weekly.pk), [(0, Subscriber.objects.get().pk)])
    assert not digest.picks


@pytest.mark.each_row
@pytest.mark.parametrize(
    ("state", "again"),
    [("accepted", False), ("unknown", False), ("submitting", False), ("abandoned", False),
     ("refused", True), ("skipped", True), ("expired", True), ("pending", True)],
)  # fmt: skip
def test_what_may_have_arrived_counts_and_what_surely_did_not_comes_again(
    state, again
) -> None:
    ann = make.reader("ann@example.org")
    papers(1)
    daily = publish(make.DAY, now=make.NOON)
    weekly = publish(make.DAY, now=make.NOON, kind=WEEKLY)
    plan_edition(daily, make.NOON)
    Delivery.objects.update(state=state, picks="0:- 1:- en@1f2e3d4c5b6a")
    (digest,) = select(load(weekly.pk), [(0, ann.pk)])
    assert bool(digest.picks) == again


def test_the_queries_do_not_grow_with_readers_or_their_mails() -> None:
    papers(7)
    editions = [publish(make.DAY - timedelta(days=ago), now=make.NOON) for ago in range(7)]
    weekly = load(publish(make.DAY, now=make.NOON, kind=WEEKLY).pk)
    counts = []
    for readers in (1, 30):
        make.readers([f"r{readers}-{number}@example.org" for number in range(readers)])
        for edition in editions:
            plan_edition(edition, make.NOON + timedelta(days=1))
        Delivery.objects.update(state="accepted", picks="0:- en@1f2e3d4c5b6a")
        owed = [(0, pk) for pk in Subscriber.objects.values_list("pk", flat=True)]
        select(weekly, owed)
        with CaptureQueriesContext(
            connection,
        ) as found:
            select(weekly, owed)
        counts.append(len(found))
    assert counts[0] == counts[1] <= 4


# -- the week ----------------------------------------------------------------------


@pytest.mark.parametrize("weekday", range(7))
@pytest.mark.parametrize(
    ("zone", "hour"),
    [
        ("Europe/Berlin", 7),
        ("Asia/Tokyo", 20),
        ("Pacific/Auckland", 6),
        ("America/Los_Angeles", 23),
    ],
)
def test_the_week_ends_on_the_last_day_released_before_the_readers_hour(
    weekday, zone, hour
) -> None:
    weekly = make.schedule(zone, hour, cadence="weekly", days=1 << weekday)
    make.reader("ann@example.org", when=weekly)
    for number in range(20):
        make.paper(number, day=make.DAY - timedelta(days=number - 8))
    due = []
    for ago in range(10, -8, -1):
        day = make.DAY - timedelta(days=ago)
        if day in weeks_wanted(day):
            Edition.objects.create(
                kind=WEEKLY, day=day, published_at=make.NOON - timedelta(days=30)
            )
            plan(datetime.combine(day, make.NOON.timetz()) + timedelta(days=1))
            due.append(day)
    rows = list(Delivery.objects.order_by("due_at"))
    assert len(rows) == len(due) >= 2
    for row in rows:
        age = row.due_at - datetime.combine(row.edition.day, datetime.min.time(), UTC)
        assert timedelta(hours=8) < age < timedelta(hours=33)
    gaps = {later - earlier for earlier, later in zip(due, due[1:], strict=False)}
    assert gaps == {timedelta(days=7)}


def test_a_week_that_nobody_gets_is_not_published() -> None:
    friday = date(2026, 4, 16)
    assert weeks_wanted(friday) == []
    make.reader(
        "ann@example.org", when=make.schedule("UTC", 7, cadence="weekly", days=1 << 4)
    )
    assert weeks_wanted(friday) == [friday]
    Subscriber.objects.update(state="paused")
    assert weeks_wanted(friday) == []
