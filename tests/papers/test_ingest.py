import json
import time
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from digest.models import Paper, PaperWords
from digest.papers import ingest, search_index, sources
from digest.papers.ingest import Counts, store, store_samples
from digest.papers.records import PaperRecord, parse_entry
from digest.papers.topics import assign, definitions
from tests.environment import POSTGRES
from tests.race import at_once
from tests.source_server import entry

DAY = date(2026, 4, 17)
NOW = datetime(2026, 4, 17, 9, tzinfo=UTC)
LATER = NOW + timedelta(days=1)

pytestmark = pytest.mark.django_db


def record(number: int = 1, **inner: Any) -> PaperRecord:
    return parse_entry(entry(number, **inner), day=DAY)


def test_a_new_paper_is_stored_with_all_that_is_told():
    assert store([record(7)], now=NOW) == Counts(added=1)
    paper = Paper.objects.get()
    assert (paper.arxiv_id, paper.day, paper.upvotes) == ("2604.00007", DAY, 7)
    assert paper.authors == ["Ada Example", "Bo Sample"] and paper.author_count == 2
    assert paper.submitted_at == datetime(2026, 4, 16, tzinfo=UTC)
    assert (paper.fetched_at, paper.is_sample) == (NOW, False)


def test_storing_twice_changes_nothing():
    store([record(n) for n in range(5)], now=NOW)
    before = list(Paper.objects.values())
    assert store([record(n) for n in range(5)], now=NOW) == Counts(unchanged=5)
    assert list(Paper.objects.values()) == before


def test_votes_and_text_follow_the_newest_answer():
    store([record(upvotes=90)], now=NOW)
    told = record(upvotes=0, title="Another Title")
    assert store([told], now=LATER) == Counts(updated=1)
    paper = Paper.objects.get()
    assert (paper.upvotes, paper.title, paper.fetched_at) == (0, "Another Title", LATER)


def test_what_a_newer_answer_leaves_out_stays_known():
    store([record()], now=NOW)
    before = Paper.objects.values().get()
    silent = record(
        organization=None,
        ai_keywords=None,
        githubRepo=None,
        authors=[],
        summary="",
        upvotes=None,
        publishedAt=None,
    )
    assert store([silent], now=NOW) == Counts(unchanged=1)
    assert Paper.objects.values().get() == before


def test_the_day_stays_the_first_on_which_it_was_listed():
    store([record(day="2026-04-17")], now=NOW)
    store([record(day="2026-04-20")], now=LATER)
    assert Paper.objects.get().day == DAY
    store([record(day="2026-04-15")], now=LATER)
    assert Paper.objects.get().day == date(2026, 4, 15)


def test_a_paper_told_twice_at_once_is_one_row_of_the_first_day():
    told = [record(day="2026-04-17", upvotes=1), record(day="2026-04-16", upvotes=2)]
    assert store(told, now=NOW) == Counts(added=1)
    paper = Paper.objects.get()
    assert (paper.day, paper.upvotes) == (date(2026, 4, 16), 2)


def test_nothing_told_stores_nothing():
    assert store([], now=NOW) == Counts()


@pytest.mark.parametrize("count", [1, 50, 500])
def test_queries_do_not_grow_with_the_papers_of_a_slice(count):
    store([record(n) for n in range(0, count, 2)], now=NOW)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        store([record(n, upvotes=n + 1) for n in range(count)], now=LATER)
    statements = [
        q for q in queries if q["sql"].split()[0] in {"SELECT", "INSERT", "UPDATE"}
    ]
    assert 4 <= len(statements) <= 10
    assert Paper.objects.count() == count


@pytest.mark.skipif(not POSTGRES, reason="only PostgreSQL has roles")
def test_a_role_that_owns_no_table_may_store():
    with connection.cursor() as cursor:
        cursor.execute("CREATE ROLE only_rows")
        cursor.execute("GRANT ALL ON ALL TABLES IN SCHEMA public TO only_rows")
        cursor.execute("SET ROLE only_rows")
        assert store([record(7)], now=NOW) == Counts(added=1)
        cursor.execute("RESET ROLE")


@pytest.mark.django_db(transaction=True)
def test_two_fetches_at_once_store_each_paper_once_on_its_first_day():
    days = ["2026-04-17", "2026-04-15", "2026-04-16", "2026-04-18"]
    told = [[record(n, day=day) for n in range(40)] for day in days]
    at_once(*[partial(store, records, now=NOW) for records in told])
    assert Paper.objects.count() == 40
    assert set(Paper.objects.values_list("day", flat=True)) == {date(2026, 4, 15)}


def test_a_fetch_stores_the_newest_complete_day(source):
    source.days[DAY.isoformat()] = [entry(1), entry(2), entry(3, id="?")]
    fetched = ingest.fetch(now=NOW)
    assert (fetched.days, fetched.counts) == ((DAY,), Counts(added=2))
    assert [rejected.which for rejected in fetched.rejected] == ["entry 3 ('?')"]
    assert ingest.fetch(now=NOW - timedelta(hours=2)).counts == Counts()


def test_a_day_not_yet_published_is_replaced_by_the_day_before(source):
    source.newest = date(2026, 4, 16)
    source.days["2026-04-16"] = [entry(1, day="2026-04-16")]
    assert ingest.fetch(now=NOW).days == (date(2026, 4, 16),)
    with pytest.raises(sources.NotYetPublished):
        ingest.fetch(now=NOW, day=DAY)


@pytest.mark.parametrize("fault", ["error", "half json", "html", "rate limit"])
def test_a_broken_second_page_leaves_the_last_good_state(source, fault):
    source.days[DAY.isoformat()] = [entry(n) for n in range(120)]
    ingest.fetch(now=NOW)
    before = list(Paper.objects.values())
    source.days[DAY.isoformat()] = [entry(n, upvotes=9999) for n in range(120)]
    source.fault, source.fault_page = fault, 1
    with pytest.raises(sources.SourceError):
        ingest.fetch(now=LATER, day=DAY)
    assert list(Paper.objects.values()) == before


def test_a_file_that_breaks_off_stores_nothing(tmp_path):
    path = tmp_path / "half.json"
    path.write_text(json.dumps([entry(1), entry(2)])[:-5])
    with pytest.raises(sources.SourceError):
        ingest.fetch_file(path, now=NOW)
    assert not Paper.objects.exists()


def test_samples_say_that_they_are_samples():
    assert store_samples(day=DAY, now=NOW) == Counts(added=66)
    assert store_samples(day=DAY, now=NOW) == Counts(unchanged=66)
    days = Counter(paper.day for paper in Paper.objects.all())
    assert days == {DAY: 24, DAY - timedelta(days=1): 21, DAY - timedelta(days=2): 21}
    for paper in Paper.objects.all():
        assert paper.is_sample and paper.title.startswith("Sample: ")
        assert paper.arxiv_id.startswith("0000.")
        assert paper.abstract and paper.author_count


def test_samples_have_something_of_every_topic():
    store_samples(day=DAY, now=NOW)
    found: set[str] = set()
    for paper in Paper.objects.all():
        found |= assign(paper.title, paper.abstract, categories=[]).keys()
    assert found == {topic.slug for topic in definitions()}


def test_a_day_and_half_a_year_are_stored_in_time(data_folder):
    path = data_folder / "hf_daily_dev_2026-01_2026-05.jsonl"
    start = time.process_time()
    one = ingest.fetch_file(path, now=NOW, day=DAY)
    middle = time.process_time()
    whole = ingest.fetch_file(path, now=NOW + timedelta(days=60))
    assert (one.counts, one.rejected) == (Counts(added=22), ())
    assert whole.counts.papers == 2365 and len(whole.days) == 106
    assert Paper.objects.count() == 2365
    assert time.process_time() - middle < 30 and middle - start < 20


def test_each_paper_has_its_own_words_whichever_slice_brought_it(monkeypatch):
    monkeypatch.setattr(ingest, "SLICE", 2)
    same = {"title": "Twice: the Same", "summary": "A twin of one text."}
    told = [entry(1, **same), entry(2, **same), entry(3), entry(4, title="Four"), entry(3)]
    ingest.store([parse_entry(one, day=DAY) for one in told], now=NOW)
    for paper in Paper.objects.all():
        stored = PaperWords.objects.filter(paper=paper).values().get()
        wanted = vars(search_index.words_of(paper))
        assert stored == {name: wanted[name] for name in stored}
    assert PaperWords.objects.count() == 4
