"""Fetch and publish the first papers of `manage.py up`.

Without a network it uses the stored papers, or else the samples.
"""

from datetime import date, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from django.conf import settings
from django.urls import reverse
from django.utils import timezone

from digest import signing
from digest.editions.publish import NothingToPublish, publish
from digest.models import Delivery, Edition, Paper
from digest.papers import ingest, sources

LOOK_BACK = 4  # days: the source has weekends and holidays


def bring(path: Path | None, *, now: datetime) -> str:
    """Store and publish the newest papers; return a line for the operator.

    They come from the file at `path`, or from the source when that is None. Raises SourceError
    for a file that cannot be used, but not for a source that is down.
    """
    if path:
        newest = ingest.fetch_file(path, now=now).day
        return publish_day(newest, now=now) if newest else f"There are no papers in {path}."
    try:
        day = fetch_newest(now)
    except sources.SourceError:
        return without_source(now=now)
    ingest.fill_gaps(now=now, day=day)
    return publish_day(day, now=now)


def fetch_newest(now: datetime) -> date:
    """Fetch the newest day that has papers and return it; without any, the newest day."""
    day = newest = ingest.fetch(now=now).day or sources.newest_day(now)
    for _ in range(LOOK_BACK):
        if Paper.objects.filter(day=day, is_sample=False).exists():
            return day
        day -= timedelta(days=1)
        ingest.fetch(now=now, day=day)
    return newest


def without_source(*, now: datetime) -> str:
    host = urlsplit(settings.SOURCE_URL).hostname
    if day := newest_stored():
        publish_day(day, now=now)
        return f"No answer from {host}: showing the papers of {day}."
    day = sources.newest_day(now)
    ingest.store_samples(day=day, now=now)
    for ago in (2, 1, 0):
        publish_day(day - timedelta(days=ago), now=now)
    return f"No answer from {host}: showing sample papers instead."


def newest_stored() -> date | None:
    """Return the newest day of real papers."""
    real = Paper.objects.filter(is_sample=False, day__lte=timezone.now().date())
    return real.order_by("-day").values_list("day", flat=True).first()


def publish_day(day: date, *, now: datetime) -> str:
    try:
        edition = publish(day, now=now)
    except NothingToPublish:
        return f"There are no papers of {day} yet."
    return f"{edition.blocks.count()} papers of {day}."


def to_read() -> str:
    """Return the path of a digest to read at once: the newest mail's page, else an edition's."""
    accepted = Delivery.objects.filter(state=Delivery.State.ACCEPTED)
    if newest := accepted.order_by("-pk").values_list("pk", flat=True).first():
        return reverse("digest", args=[signing.name(signing.Purpose.PAGE, newest)])
    edition = Edition.objects.of_papers().order_by("-day", "kind").first()
    return reverse("edition", args=[edition.kind, edition.day]) if edition else ""
