"""Tell a day that has few papers from one whose list is late or wrong.

Compared are the weekday's own norm, the day before, and arXiv where it is asked. Of 485
recorded weekdays, 15 had less than a third of what they had to expect; most were holidays.
"""

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from statistics import median
from typing import NamedTuple

from django.db.models import Count

from digest.models import Paper, SourceDay
from digest.papers.sources import ARXIV, COMPLETE_HOUR, PRIMARY, newest_day

DAY = timedelta(days=1)
WEEK = timedelta(days=7)
WEEKS = 8  # that make the norm of a weekday
KNOWN_WEEKS = 3  # fewer make none
FEW = 3  # times more papers were to be expected
BEFORE = 4 * DAY  # the day before is the last one that had papers, over a weekend
HOLD = timedelta(hours=3)  # after the hour at which a list is nearly complete
SATURDAY = 5


class Fullness(StrEnum):
    """How a day's list compares with what was to be expected."""

    USUAL = "usual"  # or there is nothing to compare with yet
    FEW = "few"  # papers: half-filled, or a holiday
    QUIET = "quiet"  # empty, as that weekday is
    EMPTY = "empty"  # though that weekday has papers
    STALE = "stale"  # only papers of earlier days
    UNANSWERED = "unanswered"


class State(NamedTuple):
    """What there is to say of a day."""

    day: date
    fullness: Fullness
    papers: int
    is_held: bool


def fullness(day: date) -> Fullness:
    """Judge the last answer for the day. At most four queries."""
    return _judged(day, counts([day])[day])


def _judged(day: date, papers: int) -> Fullness:
    row = SourceDay.objects.filter(source=PRIMARY, day=day).first()
    norm = norm_of(day)
    if papers:
        return Fullness.FEW if papers * FEW < expected(day, norm) else Fullness.USUAL
    if row is None or row.answered_at is None:
        return Fullness.UNANSWERED
    if row.entries:
        return Fullness.STALE
    is_usual = day.weekday() >= SATURDAY if norm is None else norm < 1
    return Fullness.QUIET if is_usual else Fullness.EMPTY


def state_of(day: date, now: datetime) -> State:
    papers = counts([day])[day]
    found = _judged(day, papers)
    return State(day, found, papers, _is_late(day, found, now))


def is_held(day: date, now: datetime) -> bool:
    """Return True while the day's edition waits for a list that may yet grow."""
    return _is_late(day, fullness(day), now)


def _is_late(day: date, found: Fullness, now: datetime) -> bool:
    complete = datetime.combine(day, time(COMPLETE_HOUR), UTC)
    if now >= complete + HOLD or found in {Fullness.USUAL, Fullness.QUIET}:
        return False
    return found is not Fullness.UNANSWERED and not is_quiet_at_arxiv(day)


def newest_state(now: datetime) -> State:
    """Return the state of the newest day whose list is complete at `now`."""
    return state_of(newest_day(now), now)


def expected(day: date, norm: float | None) -> float:
    """Return what the norm and the day before let expect; 0 without a norm.

    After a quiet day another one is no surprise.
    """
    if norm is None:
        return 0
    listed = Paper.objects.filter(is_listed=True, day__gte=day - BEFORE, day__lt=day)
    before = listed.order_by("-day").values_list("day", flat=True).first()
    return min(norm, counts([before])[before]) if before else norm


def norm_of(day: date) -> float | None:
    """Return the median of papers on that weekday in the last weeks; None if unknown."""
    same = [day - WEEK * ago for ago in range(1, WEEKS + 1)]
    rows = SourceDay.objects.filter(source=PRIMARY, day__in=same)
    asked = set(rows.exclude(answered_at=None).values_list("day", flat=True))
    known = [count for day, count in counts(same).items() if count or day in asked]
    return median(known) if len(known) >= KNOWN_WEEKS else None


def counts(days: Iterable[date]) -> dict[date, int]:
    """Return the number of trending papers of each day. One query."""
    wanted = list(days)
    rows = Paper.objects.filter(day__in=wanted, is_listed=True, is_sample=False)
    found = dict(rows.order_by().values_list("day").annotate(Count("pk")))
    return {day: found.get(day, 0) for day in wanted}


def is_quiet_at_arxiv(day: date) -> bool:
    """Return True if arXiv announced far fewer papers than usual, too: a holiday."""
    weekdays = [day - WEEK * ago for ago in range(WEEKS + 1)]
    rows = SourceDay.objects.filter(source=ARXIV, day__in=weekdays)
    found = {row.day: row.papers for row in rows if row.papers is not None}
    today = found.pop(day, None)
    if today is None or len(found) < KNOWN_WEEKS:
        return False
    return today * FEW < median(found.values())
