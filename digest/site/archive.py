"""Queries of the public pages: days and topics."""

from collections import Counter
from dataclasses import dataclass
from datetime import date, timedelta

from django.db.models import QuerySet
from django.utils import timezone

from digest.models import Block, Edition, Paper
from digest.papers import source_days, sources

COUNTED_DAYS = 30


@dataclass(frozen=True)
class Neighbours:
    """The nearest days that have papers."""

    previous: date | None
    next: date | None


def newest_day() -> date | None:
    """Return the newest day that has papers and has begun; None while there is none."""
    begun = Paper.objects.filter(day__lte=timezone.now().date())
    return begun.order_by("-day").values_list("day", flat=True).first()


def is_current(day: date) -> bool:
    """Return True if a day's papers can be called today's; weekends have none."""
    return sources.newest_day(timezone.now()) - day <= source_days.QUIET


def neighbours(day: date) -> Neighbours:
    """Return the days with papers before and after, whether or not this day has any."""
    days = Paper.objects.order_by("day").values_list("day", flat=True)
    return Neighbours(
        previous=days.filter(day__lt=day).last(), next=days.filter(day__gt=day).first()
    )


def papers_of_topic(slug: str) -> QuerySet[Paper]:
    """Return the papers published under the topic, newest day first."""
    blocks = Block.objects.filter(topics__has_key=slug, edition__kind=Edition.Kind.DAILY)
    return Paper.objects.filter(pk__in=blocks.values("paper_id"))


def recent_counts() -> Counter[str]:
    """Return topic slug → number of papers published in the newest thirty days."""
    daily = Edition.objects.filter(kind=Edition.Kind.DAILY)
    newest = daily.order_by("-day").values_list("day", flat=True).first()
    if newest is None:
        return Counter()
    blocks = Block.objects.filter(
        edition__kind=Edition.Kind.DAILY,
        edition__day__gt=newest - timedelta(days=COUNTED_DAYS),
    )
    return Counter(
        slug for topics in blocks.values_list("topics", flat=True) for slug in topics
    )
