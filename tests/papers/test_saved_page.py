"""A saved page: its grammar, its irregular papers, and the papers it has in common with others."""

import hashlib
from datetime import UTC, date, datetime
from io import StringIO
from pathlib import Path

import pytest
import time_machine
from django.core.management import call_command

from digest.models import Paper
from digest.papers import ingest, sources
from digest.papers.download import SourceError
from digest.papers.records import PaperRecord, Rejected, parse_entry, title_id
from tests.source_server import entry

DAY = date(2026, 4, 17)
NOW = datetime(2026, 11, 29, 9, tzinfo=UTC)
HEAD = "new\n\nGet papers in your inbox!\n\nSubscribe\n\nDaily Papers\n\nbyAK\n\nApr 17\n\n"


def paper(title: str, meta: str = "  • 9 authors\n·\nDec 10, 2025 1\n\n") -> str:
    return f"{title}\n\nAn abstract about {title}.\n\n{meta}"


def read(folder: Path, text: str, day: date = DAY) -> list[PaperRecord | Rejected]:
    path = folder / "page.txt"
    path.write_text(text)
    return list(sources.read_file(path, day=day))


def test_a_paper_has_what_the_page_tells(tmp_path):
    (record,) = read(tmp_path, HEAD + paper("One of Them"))
    assert record == PaperRecord(
        arxiv_id=title_id("One of Them"),
        title="One of Them",
        abstract="An abstract about One of Them.",
        summary="",
        authors=(),
        author_count=9,
        organization="",
        submitted_at=datetime(2025, 12, 10, tzinfo=UTC),
        day=DAY,
        upvotes=None,
        comments=1,
        code_url="",
        project_url="",
        keywords=(),
        categories=(),
    )


@pytest.mark.parametrize(
    ("meta", "count", "organization", "submitted", "comments"),
    [
        ("  • 1 authors\n·\nMar 11\n", 1, "", "2026-03-11", 0),
        ("• 25 authors\n·\nJun 6, 2024 12\n", 25, "", "2024-06-06", 12),
        ("nvidia NVIDIA\n·\nApr 7 2\n", 0, "NVIDIA", "2026-04-07", 2),
        ("nvidia\n·\nApr 7\n", 0, "nvidia", "2026-04-07", 0),
        ("lg-ai LG AI Research\n·\nFeb 30\n", 0, "LG AI Research", None, 0),
        ("  • 9 authors\n·\nsome day\n", 9, "", None, None),
        ("", 0, "", None, None),
    ],
)
def test_each_kind_of_line_below_a_paper(
    tmp_path, meta, count, organization, submitted, comments
):
    first, second = read(tmp_path, HEAD + paper("First", f"{meta}\n") + paper("Second"))
    assert isinstance(first, PaperRecord) and isinstance(second, PaperRecord)
    assert (first.title, second.title) == ("First", "Second")
    assert (first.author_count, first.organization) == (count, organization)
    told = first.submitted_at and first.submitted_at.date().isoformat()
    assert (told, first.comments) == (submitted, comments)
    assert second.author_count == 9


@pytest.mark.parametrize(
    ("written", "newest", "day"),
    [
        ("Apr 17", "2026-11-28", "2026-04-17"),
        ("Apr 17", "2026-04-17", "2026-04-17"),
        ("Apr 17", "2026-04-16", "2025-04-17"),
        ("Feb 29", "2026-04-16", "2024-02-29"),
        ("Dec 31", "2027-01-01", "2026-12-31"),
        ("Apr 17, 2024", "2026-11-28", "2024-04-17"),
    ],
)
def test_the_page_s_year_is_the_newest_that_it_can_be(tmp_path, written, newest, day):
    text = HEAD.replace("Apr 17", written) + paper("One", "• 1 authors\n·\nJan 2\n\n")
    (record,) = read(tmp_path, text, date.fromisoformat(newest))
    assert isinstance(record, PaperRecord) and str(record.day) == day
    assert record.submitted_at and record.submitted_at.year == record.day.year


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (HEAD.replace("Apr 17", "today") + "T\n\nA\n", "has no date like Apr 17"),
        (HEAD.replace("Apr 17", "Feb 30"), "is in no calendar"),
        ("Daily Papers\n", "has no date like Apr 17"),
        (HEAD + "x" * (9 * 2**20), "too large"),
        ("Some other page\n\nApr 17\n", "no saved page"),
        (f"\0{HEAD}", "no saved page"),
    ],
)
def test_what_is_no_such_page_is_refused_in_one_line(tmp_path, text, why):
    with pytest.raises(SourceError, match=why) as raised:
        read(tmp_path, text)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "odd",
    [
        "A title without an abstract\n\n  • 1 authors\n·\nMar 1\n\n",
        "A title\n\nAn abstract\n\nin two parts\n\n  • 1 authors\n·\nMar 1\n\n",
        "\u200b\n\nAn abstract\n\n  • 1 authors\n·\nMar 1\n\n",
    ],
)
def test_one_odd_paper_does_not_shift_the_others(tmp_path, odd):
    before, refused, after = read(tmp_path, HEAD + paper("B") + odd + paper("C"))
    assert isinstance(refused, Rejected) and "\n" not in refused.why
    assert isinstance(before, PaperRecord) and before.title == "B"
    assert isinstance(after, PaperRecord) and after.title == "C"


@pytest.mark.parametrize(
    "end",
    [
        "·\n" * 50_000,
        "\n\n·\n·\n·\n" * 50_000,
        "a\n\n" * 200_001,
        "a" * 4096 + "\x85\u2028\0\ud7ff\n\n·",
    ],
)
def test_a_hostile_page_takes_no_time_and_raises_nothing_else(tmp_path, end):
    for one in read(tmp_path, HEAD + end)[:10]:
        assert isinstance(one, PaperRecord | Rejected)


def test_line_ends_of_windows_and_a_mark_at_the_start_do_no_harm(tmp_path):
    path = tmp_path / "page.txt"
    path.write_bytes(b"\xef\xbb\xbf" + (HEAD + paper("One")).replace("\n", "\r\n").encode())
    (record,) = sources.read_file(path, day=DAY)
    assert isinstance(record, PaperRecord) and record.author_count == 9


# -- stored -----------------------------------------------------------------------


@pytest.mark.django_db
def test_the_command_stores_the_page_under_its_day(tmp_path, client):
    path = tmp_path / "page.txt"
    path.write_text(HEAD + paper("One of Them") + paper("Another"))
    out = StringIO()
    with time_machine.travel(NOW, tick=False):
        call_command("fetch", "--from", str(path), stdout=out)
        page = client.get("/").content.decode()
    told = "fetched 2 papers of 2026-04-17: 2 new, 0 updated, 0 skipped\n"
    assert out.getvalue() == told
    found = Paper.objects.get(title="Another")
    assert f"/papers/{found.arxiv_id}/" in page and "9 authors" in page
    assert "arxiv.org/abs/title-" not in page and "arxiv.org/pdf/title-" not in page
    one = client.get(f"/papers/{found.arxiv_id}/").content.decode()
    assert "https://arxiv.org/search/?searchtype=title&amp;query=Another" in one
    assert "title-" not in client.get(f"/papers/{found.arxiv_id}/cite.bib").content.decode()


@pytest.mark.django_db
def test_a_known_paper_is_matched_by_its_title(tmp_path):
    told = entry(5, title="The Known  Paper: in Detail", summary="Long known.")
    ingest.store([parse_entry(told, day=DAY)], now=NOW)
    before = Paper.objects.values().get()
    path = tmp_path / "page.txt"
    path.write_text(HEAD + paper("The known paper — in detail"))
    assert ingest.fetch_file(path, now=NOW).counts.papers == 1
    after = Paper.objects.values().get()
    for name in ("arxiv_id", "day", "submitted_at", "authors", "upvotes"):
        assert after[name] == before[name], name
    assert after["comments"] == 1


@pytest.mark.django_db
def test_a_paper_takes_its_arxiv_id_when_it_is_told(tmp_path):
    path = tmp_path / "page.txt"
    path.write_text(HEAD + paper("To Be Known Later") + paper("Unknown"))
    ingest.fetch_file(path, now=NOW)
    row = Paper.objects.get(title="To Be Known Later")
    assert not row.has_votes
    told = parse_entry(entry(5, title="To be known later", upvotes=8), day=DAY)
    assert ingest.store([told], now=NOW) == ingest.Counts(updated=1)
    same = Paper.objects.get(arxiv_id="2604.00005")
    assert (same.pk, same.upvotes, same.authors[:1]) == (row.pk, 8, ["Ada Example"])
    assert same.has_votes
    assert ingest.fetch_file(path, now=NOW).counts.added == 0
    assert Paper.objects.count() == 2


@pytest.mark.django_db
def test_the_recorded_page_is_read_whole(data_folder):
    """46 papers: one without a line below it, one of an organization, 8 without a year."""
    path = data_folder / "seed_page.txt"
    assert hashlib.sha256(path.read_bytes()).hexdigest().startswith("3cb9a7dc")
    fetched = ingest.fetch_file(path, now=NOW)
    assert (fetched.counts.added, fetched.rejected) == (46, ())
    papers = Paper.objects.filter(day=DAY)
    assert papers.count() == 46
    assert papers.filter(submitted_at=None).count() == 1
    assert papers.filter(author_count=0, organization="NVIDIA").count() == 1
    assert papers.filter(submitted_at__year=2026).count() == 8
    assert papers.filter(comments__gt=0).count() == 12
