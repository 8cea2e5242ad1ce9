"""arXiv: what its feed may hold, the day of its papers, and which of them fill a gap."""

import time
from datetime import UTC, date, datetime, timedelta

import pytest
import time_machine
from django.core.management import call_command

from digest import tasks
from digest.models import Edition, Paper, SourceDay, SourceTurn
from digest.papers import ingest, sources, turns
from digest.papers.download import RateLimited, SourceError
from digest.papers.records import Rejected
from digest.papers.sources import arxiv as source_of
from tests import make
from tests.race import at_once
from tests.source_server import arxiv_entry, atom, entry

DAY = date(2026, 4, 17)  # a Friday
NOW = datetime(2026, 4, 17, 9, tzinfo=UTC)
GRAPHS = {
    "title": "<title>Graph Neural Networks Pass Messages</title>",
    "summary": "<summary>A graph neural network passes messages.</summary>",
}


def fetched(day: date = DAY):
    batch = source_of.fetch_day(day)
    assert batch is not None
    return batch


def answer(monkeypatch, arxiv, body: bytes) -> None:
    """Let the server answer whatever is asked with this body."""
    monkeypatch.setattr("tests.source_server.atom", lambda *entries: body)


# -- what is asked and answered ---------------------------------------------------


def test_the_categories_of_a_day_are_one_request(arxiv):
    arxiv.arxiv = [arxiv_entry(1), arxiv_entry(2, published="2026-04-16T18:00:00Z")]
    (record,) = fetched().records
    assert arxiv.asked == [
        {
            "search_query": "(cat:cs.DC OR cat:cs.SI) AND "
            "submittedDate:[202604151800 TO 202604161759]",
            "sortBy": "submittedDate",
            "sortOrder": "descending",
            "max_results": "1000",
        }
    ]
    assert record.arxiv_id == "2604.00001" and not record.is_listed
    assert record.title == "A Sample Paper of Number 1"
    assert record.abstract.startswith("Nothing") and record.abstract.endswith("see < here.")
    assert record.authors == ("Ada Example", "Bo Sample") and record.upvotes is None
    assert record.submitted_at == datetime(2026, 4, 16, 10, tzinfo=UTC)
    assert record.day == DAY
    assert record.categories == ("cs.SI", "cs.DC")


def test_known_ids_are_one_request(arxiv):
    arxiv.arxiv = [arxiv_entry(1), arxiv_entry(2), arxiv_entry(3)]
    batch = source_of.fetch_ids(["2604.00001", "2604.00003", "2604.09999"])
    assert [record.arxiv_id for record in batch.records] == ["2604.00001", "2604.00003"]
    assert arxiv.asked == [
        {"id_list": "2604.00001,2604.00003,2604.09999", "max_results": "3"}
    ]


def test_on_a_weekend_nothing_is_asked(arxiv):
    assert fetched(date(2026, 4, 18)).records == fetched(date(2026, 4, 19)).records == ()
    assert arxiv.asked == []


@pytest.mark.parametrize(
    ("parts", "why"),
    [
        ({"id": ""}, "it has no id"),
        ({"id": "<id>http://arxiv.org/abs/../../etc</id>"}, "is not an arXiv id"),
        ({"title": ""}, "it has no title"),
        ({"title": "<title>\u202e \u200b</title>"}, "it has no title"),
        ({"published": ""}, "it has no day"),
        ({"published": "<published>yesterday</published>"}, "it has no day"),
        ({"published": "<published>9999-12-31T23:59:59Z</published>"}, "it has no day"),
    ],
)
def test_an_entry_without_the_least_is_skipped_and_named(monkeypatch, arxiv, parts, why):
    answer(monkeypatch, arxiv, atom(arxiv_entry(1, **parts)[2], arxiv_entry(2)[2]))
    batch = fetched()
    assert [record.arxiv_id for record in batch.records] == ["2604.00002"]
    (rejected,) = batch.rejected
    assert isinstance(rejected, Rejected) and why in rejected.why


@pytest.mark.parametrize(
    "parts",
    [
        {"author": ""},
        {"author": "<author/><author><name/></author>"},
        {"summary": ""},
        {"category": "", "primary": ""},
        {"category": "<category/>"},
        {"extra": "<unknown xmlns='urn:x'>y</unknown>"},
        {"author": "<author><name>A</name></author>" * 6000},
    ],
)
def test_everything_else_may_be_missing_or_new(monkeypatch, arxiv, parts):
    answer(monkeypatch, arxiv, atom(arxiv_entry(1, **parts)[2]))
    assert [record.arxiv_id for record in fetched().records] == ["2604.00001"]


LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
HOSTILE = {
    "billion laughs": f'<!DOCTYPE f [<!ENTITY l0 "ha">{LAUGHS}]><feed>&l9;</feed>'.encode(),
    "external entity": b'<!DOCTYPE f [<!ENTITY x SYSTEM "file:///etc/passwd">]><feed>&x;</feed>',
    "external DTD": b'<!DOCTYPE f SYSTEM "http://127.0.0.1/x.dtd"><feed/>',
    "unknown entity": b"<feed>&nbsp;</feed>",
    "deep": b"<feed>" + b"<a>" * 1_000_000,
    "less deep": b"<a>" * 100_000 + b"</a>" * 100_000,
    "many elements": b"<feed>" + b"<a/>" * 500_000 + b"</feed>",
    "many attributes": b"<feed "
    + b" ".join(b"a%d='1'" % n for n in range(300_000))
    + b"/>",
    "NUL": atom(arxiv_entry(1)[2]).replace(b"Sample", b"Sam\0ple"),
    "not UTF-8": atom(arxiv_entry(1)[2]).replace(b"Sample", b"Sam\xffple"),
    "unknown encoding": b"<?xml version='1.0' encoding='klingon'?><feed/>",
    "cut off": atom(arxiv_entry(1)[2])[:-30],
    "HTML": b"<!DOCTYPE html><title>Sorry</title>",
    "other XML": b"<rss version='2.0'/>",
    "nothing": b"",
    "two roots": b"<feed/><feed/>",
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_s10_a_hostile_feed_is_one_line_and_quick(monkeypatch, arxiv, kind):
    answer(monkeypatch, arxiv, HOSTILE[kind])
    start = time.process_time()
    with pytest.raises(SourceError, match="^arXiv's answer ") as raised:
        source_of.fetch_day(DAY)
    assert time.process_time() - start < 2
    assert "\n" not in str(raised.value) and len(str(raised.value)) < 200


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ("error", "answered 500"),
        ("cut off", "cut off or garbled"),
        ("loop", "redirects without end"),
        ("bomb", "too large"),
        ("drip", "took too long"),
        ("silence", "took too long"),
        ("rate limit", "wait 123 s"),
        ("busy", "wait 30 s"),
    ],
)
def test_a_broken_server_is_one_line_within_the_deadline(monkeypatch, arxiv, fault, why):
    if why == "took too long":
        monkeypatch.setattr(source_of, "DEADLINE", 0.5)
    arxiv.fault = fault
    start = time.monotonic()
    with pytest.raises(SourceError, match=why) as raised:
        source_of.fetch_day(DAY)
    assert time.monotonic() - start < 20 and "\n" not in str(raised.value)


def test_its_own_error_is_told(monkeypatch, arxiv):
    """A feed with an entry that says so; with status 400, or with 200."""
    error = (
        "<entry><id>https://arxiv.org/api/errors#incorrect_id_format_for_abc</id>"
        "<title>Error</title><summary>incorrect id format for abc</summary></entry>"
    )
    answer(monkeypatch, arxiv, atom(error))
    with pytest.raises(SourceError, match="refused the request: 'incorrect id format"):
        source_of.fetch_ids(["abc"])


def test_an_empty_page_though_there_are_papers_is_no_quiet_day(monkeypatch, arxiv):
    answer(monkeypatch, arxiv, atom(total=40))
    with pytest.raises(SourceError, match="empty, though it has papers"):
        source_of.fetch_day(DAY)


# -- the day that a paper belongs to ----------------------------------------------


@pytest.mark.parametrize(
    ("published", "day"),
    [
        ("2026-04-13T17:59:00Z", "2026-04-14"),  # Monday, before 14:00 in New York
        ("2026-04-13T18:00:00Z", "2026-04-15"),
        ("2026-04-16T17:59:59Z", "2026-04-17"),
        ("2026-04-16T18:00:00Z", "2026-04-20"),  # Thursday's evening comes on Sunday
        ("2026-04-17T18:00:00Z", "2026-04-21"),
        ("2026-04-19T12:00:00Z", "2026-04-21"),
        ("2026-01-15T18:30:00Z", "2026-01-16"),  # winter: an hour later in UTC
        ("2026-01-15T19:30:00Z", "2026-01-19"),
        ("", ""),
        ("0001-01-01T00:00:00Z", ""),
    ],
)
def test_a_paper_belongs_to_the_day_of_its_announcement(published, day):
    assert source_of.announced(published) == day


def test_what_is_asked_for_a_day_is_what_belongs_to_it():
    for ago in range(400):
        day = DAY - timedelta(days=ago)
        if span := source_of.submissions_of(day):
            inside = [span[0], span[0] + (span[1] - span[0]) / 2, span[1]]
            outside = [span[0] - timedelta(minutes=1), span[1] + timedelta(minutes=1)]
            assert {source_of.announced(at.isoformat()) for at in inside} == {str(day)}
            assert str(day) not in {source_of.announced(at.isoformat()) for at in outside}


# -- one at a time, three seconds apart -------------------------------------------


class Frozen(turns.Clock):
    """A clock that only goes on when somebody waits by it."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def arxiv_turn(clock: turns.Clock):
    return turns.turn("arxiv", clock, lease=source_of.LEASE, pause=source_of.PAUSE)


@pytest.mark.django_db
def test_a_turn_is_one_s_own_and_the_next_begins_three_seconds_after_it():
    """Two processes have two clocks and one database."""
    mine, other = Frozen(NOW), Frozen(NOW)
    with arxiv_turn(mine):
        mine.sleep(20)
        other.sleep(20)
        with pytest.raises(RateLimited), arxiv_turn(other):
            raise AssertionError("two at once")
    with arxiv_turn(other):
        assert other.now == mine.now + timedelta(seconds=3)


@pytest.mark.django_db(transaction=True)
def test_s10_two_processes_at_once_ask_one_after_the_other():
    spans = []

    def ask() -> None:
        clock = Frozen(NOW)
        while True:
            try:
                with arxiv_turn(clock):
                    begun = clock()
                    clock.sleep(1)
                    spans.append((begun, clock()))
                return
            except RateLimited as busy:
                clock.sleep(busy.reset_seconds)

    at_once(*[ask] * 4)
    spans.sort()
    assert len(spans) == 4
    for (_, end), (begun, _) in zip(spans, spans[1:], strict=False):
        assert begun >= end + timedelta(seconds=3)


@pytest.mark.django_db
def test_a_process_that_died_holds_its_turn_no_longer_than_its_lease():
    dead = arxiv_turn(Frozen(NOW))
    dead.__enter__()
    with pytest.raises(RateLimited), arxiv_turn(Frozen(NOW + timedelta(seconds=60))):
        pass
    with arxiv_turn(Frozen(NOW + source_of.LEASE)):
        pass


@pytest.mark.django_db
@pytest.mark.parametrize(("fault", "seconds"), [("rate limit", 123), ("busy", 30)])
@pytest.mark.parametrize("name", ["arxiv", "daily-papers"])
def test_s10_a_source_that_asks_to_wait_is_left_alone_until_then(
    arxiv, fault, seconds, name
):
    def ask(clock: turns.Clock) -> None:
        with sources.in_turn(name, clock):
            sources.SOURCES[name].fetch_day(DAY)

    arxiv.fault = fault
    with pytest.raises(RateLimited):
        ask(Frozen(NOW))
    arxiv.fault = ""
    early = Frozen(NOW + timedelta(seconds=seconds - 11))
    with pytest.raises(RateLimited, match="wait 11 s"):
        ask(early)
    assert len(arxiv.asked) == 1
    ask(Frozen(NOW + timedelta(seconds=seconds)))
    assert len(arxiv.asked) == 2


# -- what fills a gap -------------------------------------------------------------


@pytest.fixture
def day_of_two(arxiv, monkeypatch, db):
    """Two trending papers, and five of arXiv's about graphs, as well as one of nothing.

    The day before is there already.
    """
    monkeypatch.setattr(ingest, "Clock", Frozen)
    before = DAY - timedelta(days=1)
    make.paper(99, day=before)
    SourceDay.objects.create(day=before, answered_at=NOW - timedelta(days=1), entries=1)
    arxiv.days[str(DAY)] = [
        entry(n, title="Robots That Walk", summary="A robot.", upvotes=n) for n in (1, 2)
    ]
    categories = '<category term="cs.RO"/>'
    arxiv.arxiv = [arxiv_entry(n, category=categories, primary="") for n in (1, 2)]
    arxiv.arxiv += [arxiv_entry(n, **GRAPHS) for n in range(11, 16)]
    arxiv.arxiv.append(arxiv_entry(20))
    return arxiv


def publish(now: datetime = NOW) -> list[str]:
    """Run the task; return the ids of the day's edition in their order."""
    with time_machine.travel(now, tick=False):
        tasks.publish_due_days(now)
    blocks = Edition.objects.get(day=DAY).blocks.order_by("position")
    return list(blocks.values_list("paper__arxiv_id", flat=True))


@pytest.mark.django_db
def test_a_rare_topic_gets_a_few_papers_after_the_day_s_own(day_of_two, client):
    assert publish() == [f"2604.{n:05}" for n in (2, 1, 11, 12, 13)]
    assert Paper.objects.get(arxiv_id="2604.00001").categories == ["cs.RO"]
    page = client.get(f"/papers/{DAY}/").content.decode()
    assert page.index("2604.00002") < page.index("2604.00011")
    assert page.count("from arXiv") == 3


@pytest.mark.django_db
def test_the_command_fills_gaps_too(day_of_two, capsys):
    call_command("fetch", "--day", str(DAY))
    assert capsys.readouterr().out.splitlines() == [
        "fetched 2 papers of 2026-04-17: 2 new, 0 updated, 0 skipped",
        "added 3 papers from arXiv for rare topics",
    ]


@pytest.mark.django_db
def test_arxiv_is_asked_once_for_a_day(day_of_two):
    publish()
    asked = len(day_of_two.asked)
    publish(NOW + timedelta(hours=1))
    assert [list(query) for query in day_of_two.asked[asked:]] == [["date", "limit", "p"]]


@pytest.mark.django_db
def test_arxiv_that_failed_is_asked_again_next_time(day_of_two, settings):
    settings.ARXIV_URL, url = "http://127.0.0.1:9", settings.ARXIV_URL
    publish()
    settings.ARXIV_URL = url
    publish(NOW + timedelta(hours=1))
    assert Paper.objects.filter(is_listed=False).count() == 3
    assert SourceDay.objects.get(source="arxiv").failure == ""


@pytest.mark.django_db
def test_a_day_goes_out_while_arxiv_is_down(day_of_two, settings):
    settings.ARXIV_URL = "http://127.0.0.1:9"
    assert publish() == ["2604.00002", "2604.00001"]
    failed = SourceDay.objects.get(source="arxiv")
    assert "cannot be reached" in failed.failure and failed.answered_at is None


@pytest.mark.django_db
def test_without_categories_arxiv_is_not_asked(day_of_two, settings):
    settings.ARXIV_CATEGORIES = []
    assert publish() == ["2604.00002", "2604.00001"]
    assert not SourceTurn.objects.filter(source="arxiv").exists()


@pytest.mark.django_db
def test_a_paper_that_comes_to_trend_moves_to_that_day(day_of_two):
    publish()
    later = str(DAY + timedelta(days=3))
    day_of_two.days[later] = [entry(11, day=later, upvotes=7)]
    ingest.fetch(now=NOW + timedelta(days=3), day=DAY + timedelta(days=3))
    paper = Paper.objects.get(arxiv_id="2604.00011")
    assert (paper.is_listed, str(paper.day), paper.upvotes) == (True, later, 7)
    assert len(publish(NOW + timedelta(hours=1))) == 5  # that edition is frozen


@pytest.mark.django_db
def test_a_trending_paper_does_not_become_one_of_arxiv_s(day_of_two):
    publish()
    records = source_of.fetch_ids(["2604.00001"]).records
    ingest.store(records, now=NOW)
    paper = Paper.objects.get(arxiv_id="2604.00001")
    assert (paper.is_listed, paper.day, paper.upvotes) == (True, DAY, 1)
