"""Fetch papers from the source and store them, for the command and the task.

A paper is one row by its arXiv id, however often it is listed. A newer response updates
it, fields missing from the response keep their values, and its day stays the first on
which it was listed. Storing twice, or in two processes at once, gives the same rows.
"""

import json
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from itertools import batched, chain
from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from digest.models import Paper, PaperWords
from digest.papers import search_index, source_days, sources
from digest.papers.records import (
    TITLE_ID,
    Batch,
    PaperRecord,
    Rejected,
    parse_entry,
    title_id,
)
from digest.papers.sources import arxiv
from digest.papers.topics import TITLE_POINTS, Described, assigned, points
from digest.papers.turns import Clock
from digest.sql import among_texts

logger = logging.getLogger(__name__)

DAY = timedelta(days=1)
ARXIV_BEGAN = date(1991, 8, 14)
ENOUGH = 3  # papers of a topic
CLEAR_POINTS = TITLE_POINTS + 1  # its title or category says so, and the abstract too

SLICE = 2_000  # a larger one takes memory, a smaller one more of the indexes' time
type Told = dict[str, list[PaperRecord]]  # by arXiv id

SAMPLES = Path(__file__).with_name("samples.jsonl")
TOLD = [
    "title",
    "abstract",
    "summary",
    "authors",
    "author_count",
    "organization",
    "submitted_at",
    "day",
    "is_listed",
    "upvotes",
    "has_votes",
    "comments",
    "code_url",
    "project_url",
    "keywords",
    "categories",
]


@dataclass(frozen=True, slots=True)
class Counts:
    """The numbers of papers added, updated and unchanged, each counted once per slice."""

    added: int = 0
    updated: int = 0
    unchanged: int = 0

    @property
    def papers(self) -> int:
        return self.added + self.updated + self.unchanged

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.added + other.added,
            self.updated + other.updated,
            self.unchanged + other.unchanged,
        )


@dataclass(frozen=True, slots=True)
class Fetched:
    """One fetch: the day to publish, the days of its papers, and what was skipped."""

    day: date | None  # the requested day; for a file without --day, its newest
    days: tuple[date, ...]
    counts: Counts
    rejected: tuple[Rejected, ...]


def fetch(*, now: datetime, day: date | None = None, again: bool = True) -> Fetched:
    """Fetch and store the list of `day`, or of the newest day with a list.

    An entry that names another day is stored under that day. Without `again` nothing is
    read if the list has not changed since its last fetch. Raises sources.SourceError; then
    no paper was stored.
    """
    clock = Clock(now)
    asked = day or sources.newest_day(now)
    try:
        batch = ask(asked, clock, again=again)
    except sources.NotYetPublished:
        if day:
            raise
        asked -= DAY
        batch = ask(asked, clock, again=again)
    if batch is None:
        source_days.unchanged(asked, now)
        return Fetched(asked, (asked,), Counts(unchanged=listed(asked).count()), ())
    records, refused = begun(batch.records, now)
    days = {record.day for record in records} or {asked}
    counts = store(records, now=now)
    search_index.refresh()
    source_days.answered(
        asked,
        now,
        papers=listed(asked).count(),
        entries=len(batch.records),
        etag=batch.etag,
    )
    return Fetched(asked, tuple(sorted(days)), counts, (*batch.rejected, *refused))


def listed(day: date) -> QuerySet[Paper]:
    """Return the day's trending papers."""
    return Paper.objects.filter(day=day, is_listed=True, is_sample=False)


def ask(day: date, clock: Clock, *, again: bool) -> Batch | None:
    """Request a day from the first source; record a failure. Raises sources.SourceError."""
    etag = "" if again else source_days.etag(day)
    try:
        with sources.in_turn(sources.PRIMARY, clock):
            return sources.SOURCES[sources.PRIMARY].fetch_day(day, etag=etag)
    except sources.NotYetPublished:
        raise
    except sources.SourceError as error:
        source_days.failed(day, error, clock())
        raise


def fill_gaps(*, now: datetime, day: date) -> Counts:
    """Ask the other sources about the day, once: see `fillers`, and arXiv's categories.

    A source that fails is asked again next time; the day goes on without it.
    """
    if not settings.ARXIV_CATEGORIES or source_days.has_answered(sources.ARXIV, day):
        return Counts()
    clock = Clock(now)
    try:
        counts = add_categories(day, clock)
        with sources.in_turn(sources.ARXIV, clock):
            batch = sources.SOURCES[sources.ARXIV].fetch_day(day)
    except sources.SourceError as error:
        logger.warning("no papers from arXiv for %s: %s", day, error)
        source_days.failed(day, error, now, source=sources.ARXIV)
        return Counts()
    trending = list(listed(day))
    offered = [record for record in batch.records if record.day == day] if batch else []
    source_days.counted(sources.ARXIV, day, len(offered))
    if trending:
        counts += store(fillers(trending, offered), now=now)
        source_days.answered(day, now, papers=len(offered), source=sources.ARXIV)
    return counts


def add_categories(day: date, clock: Clock) -> Counts:
    """Add arXiv's categories to the day's papers that have none. Raises SourceError."""
    without = listed(day).filter(categories=[]).exclude(arxiv_id__startswith="title-")
    counts = Counts()
    for ids in batched(without.values_list("arxiv_id", flat=True), arxiv.MOST_IDS):
        with sources.in_turn(sources.ARXIV, clock):
            batch = arxiv.fetch_ids(ids)
        told = {record.arxiv_id: record.categories for record in batch.records}
        papers = Paper.objects.select_for_update().filter(arxiv_id__in=list(told))
        with transaction.atomic():
            for paper in papers.order_by("arxiv_id"):
                paper.categories = list(told[paper.arxiv_id])
                paper.save(update_fields=["categories"])
                search_index.index([paper])
                counts += Counts(updated=1)
    return counts


def fillers(
    listed: Iterable[Described], offered: Iterable[PaperRecord]
) -> list[PaperRecord]:
    """Return the offered papers that fit best to topics with fewer than ENOUGH listed ones.

    Pure, and the same whatever the order of the papers. A paper fits to its best topic only, and if
    that is clear: most papers mention many things.
    """
    have = Counter(slug for paper in listed for slug in assigned(paper))
    fits: dict[str, list[tuple[float, PaperRecord]]] = {}
    for record in offered:
        found = points(
            record.title,
            record.abstract,
            categories=record.categories,
            keywords=record.keywords,
        )
        topic = max(found, key=lambda slug: found[slug])
        if found[topic] >= CLEAR_POINTS:
            fits.setdefault(topic, []).append((-found[topic], record))
    chosen: list[PaperRecord] = []
    for topic, papers in fits.items():
        best = sorted(papers, key=lambda fit: (fit[0], fit[1].arxiv_id))
        chosen += [record for _, record in best[: max(0, ENOUGH - have[topic])]]
    return sorted(chosen, key=lambda record: record.arxiv_id)


def begun(
    records: Iterable[PaperRecord], now: datetime
) -> tuple[list[PaperRecord], list[Rejected]]:
    """Separate the records of days that have begun from those dated wrongly.

    A future day would otherwise be the newest one, and hide the real one until then; the
    weeks before a day in the year 1 are no dates.
    """
    kept: list[PaperRecord] = []
    refused: list[Rejected] = []
    for record in records:
        if ARXIV_BEGAN <= record.day <= now.astimezone(UTC).date():
            kept.append(record)
        else:
            when = "before arXiv began" if record.day < ARXIV_BEGAN else "in the future"
            why = f"it is dated {record.day}, {when}"
            refused.append(Rejected(record.arxiv_id, why))
    return kept, refused


def fetch_file(path: Path, *, now: datetime, day: date | None = None) -> Fetched:
    """Store the papers of a file; with `day` only those of that day.

    Entries without a day count for `day`, or for the newest day at `now`; those without an
    arXiv id are matched by title. Raises sources.SourceError, also where the file has papers
    of other days only; then no paper was stored.
    """
    records: list[PaperRecord] = []
    rejected: list[Rejected] = []
    others: set[date] = set()
    for entry in sources.read_file(path, day=day or sources.newest_day(now)):
        if isinstance(entry, Rejected):
            rejected.append(entry)
        elif day in {None, entry.day}:
            records.append(entry)
        else:
            others.add(entry.day)
    if others and not records:
        span = " to ".join(f"{one}" for one in sorted({min(others), max(others)}))
        raise sources.SourceError(f"{path} has papers of {span}, and none of {day}")
    records, refused = begun(known_by_title(records), now)
    days = sorted({record.day for record in records}) or ([day] if day else [])
    counts = store(records, now=now)
    search_index.refresh()
    newest = day or max(days, default=None)
    return Fetched(newest, tuple(days), counts, (*rejected, *refused))


def store(records: Iterable[PaperRecord], *, now: datetime) -> Counts:
    """Add or update the papers, in transactions of SLICE papers each."""
    return _store(records, now=now, is_sample=False)


def store_samples(*, day: date, now: datetime) -> Counts:
    """Store the sample papers, marked as samples, under `day` and the two days before it."""
    return _store(_samples(day), now=now, is_sample=True)


def _samples(day: date) -> list[PaperRecord]:
    entries = map(json.loads, SAMPLES.read_text(encoding="utf-8").splitlines())
    return [
        parse_entry(entry, day=day - timedelta(days=entry["days_ago"])) for entry in entries
    ]


def _store(records: Iterable[PaperRecord], *, now: datetime, is_sample: bool) -> Counts:
    total = Counts()
    with ThreadPoolExecutor(1) as beside:
        told: Told = {}
        words = beside.submit(dict[search_index.Texts, PaperWords])
        for following in chain(_slices(records), [{}]):
            # While the database takes one slice in, the words of the next are laid out.
            following_words = beside.submit(search_index.lay_out, _unknown(following, now))
            if told:
                total += _upsert(told, words.result(), now=now, is_sample=is_sample)
            told, words = following, following_words
    return total


def _slices(records: Iterable[PaperRecord]) -> Iterator[Told]:
    for batch in batched(records, SLICE, strict=False):
        told: Told = {}
        for record in batch:
            told.setdefault(record.arxiv_id, []).append(record)
        # Sorted, so that two concurrent fetches cannot deadlock.
        yield {arxiv_id: told[arxiv_id] for arxiv_id in sorted(told)}


def _unknown(told: Told, now: datetime) -> list[Paper]:
    """Return the papers that are not stored, each as its first record has it."""
    stored = Paper.objects.filter(arxiv_id__in=among_texts(told))
    known = set(stored.values_list("arxiv_id", flat=True))
    return [paper_of(told[new][0], now=now) for new in told.keys() - known]


@transaction.atomic
def _upsert(
    told: Told,
    words: dict[search_index.Texts, PaperWords],
    *,
    now: datetime,
    is_sample: bool,
) -> Counts:
    """Upsert with few statements whatever the number: look, add, lock, update, touch, index."""
    ours = Paper.objects.filter(arxiv_id__in=list(told))
    titles = {title_id(records[0].title): arxiv_id for arxiv_id, records in told.items()}
    stored = Paper.objects.filter(arxiv_id__in=[*told, *titles])
    known = set(stored.values_list("arxiv_id", flat=True))
    if waiting := {title: titles[title] for title in titles.keys() & known - told.keys()}:
        take_arxiv_ids(waiting)
        known |= set(waiting.values())
    new = [
        paper_of(records[0], now=now, is_sample=is_sample)
        for arxiv_id, records in told.items()
        if arxiv_id not in known
    ]
    Paper.objects.bulk_create(new, ignore_conflicts=True)
    rows = list(ours.select_for_update().order_by("arxiv_id"))
    changed = []
    for row in rows:
        news = [_merge(row, record) for record in told[row.arxiv_id]]
        if any(news):
            changed.append(row)
            # Without a key the arXiv id is the only conflict; SQLite allows one target.
            row.pk = None
    Paper.objects.bulk_create(
        changed, update_conflicts=True, unique_fields=["arxiv_id"], update_fields=TOLD
    )
    ours.exclude(fetched_at=now).update(fetched_at=now)
    written = {row.arxiv_id for row in (*new, *changed)}
    search_index.index([row for row in rows if row.arxiv_id in written], words)
    updated = sum(row.arxiv_id in known for row in changed)
    return Counts(len(new), updated, len(told) - len(new) - updated)


def paper_of(record: PaperRecord, *, now: datetime, is_sample: bool = False) -> Paper:
    """Return the record as a new row, not stored."""
    paper = Paper(
        arxiv_id=record.arxiv_id,
        day=record.day,
        is_listed=record.is_listed,
        fetched_at=now,
        is_sample=is_sample,
        has_votes=False,
    )
    _merge(paper, record)
    return paper


def _merge(paper: Paper, record: PaperRecord) -> bool:
    """Copy the record's known values to the paper; return True if any value changed."""
    told: dict[str, object] = {
        "title": record.title,
        "abstract": record.abstract,
        "summary": record.summary,
        "authors": list(record.authors),
        "author_count": record.author_count,
        "organization": record.organization,
        "submitted_at": record.submitted_at,
        "day": _day(paper, record),
        "is_listed": record.is_listed or paper.is_listed,
        "upvotes": record.upvotes,
        "has_votes": record.upvotes is not None,
        "comments": record.comments,
        "code_url": record.code_url,
        "project_url": record.project_url,
        "keywords": list(record.keywords),
        "categories": list(record.categories),
    }
    counts = {"upvotes", "comments"}
    new = {
        name: value
        for name, value in told.items()
        if (value or (name in counts and value is not None))
        and value != getattr(paper, name)
    }
    for name, value in new.items():
        setattr(paper, name, value)
    return bool(new)


def _day(paper: Paper, record: PaperRecord) -> date:
    """Return the first day on which the paper was listed, or else came from arXiv."""
    if record.is_listed == paper.is_listed:
        return min(record.day, paper.day)
    return record.day if record.is_listed else paper.day


# -- a record that tells no arXiv id ------------------------------------------------

# Such a paper has the id of its title, and takes its arXiv id as soon as a source tells one.


def known_by_title(records: Iterable[PaperRecord]) -> list[PaperRecord]:
    """Give records without an arXiv id the one of the stored paper of the same title.

    They add nothing but counts then: the page rounds dates, and is no list of that day.
    """
    records = list(records)
    titles = {
        record.arxiv_id: search_index.title_words(record.title)
        for record in records
        if TITLE_ID.fullmatch(record.arxiv_id)
    }
    found = PaperWords.objects.filter(title__in=set(titles.values()))
    rows = found.exclude(paper__arxiv_id__startswith="title-").order_by("-paper_id")
    known = {
        title: (arxiv_id, day)
        for title, arxiv_id, day in rows.values_list(
            "title", "paper__arxiv_id", "paper__day"
        )
    }
    return [
        replace(record, arxiv_id=row[0], day=row[1], submitted_at=None)
        if (row := known.get(titles.get(record.arxiv_id, "")))
        else record
        for record in records
    ]


@transaction.atomic
def take_arxiv_ids(told: Mapping[str, str]) -> None:
    """Give stored papers without an arXiv id, by that of their title, the one now told."""
    rows = list(
        Paper.objects.filter(arxiv_id__in=list(told)).select_for_update().order_by("pk")
    )
    taken = Paper.objects.filter(arxiv_id__in=list(told.values()))
    known = set(taken.values_list("arxiv_id", flat=True))
    for row in rows:
        row.arxiv_id = told[row.arxiv_id]
    new = [row for row in rows if row.arxiv_id not in known]
    Paper.objects.bulk_update(new, ["arxiv_id"])
