import dataclasses
import json
import os
import socket
import sys
import threading
import time
from datetime import UTC, date, datetime
from ipaddress import ip_address

import pytest

from digest.papers import sources
from digest.papers.download import SourceError, is_public
from digest.papers.records import BadEntry, Batch, PaperRecord, Rejected, parse_entry
from digest.papers.sources import daily_papers
from tests.environment import ROOT
from tests.shell import opened
from tests.source_server import entry, running

DAY = date(2026, 4, 17)
ISO = DAY.isoformat()


def test_an_entry_of_the_api_becomes_a_record():
    assert parse_entry(entry(7), day=date(2026, 4, 20)) == PaperRecord(
        arxiv_id="2604.00007",
        title="An Invented Paper About Graphs, Number 7",
        abstract="Graph neural networks pass messages. This one passes none.",
        summary="",
        authors=("Ada Example", "Bo Sample"),
        author_count=2,
        organization="Sample Institute",
        submitted_at=datetime(2026, 4, 16, tzinfo=UTC),
        day=DAY,
        upvotes=7,
        comments=1,
        code_url="https://github.com/example/sample",
        project_url="",
        keywords=("graph neural networks",),
        categories=(),
    )


def test_a_flat_line_becomes_a_record():
    line = {
        "day": ISO,
        "id": "2604.00001v3",
        "title": "Flat",
        "abstract": "One.",
        "authors": ["Ada Example"],
        "published_at": "2026-04-16T01:02:03.000Z",
        "upvotes": 4,
        "num_comments": 2,
        "project_page": "https://example.org/",
        "arxiv_categories": ["cs.LG", "not a category!"],
    }
    record = parse_entry(line, day=None)
    assert (record.arxiv_id, record.day, record.comments) == ("2604.00001", DAY, 2)
    assert record.submitted_at == datetime(2026, 4, 16, 1, 2, 3, tzinfo=UTC)
    assert (record.authors, record.categories) == (("Ada Example",), ("cs.LG",))
    assert record.project_url == "https://example.org/"


def test_authors_who_hide_are_left_out():
    authors = [
        {"name": "Ada", "hidden": True},
        {"name": "Bo", "hidden": False},
        {},
        5,
        "Cy",
    ]
    assert parse_entry(entry(authors=authors), day=DAY).authors == ("Bo", "Cy")


@pytest.mark.parametrize(
    ("told", "canonical"),
    [
        ("2604.01234v12", "2604.01234"),
        ("arXiv:0704.0001", "0704.0001"),
        ("math.GT/0309136v1", "math.gt/0309136"),
        ("hep-th/9901001", "hep-th/9901001"),
    ],
)
def test_an_id_is_canonical(told, canonical):
    assert parse_entry(entry(id=told), day=DAY).arxiv_id == canonical


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        (entry(id=None), "it has no id"),
        (entry(id="../etc"), "'../etc' is not an arXiv id"),
        (entry(id=260401234), "260401234 is not an arXiv id"),
        (entry(title=None), "it has no title"),
        (entry(title="\u200b\n"), "it has no title"),
        (entry(title=["x"]), "it has no title"),
        ("text", "it is not a JSON object but 'text'"),
        (None, "it is not a JSON object but None"),
        ({"paper": []}, "it has no id"),
    ],
)
def test_what_has_no_id_or_title_is_refused_with_its_reason(broken, why):
    with pytest.raises(BadEntry, match="^" + why.replace(".", r"\.") + "$"):
        parse_entry(broken, day=DAY)


@pytest.mark.parametrize("junk", [None, [], {}, "junk", -1, 1e400, True, 10**40, "\0"])
def test_wrongly_typed_fields_are_left_empty(junk):
    optional = ["authors", "publishedAt", "upvotes", "githubRepo", "projectPage"]
    optional += ["organization", "ai_keywords", "submittedOnDailyAt", "arxiv_categories"]
    broken = entry(**dict.fromkeys(optional, junk)) | {"numComments": junk}
    record = parse_entry(broken, day=DAY)
    assert record.day == DAY and record.arxiv_id == "2604.00001"
    assert record.submitted_at is None and record.upvotes is None
    assert record.authors in {(), ("junk",)}
    assert not (record.keywords or record.code_url or record.categories)


def test_a_fact_of_no_known_name_is_ignored():
    assert parse_entry(entry(brandNew={"x": 1}), day=DAY) == parse_entry(entry(), day=DAY)


def test_before_the_source_named_the_day_the_outer_instant_does():
    old = entry(submittedOnDailyAt=None) | {"publishedAt": "2026-04-19T03:44:01.558Z"}
    assert parse_entry(old, day=DAY).day == date(2026, 4, 19)


def test_hostile_text_is_clean_in_every_field():
    nasty = "A\x0bB\0\r\nBcc: x\u202e <script>"
    clean = "A B Bcc: x <script>"
    record = parse_entry(
        entry(title=nasty, summary=nasty, authors=[nasty], organization=nasty)
        | {"ai_keywords": [nasty]},
        day=DAY,
    )
    assert record.title == record.abstract == record.organization == clean
    assert record.authors == (clean,)


def test_a_record_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        parse_entry(entry(), day=DAY).title = "Other"  # type: ignore[misc]


# -- over HTTP --------------------------------------------------------------------


def fetched() -> Batch:
    batch = daily_papers.fetch_day(DAY)
    assert batch is not None
    return batch


def test_all_pages_of_a_day_are_fetched_once(source):
    source.days[ISO] = [entry(n) for n in range(1, 231)] + [entry(1)]
    batch = fetched()
    assert [r.arxiv_id for r in batch.records] == [f"2604.{n:05}" for n in range(1, 231)]
    assert source.asked == [{"date": ISO, "limit": "100", "p": str(p)} for p in range(3)]
    assert set(source.agents) == {"DailyPapers/1.0.0 (+http://127.0.0.1:8000)"}


@pytest.mark.parametrize(
    "end", ["", "/", "/api", "/api/daily_papers", "/api/daily_papers/"]
)
def test_the_base_address_may_end_with_the_path(source, settings, end):
    source.days[ISO] = [entry()]
    settings.SOURCE_URL = source.url + end
    assert len(fetched().records) == 1


def test_an_empty_day_is_no_error(source):
    assert fetched().records == ()


def test_a_list_that_has_not_changed_is_not_sent_again(source):
    source.days[ISO] = [entry(1)]
    tag = fetched().etag
    assert tag and daily_papers.fetch_day(DAY, etag=tag) is None
    source.days[ISO] = [entry(1, upvotes=2)]
    again = daily_papers.fetch_day(DAY, etag=tag)
    assert again and again.etag not in {"", tag}


def test_the_tag_of_a_first_page_is_none_of_several(source):
    source.days[ISO] = [entry(n) for n in range(1, 120)]
    assert fetched().etag == ""


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["10.0.0.7"],
        ["169.254.169.254"],
        ["::1"],
        ["fe80::1%eth0"],
        ["::ffff:127.0.0.1"],
        ["::7f00:1"],
        ["::ffff:0:7f00:1"],  # RFC 2765
        ["64:ff9b::a9fe:a9fe"],  # by a NAT64
        ["64:ff9b:1::a00:7"],
        ["2002:7f00:1::"],  # by 6to4
        ["fec0::1"],
        ["fd00::7"],
        ["ff02::1"],
        ["224.0.0.1"],
        ["0.0.0.0"],
        ["1.1.1.1", "192.168.0.1"],
    ],
)
def test_s10_a_public_name_does_not_lead_into_our_network(settings, monkeypatch, addresses):
    """The name server is hostile; what listens inside is never connected to."""
    with socket.create_server(("127.0.0.1", 0)) as canary:
        port = canary.getsockname()[1]
        settings.SOURCE_URL = f"http://papers.example.org:{port}"
        answers = [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (a, port)) for a in addresses
        ]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: answers)
        with pytest.raises(SourceError, match="leads to an address that is not public"):
            daily_papers.fetch_day(DAY)
        canary.setblocking(False)
        with pytest.raises(BlockingIOError):
            canary.accept()


@pytest.mark.parametrize("address", ["1.1.1.1", "2606:4700::1111", "64:ff9b::101:101"])
def test_s10_a_public_address_is_one_behind_a_nat64_too(address) -> None:
    assert is_public(ip_address(address))


def test_the_address_that_was_checked_is_the_one_connected_to(monkeypatch, settings):
    """A name server may answer differently the second time."""
    told = iter(["93.184.216.34"])
    connected = []

    def resolve(host, port, *args, **kwargs):
        if host == "papers.example.org":
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(told), port))]
        connected.append(host)
        raise OSError("no network in tests")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    settings.SOURCE_URL = "http://papers.example.org"
    with pytest.raises(SourceError, match="cannot be reached"):
        daily_papers.fetch_day(DAY)
    assert connected == ["93.184.216.34"]


def test_a_bad_entry_is_skipped_and_named(source):
    source.days[ISO] = [entry(1), entry(2, title=None), "x", entry(3)]
    batch = fetched()
    assert [r.arxiv_id for r in batch.records] == ["2604.00001", "2604.00003"]
    assert batch.rejected == (
        Rejected("entry 2 ('2604.00002')", "it has no title"),
        Rejected("entry 3", "it is not a JSON object but 'x'"),
    )


def test_a_day_that_has_not_begun_is_not_yet_published(source):
    source.newest = date(2026, 4, 16)
    with pytest.raises(sources.NotYetPublished, match="no list of that day yet"):
        daily_papers.fetch_day(DAY)


@pytest.mark.parametrize(
    ("fault", "seconds"),
    [
        ("rate limit", {123}),
        ("retry later", {60}),
        ("retry at", {59, 60}),  # its own clock may go on between the two headers
        ("retry soon", {300}),
        ("busy", {30}),
    ],
)
def test_a_rate_limit_says_how_long(source, fault, seconds):
    source.fault = fault
    with pytest.raises(sources.RateLimited, match=r"wait \d+ s") as raised:
        daily_papers.fetch_day(DAY)
    assert raised.value.reset_seconds in seconds


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ("error", "answered 500"),
        ("html", "is no JSON: it begins with '<!DOCTYPE html>"),
        ("half json", "is cut off: it begins with"),
        ("cut off", "cut off or garbled"),
        ("wrong type", "is no JSON array"),
        ("deep", "is cut off"),
        ("loop", "redirects without end"),
        ("bomb", "too large"),
    ],
)
@pytest.mark.parametrize("page", [0, 1])
def test_a_broken_answer_fails_the_whole_day_in_one_line(source, fault, why, page):
    source.days[ISO] = [entry(n) for n in range(1, 201)]
    source.fault, source.fault_page = fault, page
    with pytest.raises(SourceError, match=why) as raised:
        daily_papers.fetch_day(DAY)
    assert "\n" not in str(raised.value)


def test_a_drip_ends_at_the_deadline(source, monkeypatch):
    monkeypatch.setattr(daily_papers, "DEADLINE", 0.5)
    source.fault = "drip"
    start = time.monotonic()
    with pytest.raises(SourceError, match="took too long"):
        daily_papers.fetch_day(DAY)
    assert time.monotonic() - start < 20


@pytest.mark.parametrize(
    "fault",
    ["drip status", "drip headers", "endless continue", "endless chunks", "silence"],
)
@pytest.mark.parametrize("page", [0, 1])
def test_s31_nothing_outlives_the_deadline(source, monkeypatch, fault, page):
    monkeypatch.setattr(daily_papers, "DEADLINE", 0.7)
    source.days[ISO] = [entry(n) for n in range(1, 201)]
    source.fault, source.fault_page = fault, page
    threads = threading.active_count()
    start = time.monotonic()
    with pytest.raises(SourceError, match="took too long"):
        daily_papers.fetch_day(DAY)
    assert time.monotonic() - start < 20
    assert threading.active_count() <= threads + page + 1  # the server's own


def test_s31_a_tls_handshake_does_not_outlive_the_deadline(settings, monkeypatch):
    """The server takes the connection and never answers the client's hello."""
    monkeypatch.setattr(daily_papers, "DEADLINE", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings.SOURCE_URL = f"https://127.0.0.1:{silent.getsockname()[1]}"
        start = time.monotonic()
        with pytest.raises(SourceError, match="took too long"):
            daily_papers.fetch_day(DAY)
    assert time.monotonic() - start < 20


HEAVY = ["wide text", "as many objects as may be", "empty lists", "a few empty lists"]
HEAVY += ["objects", "one object", "bomb", "too many entries", "deep"]


@pytest.mark.embedded
@pytest.mark.skipif(sys.platform != "linux", reason="counts KiB as Linux does")
def test_s31_no_answer_costs_more_than_200_mb_or_many_seconds(source, tmp_path):
    """Each in a process of its own, forked from one that has loaded Django."""
    env = os.environ | {"DJANGO_SETTINGS_MODULE": "digest.settings"}
    with opened(ROOT, env, tmp_path / "log") as shell:
        for source.fault in HEAVY:
            ran = shell.python("-m", "tests.papers.measured", source.url)
            assert ran.returncode == 0, (source.fault, ran.stderr)
            words, measured = ran.stdout.splitlines()
            megabytes, seconds = map(float, measured.split())
            assert megabytes <= 200 and seconds < 10, source.fault
            assert words == "read" or words.startswith("the paper source")


def test_a_redirect_to_another_host_is_not_followed(source):
    with running() as other:
        source.fault, source.redirect_to = "redirect", other.url + "/api/daily_papers"
        with pytest.raises(SourceError, match="redirects to another host"):
            daily_papers.fetch_day(DAY)
        assert other.asked == []


def test_a_source_that_is_away_cannot_be_reached(settings):
    with running() as gone:
        settings.SOURCE_URL = gone.url
    with pytest.raises(SourceError, match=r"127\.0\.0\.1 cannot be reached"):
        daily_papers.fetch_day(DAY)


@pytest.mark.parametrize("url", ["", "huggingface.co", "ftp://x", "http://", "http://[::1"])
def test_an_address_that_is_none_is_said_plainly(settings, url):
    settings.SOURCE_URL = url
    with pytest.raises(SourceError, match="SOURCE_URL must be like"):
        daily_papers.fetch_day(DAY)


def test_a_list_is_complete_at_eight():
    assert sources.newest_day(datetime(2026, 4, 17, 7, 59, tzinfo=UTC)) == date(2026, 4, 16)
    assert sources.newest_day(datetime(2026, 4, 17, 8, 0, tzinfo=UTC)) == DAY


# -- from files -------------------------------------------------------------------


def test_a_file_may_hold_the_api_s_array(tmp_path):
    path = tmp_path / "day.json"
    path.write_text(json.dumps([entry(1), entry(2, title="")], indent=1))
    first, second = sources.read_file(path, day=DAY)
    assert isinstance(first, PaperRecord)
    assert second == Rejected("entry 2 ('2604.00002')", "it has no title")


def test_a_bad_line_is_named_by_its_number(tmp_path):
    path = tmp_path / "days.jsonl"
    line = json.dumps(entry(1)).encode()
    path.write_bytes(b"\xef\xbb\xbf\n" + line + b'\n\n{"id": \n\xff\xfe\n' + line[:-9])
    good, *bad = sources.read_file(path, day=DAY)
    assert isinstance(good, PaperRecord)
    assert [one.which for one in bad if isinstance(one, Rejected)] == [
        "line 4",
        "line 5",
        "line 6",
    ]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is no JSON array, no JSON Lines and no saved page"),
        (b"\x7fELF\0\0", "is no JSON array, no JSON Lines and no saved page"),
        (b"title,abstract\n", "is no JSON array, no JSON Lines and no saved page"),
        (b'[{"id": 1}, {"id"', "is no JSON"),
        (b"[\xff\xfe]", "is no JSON"),
        (b"[" * 100_000, "is no JSON"),
    ],
)
def test_a_file_that_is_no_json_is_refused_in_one_line(tmp_path, content, why):
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=why) as raised:
        list(sources.read_file(path, day=DAY))
    assert "\n" not in str(raised.value)


def test_a_file_that_is_not_there_is_said_plainly(tmp_path):
    with pytest.raises(SourceError, match="cannot read .*: No such file"):
        list(sources.read_file(tmp_path / "none.json", day=DAY))
    with pytest.raises(SourceError, match="cannot read .*: Is a directory"):
        list(sources.read_file(tmp_path, day=DAY))


def test_recorded_answers_are_read_whole(data_folder, source):
    path = data_folder / "fixtures" / "hf_daily_papers" / "dev_2026-04-17.json"
    source.load(path)
    batch = fetched()
    assert (len(batch.records), batch.rejected) == (22, ())
    assert list(batch.records) == list(sources.read_file(path, day=DAY))
