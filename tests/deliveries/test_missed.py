"""What a reader missed while away comes in one mail, if they wish; nothing comes twice."""

from datetime import datetime, timedelta

import pytest
from django.core.management import call_command
from django.db.models import QuerySet

from digest.deliveries import sweep
from digest.deliveries.plan import plan
from digest.deliveries.schedule import longest_gap
from digest.deliveries.send import send_due
from digest.editions.publish import publish
from digest.models import Delivery, Edition
from digest.ranking.sent_before import sent_before
from subscribers import subscriptions
from subscribers.consent import Origin, record
from subscribers.models import ConsentEvent, Schedule, Subscriber
from tests import make
from tests.race import at_once

pytestmark = pytest.mark.django_db
ORIGIN = Origin("/test/", "", "test")
DAY = timedelta(days=1)
AWAY = 7  # days
# Long before.
LONG_AGO = make.NOON - timedelta(days=40)


def noon(ago: int) -> datetime:
    return make.NOON - ago * DAY


@pytest.fixture(autouse=True)
def papers() -> None:
    """Two papers of each of nine days, the newest the most upvoted."""
    for ago in range(-1, AWAY + 1):
        for number in range(2):
            make.paper(100 + 10 * ago + number, day=make.DAY - ago * DAY, upvotes=30 - ago)


def reader(when: Schedule | None = None, **fields: object) -> Subscriber:
    ann = make.reader("ann@example.org", when=when, at=LONG_AGO)
    fields = {"wants_missed": True, "most_papers": 3} | fields
    Subscriber.objects.filter(pk=ann.pk).update(**fields)
    return ann


def tick(ago: int) -> None:
    """Plan and send at noon of so many days ago."""
    publish(make.DAY - ago * DAY, now=noon(ago))
    plan(noon(ago))
    send_due(lambda: noon(ago))


def empty_edition(ago: int, kind: str) -> Edition:
    """What is planned depends on no paper."""
    return make.edition({}, day=make.DAY - ago * DAY, kind=kind)


def row(ann: Subscriber, ago: int, kind: str, state: str, reason: str = "") -> None:
    instants = dict.fromkeys(["due_at", "not_before", "expires_at"], noon(ago))
    Delivery.objects.create(
        edition=empty_edition(ago, kind),
        subscriber=ann,
        state=state,
        reason=reason,
        **instants,
    )


def ledger() -> list[str]:
    rows = Delivery.objects.select_related("edition").order_by("edition__day", "pk")
    return [f"{row.edition} {row.state}" for row in rows]


def story(sink, settings) -> Subscriber:
    """A reader who had one mail, paused, and came back today."""
    settings.MAILER_URL = sink.url
    ann = reader(wants_missed=False)
    tick(AWAY)
    Subscriber.objects.update(wants_missed=True)
    subscriptions.pause(ann.pk, origin=ORIGIN, now=noon(AWAY) + DAY / 4)
    tick(1)
    assert len(sink.mails()) == 1
    subscriptions.resume(ann.pk, origin=ORIGIN, now=noon(0) - DAY / 48)
    tick(0)
    return ann


def papers_of(mail) -> set[str]:
    text = str(mail.message.get_body(("plain",)).get_content())
    return {line for line in text.splitlines() if line.startswith("Paper ")}


def test_t32_who_was_away_gets_the_best_of_it_in_one_mail(sink, settings) -> None:
    story(sink, settings)
    first, missed = sink.mails()
    assert ledger() == [
        "daily 2026-04-10 accepted",
        "daily 2026-04-17 skipped",
        "missed 2026-04-17 accepted",
    ]
    superseded = Delivery.objects.get(state="skipped")
    assert superseded.reason == "in the mail of what was missed"
    assert superseded.reply == "missed 2026-04-17"
    text = str(missed.message.get_body(("plain",)).get_content())
    assert "While you were away: 3 papers" in text and "4–17 April 2026" in text
    # The best first: today's two, then one of yesterday's.
    assert papers_of(missed) == {"Paper 100", "Paper 101", "Paper 110"}
    tick(-1)
    assert ledger()[-1] == "daily 2026-04-18 accepted"
    several = [papers_of(mail) for mail in sink.mails()]
    assert sum(map(len, several)) == len(set().union(*several))


@pytest.mark.parametrize("kind", ["daily", "missed"])
@pytest.mark.parametrize("hold", ["paused", "cancelled"])
def test_a_hold_of_either_edition_leaves_the_reader_the_day(hold: str, kind: str) -> None:
    """Nothing goes around a hold, and no row ends for a mail that does not go."""
    reader()
    edition = publish(make.DAY, now=noon(0))
    if kind == "missed":
        edition = publish(make.DAY, now=noon(0), kind="missed")
    Edition.objects.filter(pk=edition.pk).update(hold=hold)
    plan(noon(0))
    assert ledger() == [f"daily {make.DAY} pending"]


def test_what_was_missed_is_checked_before_its_first_row() -> None:
    """A sender that runs meanwhile would take it."""

    def hold(found: QuerySet[Edition], now: datetime) -> None:
        assert [str(one) for one in found] == [f"missed {make.DAY}"]
        assert not Delivery.objects.exists() and now == noon(0)
        found.update(hold="paused", checked_at=now)

    reader()
    publish(make.DAY, now=noon(0))
    plan(noon(0), hold)
    assert ledger() == [f"daily {make.DAY} pending"]


def test_nothing_of_days_with_a_mail_comes(sink, settings) -> None:
    """Of those days the reader had the best; of the days before, too."""
    settings.MAILER_URL = sink.url
    reader(most_papers=20, wants_missed=False)
    tick(5)
    Subscriber.objects.update(wants_missed=True)
    tick(0)
    sent = papers_of(sink.mails()[-1])
    assert sent == {f"Paper {100 + 10 * ago + n}" for ago in range(5) for n in range(2)}


def test_folded_mails_count_as_had(sink, settings) -> None:
    settings.MAILER_URL = sink.url
    ann = reader(most_papers=20, wants_missed=False)
    tick(5)
    Subscriber.objects.update(wants_missed=True)
    tick(0)
    missed = Edition.objects.get(kind="missed")
    before = sorted(sent_before(missed, [ann.pk]))
    assert before
    assert sweep.fold_deliveries(noon(-30)) == 3
    assert sorted(sent_before(missed, [ann.pk])) == before


def test_where_folded_rows_would_tell_who_was_away_the_day_goes() -> None:
    """As after a week without editions: the plan's statements see the ledger alone."""
    ann = reader()
    row(ann, 3, "daily", "accepted")
    empty_edition(0, "daily")
    Edition.objects.filter(day__lt=make.DAY).update(folded_at=noon(0))
    Delivery.objects.all().delete()
    plan(noon(0))
    assert ledger() == ["daily 2026-04-17 pending"]


@pytest.mark.parametrize(
    ("last", "when", "kind"),
    [
        (5, "daily", "missed"),
        (4, "daily", "daily"),
        (7, "weekdays", "missed"),
        (6, "weekdays", "daily"),  # a weekend between
        (7, "fridays", "daily"),  # the one before
        (11, "fridays", "missed"),
        (7, "weekly", "weekly"),
        (11, "weekly", "missed"),
    ],
)
def test_away_is_longer_than_the_schedule_leaves_out(last, when, kind) -> None:
    friday = 1 << 4
    schedules = {
        "daily": make.schedule(),
        "weekdays": make.schedule(cadence="weekdays"),
        "fridays": make.schedule(days=friday),
        "weekly": make.schedule(cadence="weekly", days=friday),
    }
    ann = reader(when=schedules[when])
    usual = "weekly" if when == "weekly" else "daily"
    row(ann, last, usual, "accepted")
    empty_edition(0, usual)
    plan(noon(0))
    going = Delivery.objects.filter(state="pending", edition__day=make.DAY)
    assert [row.edition.kind for row in going] == [kind]


@pytest.mark.each_row
@pytest.mark.parametrize(
    ("case", "kind"),
    [
        ("wished", "missed"),
        ("not wished", "daily"),
        ("confirmed lately", "daily"),
        ("imported lately", "daily"),
        ("nothing matched yesterday", "daily"),
        ("yesterday's came too late", "missed"),
        ("yesterday's edition was cancelled", "missed"),
        ("yesterday's is on its way", "daily"),
        ("a week came yesterday", "daily"),
    ],
)
def test_who_was_away(case: str, kind: str) -> None:
    ann = reader(wants_missed=case != "not wished")
    if case == "confirmed lately":
        Subscriber.objects.update(confirmed_at=noon(2))
    if case == "imported lately":
        imported = ConsentEvent.Kind.IMPORTED
        record(ann, imported, origin=ORIGIN, now=noon(2), detail={})
    states = {
        "nothing matched yesterday": ("skipped", "no paper of the reader's topics"),
        "yesterday's came too late": ("expired", "too late"),
        "yesterday's edition was cancelled": ("skipped", "edition cancelled"),
        "yesterday's is on its way": ("submitting", ""),
        "a week came yesterday": ("accepted", ""),
    }
    if case in states:
        state, reason = states[case]
        row(ann, 1, "weekly" if case == "a week came yesterday" else "daily", state, reason)
    empty_edition(0, "daily")
    plan(noon(0))
    going = Delivery.objects.filter(state="pending", edition__day=make.DAY)
    assert [row.edition.kind for row in going] == [kind]


def test_planning_again_or_after_a_crash_makes_nothing_twice() -> None:
    reader()
    publish(make.DAY, now=noon(0))
    publish(make.DAY, now=noon(0), kind="missed")  # and the planner died
    assert [plan(noon(0)) for _ in range(3)] == [1, 0, 0]
    assert ledger() == ["daily 2026-04-17 skipped", "missed 2026-04-17 pending"]
    call_command("deliver", day=make.DAY, now=noon(0))
    assert Delivery.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_planners_at_once_make_one_row_of_each() -> None:
    reader()
    publish(make.DAY, now=noon(0))
    at_once(*[lambda: plan(noon(0))] * 3)
    assert sorted(ledger()) == ["daily 2026-04-17 skipped", "missed 2026-04-17 pending"]


def test_the_readers_pages_and_replay_know_that_mail(sink, settings, client, capfdbinary):
    ann = story(sink, settings)
    missed = Delivery.objects.get(edition__kind="missed")
    call_command("replay", "ann@example.org", "2026-04-17", kind="missed")
    assert capfdbinary.readouterr().out == sink.mails()[-1].raw
    from digest.site.past_digests import digests_of

    assert [one.kind for one in digests_of(ann.pk)] == ["missed", "daily"]
    page = client.get("/editions/missed/2026-04-17/")
    assert page.status_code == 200 and b"Paper 100" in page.content
    call_command(
        "replay", "ann@example.org", "2026-04-17", kind="missed", paper="2604.00170"
    )
    assert b"You had it already" in capfdbinary.readouterr().out
    assert missed.picks


@pytest.mark.parametrize(
    ("days", "gap"),
    [((0, 1, 2, 3, 4, 5, 6), 1), ((0, 1, 2, 3, 4), 3), ((2,), 7), ((0, 3), 4), ((), 7)],
)
def test_the_longest_gap_of_a_schedule(days: tuple[int, ...], gap: int) -> None:
    assert longest_gap(sum(1 << day for day in days)) == gap
