"""Queries of the public pages: days, weeks, months, topics, authors and organizations."""

import calendar
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta

from django.db import connection
from django.db.models import Count, Exists, Q, QuerySet, TextField
from django.db.models.expressions import RawSQL
from django.db.models.functions import Cast, TruncMonth
from django.utils import timezone
from django.utils.dates import WEEKDAYS

from digest.models import Block, Edition, Paper, PaperWords
from digest.papers import search_sql, source_days, sources
from digest.papers.search_index import topic_word

COUNTED_DAYS = 30
DAYS = """
WITH RECURSIVE found (day) AS (
    SELECT max(day) FROM digest_paper WHERE day <= %s AND NOT is_sample
    UNION ALL
    SELECT (SELECT max(day) FROM digest_paper WHERE day < found.day AND NOT is_sample) FROM found
    WHERE found.day IS NOT NULL
) SELECT day FROM found WHERE day IS NOT NULL"""
MONDAY_FIRST = calendar.Calendar()


@dataclass(frozen=True)
class Neighbours:
    """The nearest days that have papers."""

    previous: date | None
    next: date | None


@dataclass(frozen=True)
class Period:
    """The days of a week or a month, both ends included."""

    first: date
    last: date

    def papers(self, topic: str = "") -> QuerySet[Paper]:
        """Return the period's papers, of one topic if given, most upvoted first."""
        days = (self.first, min(self.last, timezone.now().date()))
        found = Paper.objects.filter(day__range=days)
        if topic:
            found = found.filter(pk__in=of_topic(topic))
        return found.order_by("-upvotes", "-day", "arxiv_id")

    def around(self, topic: str = "") -> Neighbours:
        """Return the nearest days before and after that have papers, of one topic if given."""
        found = papers_of_topic(topic) if topic else begun()
        days = found.order_by("day").values_list("day", flat=True)
        return Neighbours(
            days.filter(day__lt=self.first).last(), days.filter(day__gt=self.last).first()
        )

    def topics(self) -> Counter[str]:
        """Return topic slug → number of its papers in the period. One query."""
        found = PaperWords.objects.filter(day__range=(self.first, self.last))
        return Counter(
            slug
            for topics in found.values_list("topics", flat=True)
            for slug in topics.split()
        )


@dataclass(frozen=True)
class CalendarMonth:
    """One month as rows of weeks; each day with the number of its papers."""

    period: Period
    weeks: list[list[tuple[date, int]]]

    @property
    def weekdays(self) -> list[tuple[str, str]]:
        """Return (name, its first two letters), Monday first, in the active language."""
        return [(str(name), str(name)[:2]) for name in WEEKDAYS.values()]


def begun() -> QuerySet[Paper]:
    """Return the papers of days that have begun; samples only where there is nothing else."""
    real = Exists(Paper.objects.filter(is_sample=False))
    shown = Q(is_sample=False) | ~real
    return Paper.objects.filter(shown, day__lte=timezone.now().date())


def newest_day() -> date | None:
    """Return the newest day that has papers and has begun; None while there is none."""
    return begun().order_by("-day").values_list("day", flat=True).first()


def is_current(day: date) -> bool:
    """Return True if a day's papers can be called today's; weekends have none."""
    return sources.newest_day(timezone.now()) - day <= source_days.QUIET


def days() -> list[date]:
    """Return the days with real papers that have begun, newest first.

    One step of the index a day, however many papers it has.
    """
    with connection.cursor() as cursor:
        cursor.execute(DAYS, [timezone.now().date()])
        return [date.fromisoformat(str(day)) for (day,) in cursor.fetchall()]


# -- weeks and months -------------------------------------------------------------


def week_of(day: date) -> Period:
    """Return the ISO week, Monday to Sunday."""
    monday = day - timedelta(days=day.weekday())
    return Period(monday, monday + timedelta(days=6))


def month_of(day: date) -> Period:
    _, length = calendar.monthrange(day.year, day.month)
    return Period(day.replace(day=1), day.replace(day=length))


def calendar_of(day: date) -> CalendarMonth:
    """Return the month of a day. One query."""
    month = month_of(day)
    found = begun().filter(day__range=(month.first, month.last))
    counts: dict[date, int] = dict(
        found.order_by().values_list("day").annotate(Count("pk"))
    )
    weeks = MONDAY_FIRST.monthdatescalendar(day.year, day.month)
    return CalendarMonth(
        month, [[(each, counts.get(each, 0)) for each in week] for week in weeks]
    )


def months() -> list[tuple[int, list[tuple[date, int]]]]:
    """Return (year, its months with the number of their papers), newest first. One query."""
    rows = (
        begun().order_by().annotate(month=TruncMonth("day")).values_list("month")
    ).annotate(Count("pk"))
    years: dict[int, list[tuple[date, int]]] = {}
    for month, count in sorted(rows, reverse=True):
        years.setdefault(month.year, []).append((month, count))
    return list(years.items())


# -- topics, authors, organizations -----------------------------------------------


def of_topic(slug: str) -> RawSQL:
    """Return the papers that search knows under the topic, published or not."""
    return search_sql.tagged(topic_word(slug))


def papers_of_topic(slug: str) -> QuerySet[Paper]:
    """Return the papers of a topic, newest day first."""
    return begun().filter(pk__in=of_topic(slug))


def papers_of_author(name: str) -> QuerySet[Paper]:
    """Return the papers that name the author exactly so, newest day first.

    SQLite stores JSON text escaped, PostgreSQL does not.
    """
    listed = Q(names__contains=json.dumps(name, ensure_ascii=False))
    listed |= Q(names__contains=json.dumps(name))
    return Paper.objects.alias(names=Cast("authors", TextField())).filter(listed)


def papers_of_organization(name: str) -> QuerySet[Paper]:
    return Paper.objects.filter(organization=name)


def recent_counts() -> Counter[str]:
    """Return topic slug → number of papers published in the newest thirty days."""
    daily = Edition.objects.filter(kind=Edition.Kind.DAILY)
    newest = daily.order_by("-day").values_list("day", flat=True).first()
    if newest is None:
        return Counter()
    days = timedelta(days=COUNTED_DAYS)
    return count_topics(Block.objects.filter(edition__day__gt=newest - days))


def count_topics(blocks: QuerySet[Block]) -> Counter[str]:
    """Return topic slug → number of papers in daily editions. One query."""
    daily = blocks.filter(edition__kind=Edition.Kind.DAILY)
    return Counter(
        slug for topics in daily.values_list("topics", flat=True) for slug in topics
    )


def listed(ids: Iterable[str]) -> list[Paper]:
    """Return the papers with these arXiv ids, in this order, without unknown ones."""
    wanted = list(dict.fromkeys(ids))
    found = Paper.objects.in_bulk(wanted, field_name="arxiv_id")
    return [found[arxiv_id] for arxiv_id in wanted if arxiv_id in found]
