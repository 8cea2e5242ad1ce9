"""Record the days that the source has answered, to fetch missed days and notice silence.

A day on which the source was down is requested again for a week. /readyz, and one alarm,
name the reason why there are no new papers.
"""

from datetime import date, datetime, timedelta

from django.db.models import QuerySet

from digest.models import Paper, SourceDay
from digest.papers.fullness import Fullness, fullness
from digest.papers.sources import PRIMARY, SourceError, newest_day

DAY = timedelta(days=1)
WEEK = timedelta(days=7)  # readers get no older papers
GRACE = timedelta(hours=2)  # the time of four fetches
LATE = timedelta(days=2)
GROWING = timedelta(days=14)
AT_ONCE = 2  # days to refresh
QUIET = timedelta(days=4)  # weekends and holidays have no papers


def answered(
    day: date,
    now: datetime,
    *,
    papers: int,
    entries: int = 0,
    etag: str = "",
    source: str = PRIMARY,
) -> None:
    """Record a complete response: the papers of the day in it, and of any day."""
    SourceDay.objects.update_or_create(
        source=source,
        day=day,
        defaults={
            "answered_at": now,
            "papers": papers,
            "entries": entries,
            "etag": etag,
            "failed_at": None,
            "failure": "",
        },
    )


def unchanged(day: date, now: datetime) -> None:
    """Record that the source's last response for the day still holds."""
    rows = SourceDay.objects.filter(source=PRIMARY, day=day)
    rows.update(answered_at=now, failed_at=None, failure="")


def etag(day: date) -> str:
    """Return the tag of the last response for the day; "" without one."""
    rows = SourceDay.objects.filter(source=PRIMARY, day=day)
    return rows.values_list("etag", flat=True).first() or ""


def counted(source: str, day: date, papers: int) -> None:
    """Record how many papers a source has for the day, of which none was needed yet."""
    SourceDay.objects.update_or_create(source=source, day=day, defaults={"papers": papers})


def has_answered(source: str, day: date) -> bool:
    rows = SourceDay.objects.filter(source=source, day=day)
    return rows.exclude(answered_at=None).exists()


def failed(day: date, error: SourceError, now: datetime, *, source: str = PRIMARY) -> None:
    """Record that the source gave no usable response for the day."""
    row, _ = SourceDay.objects.get_or_create(source=source, day=day)
    row.failed_at = row.failed_at or now
    row.failure = str(error)[:200]
    row.save(update_fields=["failed_at", "failure"])


def due(now: datetime) -> list[date]:
    """Return the days to fetch: the newest, then the missed ones, newest first.

    A missed day has no response since the first one requested in the last week; for two
    days also one that had no papers, though that weekday has some. In a new installation the
    day before the newest is missed, too: until the newest is released, its edition is what a
    reader gets whose hour has already passed.
    """
    newest = newest_day(now)
    rows = recent(now).filter(day__lt=newest)
    known = dict(rows.values_list("day", "answered_at"))
    first = min(known, default=newest - DAY)
    days = [newest - n * DAY for n in range((newest - first).days + 1)]
    return [
        day
        for day in days
        if day == newest
        or known.get(day) is None
        or (newest - day <= LATE and fullness(day) in {Fullness.EMPTY, Fullness.STALE})
    ]


def to_refresh(now: datetime) -> list[date]:
    """Return a few days whose votes and comments were last fetched a day ago or longer.

    They grow for two weeks. Editions are frozen and stay as they are.
    """
    rows = SourceDay.objects.filter(
        source=PRIMARY,
        day__gt=newest_day(now) - GROWING,
        day__lt=newest_day(now),
        answered_at__lt=now - DAY,
    )
    return list(rows.order_by("answered_at").values_list("day", flat=True)[:AT_ONCE])


def recent(now: datetime) -> QuerySet[SourceDay]:
    return SourceDay.objects.filter(source=PRIMARY, day__gt=newest_day(now) - WEEK)


def troubles(now: datetime) -> list[str]:
    """Return a line for each reason why there are no new papers; empty if there are."""
    newest = newest_day(now)
    down = recent(now).filter(answered_at=None, failed_at__lt=now - GRACE).order_by("day")
    found = [
        f"papers: no answer for {row.day} since {row.failed_at:%Y-%m-%d %H:%M} UTC: "
        f"{row.failure}"
        for row in down[:1]
    ]
    stored = Paper.objects.filter(is_sample=False, day__lte=newest).order_by("-day")
    last = stored.values_list("day", flat=True).first()
    if last and newest - last > QUIET and SourceDay.objects.exists():
        found.append(f"papers: the newest are of {last}")
    return found


def new_alarm(now: datetime) -> str:
    """Return the alarm for the ADMINS, once for each period without papers; else empty.

    While there are no papers it is repeated after a week.
    """
    found = troubles(now)
    if not found:
        SourceDay.objects.exclude(alarmed_at=None).update(alarmed_at=None)
        return ""
    if SourceDay.objects.filter(alarmed_at__gt=now - WEEK).exists():
        return ""
    row, _ = SourceDay.objects.get_or_create(source=PRIMARY, day=newest_day(now))
    row.alarmed_at = now
    row.save(update_fields=["alarmed_at"])
    return "There are no new papers. " + "; ".join(found)
