"""Days that have few papers, and lists that are late: what is held, sent, skipped and said."""

from datetime import UTC, date, datetime, timedelta

import pytest
import time_machine
from django.core.management import CommandError, call_command

from digest import tasks
from digest.editions import frames
from digest.editions.publish import publish
from digest.models import Edition, Paper, SourceDay
from digest.papers import ingest, source_days
from digest.papers.fullness import Fullness, State, fullness, is_held, newest_state, norm_of
from digest.papers.records import parse_entry
from tests import make
from tests.source_server import entry

DAY = date(2026, 4, 17)  # a Friday
NOW = datetime(2026, 4, 17, 9, tzinfo=UTC)
WEEK = timedelta(days=7)

pytestmark = pytest.mark.django_db


def history(per_weekday: dict[int, int], *, end: date = DAY, weeks: int = 4) -> None:
    """Store that many papers on each weekday (Monday is 0) of the weeks before `end`."""
    rows = []
    for ago in range(1, 7 * weeks + 1):
        day = end - timedelta(days=ago)
        for n in range(per_weekday.get(day.weekday(), 0)):
            arxiv_id = f"{day:%y%m}.{day.day:02}{n:03}"
            rows.append(Paper(arxiv_id=arxiv_id, title="T", day=day, fetched_at=NOW))
        source_days.answered(day, NOW, papers=0)
    Paper.objects.bulk_create(rows)


WEEKDAYS = dict.fromkeys(range(5), 12)


def run(now: datetime) -> list[str]:
    """Run the task; return the days that have an edition."""
    with time_machine.travel(now, tick=False):
        tasks.publish_due_days(now)
    days = Edition.objects.order_by("day").values_list("day", flat=True)
    return [str(day) for day in days]


def at(hour: int, day: date = DAY) -> datetime:
    return datetime(day.year, day.month, day.day, hour, 30, tzinfo=UTC)


def test_the_norm_of_a_weekday_is_the_median_of_the_last_weeks():
    history({0: 4, 4: 20})
    assert norm_of(DAY) == 20 and norm_of(DAY - timedelta(days=4)) == 4
    assert norm_of(DAY + timedelta(days=1)) == 0
    assert norm_of(DAY + WEEK * 20) is None


@pytest.mark.parametrize(
    ("papers", "entries", "day", "found", "held"),
    [
        (12, 12, DAY, "usual", False),
        (4, 4, DAY, "usual", False),
        (3, 3, DAY, "few", True),
        (1, 1, DAY, "few", True),
        (0, 0, DAY, "empty", True),
        (0, 12, DAY, "stale", True),
        (0, 0, DAY + timedelta(days=1), "quiet", False),  # a Saturday
        (2, 2, DAY + timedelta(days=1), "usual", False),
    ],
)
def test_each_kind_of_day_is_told_apart(papers, entries, day, found, held):
    history(WEEKDAYS, end=day)
    for number in range(papers):
        make.paper(number, day=day)
    source_days.answered(day, NOW, papers=papers, entries=entries)
    assert fullness(day) == found
    assert is_held(day, at(8, day)) is held
    assert not is_held(day, at(11, day))


@pytest.mark.parametrize("papers", [0, 1, 30])
def test_without_a_history_nothing_is_held_that_has_papers(papers):
    for number in range(papers):
        make.paper(number)
    source_days.answered(DAY, NOW, papers=papers, entries=papers)
    assert fullness(DAY) is (Fullness.USUAL if papers else Fullness.EMPTY)
    assert is_held(DAY, NOW) is not bool(papers)


def test_a_quiet_day_after_a_quiet_day_is_no_surprise():
    history(WEEKDAYS)
    Paper.objects.filter(day=DAY - timedelta(days=1)).exclude(
        arxiv_id__endswith="001"
    ).delete()
    make.paper(1)
    assert fullness(DAY) is Fullness.USUAL


def test_a_day_that_is_quiet_at_arxiv_too_is_not_held():
    history(WEEKDAYS)
    make.paper(1)
    for ago in range(1, 5):
        source_days.counted("arxiv", DAY - WEEK * ago, 100)
    assert is_held(DAY, NOW)
    source_days.counted("arxiv", DAY, 90)
    assert is_held(DAY, NOW)
    source_days.counted("arxiv", DAY, 20)
    assert fullness(DAY) is Fullness.FEW and not is_held(DAY, NOW)


def test_a_half_filled_list_is_held_and_goes_out_whole(source):
    history(WEEKDAYS)
    source.days[str(DAY)] = [entry(1), entry(2)]
    assert run(at(8)) == []
    source.days[str(DAY)] = [entry(n) for n in range(1, 13)]
    assert run(at(9)) == [str(DAY)]
    edition = Edition.objects.get()
    assert (edition.blocks.count(), edition.has_few) == (12, False)


def test_one_that_stays_so_goes_out_after_the_hold_and_says_so(source, client):
    history(WEEKDAYS)
    source.days[str(DAY)] = [entry(1), entry(2)]
    assert run(at(8)) == run(at(10)) == []
    with time_machine.travel(at(10), tick=False):
        page = client.get("/").content.decode()
    assert "has 2 papers so far" in page and "every half hour" in page
    assert run(at(11)) == [str(DAY)]
    assert Edition.objects.get().has_few
    with time_machine.travel(at(11), tick=False):
        page = client.get("/").content.decode()
    assert "Far fewer papers than usual were listed on Friday, 17 April" in page
    mail = frames.render(Edition.objects.get(), "en")
    for text in (mail.html, mail.text):
        assert "Far fewer papers than usual were listed that day." in text


@pytest.mark.parametrize("stamped", [True, False])
def test_a_list_that_repeats_yesterday_s_is_skipped_with_the_reason(
    source, client, stamped
):
    """Whether its entries say of which day they are, or not."""
    history(WEEKDAYS)
    day = "2026-04-16"
    ingest.store([parse_entry(entry(n, day=day), day=DAY) for n in (1, 2)], now=NOW)
    told = {"day": day} if stamped else {"submittedOnDailyAt": None}
    source.days[str(DAY)] = [entry(n, **told) for n in (1, 2)]
    assert run(at(8)) == run(at(12)) == []
    assert fullness(DAY) is Fullness.STALE
    with time_machine.travel(at(12), tick=False):
        page = client.get("/").content.decode()
    assert "the list repeated papers of earlier days only" in page


def test_a_weekend_is_skipped_at_once_with_the_reason(source, client):
    saturday = DAY + timedelta(days=1)
    history(WEEKDAYS, end=saturday)
    assert run(at(8, saturday)) == []
    with time_machine.travel(at(8, saturday), tick=False):
        page = client.get("/").content.decode()
    assert "No papers were listed on Saturday, 18 April, as usual on a Saturday." in page
    assert source_days.due(at(8, saturday + timedelta(days=1))) == [
        saturday + timedelta(days=1)
    ]


def test_an_empty_list_on_a_weekday_is_asked_for_again_for_two_days(source):
    history(WEEKDAYS)
    assert run(at(12)) == []
    tomorrow = DAY + timedelta(days=1)
    assert source_days.due(at(9, tomorrow)) == [tomorrow, DAY]
    source.days[str(DAY)] = [entry(n) for n in range(1, 13)]
    assert run(at(9, tomorrow)) == [str(DAY)]
    assert source_days.due(at(9, tomorrow)) == [tomorrow]


def test_a_source_that_is_down_is_said_on_the_page(source, client):
    make.paper(1, day=DAY - timedelta(days=1))
    source.fault = "error"
    assert run(at(9)) == []
    assert newest_state(at(9)) == State(DAY, Fullness.UNANSWERED, 0, False)
    with time_machine.travel(at(9), tick=False):
        page = client.get("/").content.decode()
    assert "The papers of Friday, 17 April are not here yet." in page
    assert "samples" not in page
    Paper.objects.update(day=DAY, is_sample=True)
    with time_machine.travel(at(9), tick=False):
        page = client.get("/").content.decode()
    assert "are not here yet." in page and "Until then you see samples" in page


@time_machine.travel(NOW, tick=False)
def test_a_usual_day_says_nothing(client):
    make.paper(1)
    assert 'id="state"' not in client.get("/").content.decode()


# -- votes that grow --------------------------------------------------------------


def test_votes_grow_later_and_a_frozen_edition_stays(source):
    source.days[str(DAY)] = [entry(1, upvotes=5)]
    run(NOW)
    before = Edition.objects.get().blocks.values().get()
    source.days[str(DAY)] = [entry(1, upvotes=50)]
    tasks.refresh_votes(NOW + timedelta(hours=23))
    assert Paper.objects.get().upvotes == 5
    tasks.refresh_votes(NOW + timedelta(days=1, hours=1))
    assert Paper.objects.get().upvotes == 50
    assert Edition.objects.get().blocks.values().get() == before


def test_votes_are_asked_for_a_few_days_at_a_time_and_for_two_weeks(source):
    for ago in range(20):
        source_days.answered(DAY - timedelta(days=ago), NOW - timedelta(days=2), papers=0)
    asked = []
    for _ in range(9):
        before = len(source.asked)
        tasks.refresh_votes(NOW)
        asked += [query["date"] for query in source.asked[before:]]
        assert len(source.asked) - before <= 2
    assert sorted(asked) == [str(DAY - timedelta(days=n)) for n in range(13, 0, -1)]
    assert SourceDay.objects.count() == 20


# -- the week's end ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("day", "right"),
    [
        ("2026-04-15", "2026-04-19"),
        ("2026-04-18", "2026-04-19"),
        ("2026-04-13", "2026-04-19"),
    ],
)
@time_machine.travel(datetime(2026, 5, 1, tzinfo=UTC), tick=False)
def test_a_week_of_any_day_but_its_end_is_refused_with_the_right_day(day, right):
    with pytest.raises(CommandError, match=f"--weekly --day {right}`$"):
        call_command("publish", "--weekly", "--day", day)


@time_machine.travel(datetime(2026, 5, 1, tzinfo=UTC), tick=False)
def test_the_week_s_end_is_that_of_the_readers():
    """Mondays at nine in UTC: the week that ends on that Monday is the newest then."""
    make.reader("ann@example.org", when=make.schedule(cadence="weekly"))
    make.paper(1)
    with pytest.raises(CommandError, match="--weekly --day 2026-04-20`$"):
        call_command("publish", "--weekly", "--day", "2026-04-19")
    call_command("publish", "--weekly", "--day", "2026-04-20")
    assert str(Edition.objects.get()) == "weekly 2026-04-20"


@time_machine.travel(NOW, tick=False)
def test_a_week_that_is_not_over_is_refused():
    make.paper(1)
    with pytest.raises(CommandError, match="2026-04-19 is not over yet"):
        call_command("publish", "--weekly", "--day", "2026-04-19")
    assert publish(DAY, now=NOW).day == DAY
