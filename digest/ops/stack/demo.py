"""Invented readers and their last digests, so that `up` has something to show.

One at the first start, so that there is a digest to read at once, and 200 for a demonstration.
They come in through the import and are sent to by `deliver`, as real ones are; only into the
embedded database and the mail catcher, and only while nobody else is subscribed.
"""

import csv
import io
import random
import tempfile
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

from django.core.management import CommandError, call_command

from digest.deliveries.schedule import RELEASE_TIME, release_at
from digest.models import Delivery, Edition
from subscribers.models import Subscriber, Topic

FIRST = "first.reader@example.com"
READERS = 200
DAYS = 3
ZONES = ["Europe/Berlin", "America/New_York", "Asia/Tokyo", "Europe/London", "UTC"]
ZONES += ["America/Los_Angeles", "Asia/Kolkata", "America/Sao_Paulo", "Australia/Sydney"]
CADENCES = ["daily"] * 7 + ["weekdays"] * 2 + ["weekly"]
STATES = ["active"] * 17 + ["unsubscribed", "paused", "bounced"]
COLUMNS = ["email", "state", "topics", "timezone", "send_hour", "cadence"]
COLUMNS += ["created_at", "confirmed_at", "unsubscribed_at"]


def first_digest(*, now: datetime) -> str:
    """Invent one reader, of the newest edition's topics, and send its digest; return a line."""
    edition = Edition.objects.filter(kind=Edition.Kind.DAILY).order_by("-day").first()
    if not edition or Subscriber.objects.exists():
        return "There are readers or no papers yet: no first digest was sent."
    topics = Counter(
        slug
        for of_paper in edition.blocks.values_list("topics", flat=True)
        for slug in of_paper
    )
    release = release_at(edition.day)
    before = (release - timedelta(days=1)).isoformat()
    row = {
        "email": FIRST,
        "state": "active",
        "topics": " ".join(slug for slug, _ in topics.most_common(3)),
        "timezone": "UTC",
        "send_hour": RELEASE_TIME.hour + 1,
        "cadence": "daily",
        "created_at": before,
        "confirmed_at": before,
    }
    take_in([row])
    try:
        send(edition, at=min(now, release + timedelta(hours=1)))
    except CommandError as error:
        return f"The first digest waits: {error}"
    return f"A digest was sent to an invented reader, {FIRST}."


def fill(*, now: datetime) -> str:
    """Invent readers and send them the newest editions; return a line for the operator."""
    if Subscriber.objects.exclude(email=FIRST).exists():
        return "There are readers already: none were invented."
    take_in(readers(now=now))
    editions = list(Edition.objects.filter(kind=Edition.Kind.DAILY).order_by("-day")[:DAYS])
    for edition in reversed(editions):
        evening = datetime.combine(edition.day + timedelta(days=1), time(20), UTC)
        send(edition, at=min(now, evening))
    sent = Delivery.objects.filter(state=Delivery.State.ACCEPTED).count()
    return f"{READERS} invented readers, and {sent} digests sent to the mailbox."


def take_in(rows: Iterable[dict[str, object]]) -> None:
    """Import readers from rows of `COLUMNS`."""
    out = io.StringIO()
    table = csv.DictWriter(out, COLUMNS, restval="")
    table.writeheader()
    table.writerows(rows)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "readers.csv"
        path.write_text(out.getvalue(), encoding="utf-8")
        source = "invented for a demonstration"
        said = io.StringIO()  # what the command says; an error is raised
        call_command("subscribers", "import", path, legal_source=source, stdout=said)


def send(edition: Edition, *, at: datetime) -> None:
    """Send what is due of the edition at that instant. Raises CommandError."""
    due = f"--now={at.isoformat()}"
    call_command("deliver", f"--day={edition.day}", due, stdout=io.StringIO())


def readers(*, now: datetime) -> Iterable[dict[str, object]]:
    """Yield them as rows of `COLUMNS`: the same each time, but for their dates."""
    # No secret hangs on it, and the same readers each time are what a demonstration needs.
    chance = random.Random(2026)  # noqa: S311
    slugs = list(Topic.objects.order_by("slug").values_list("slug", flat=True))
    for number in range(1, READERS + 1):
        confirmed = now - timedelta(days=5 + 60 * chance.random())
        state = chance.choice(STATES)
        left = now - timedelta(days=4 * chance.random())
        yield {
            "email": f"reader{number}@example.com",
            "state": state,
            "topics": " ".join(chance.sample(slugs, chance.randint(1, 5))),
            "timezone": chance.choice(ZONES),
            "send_hour": chance.randint(5, 10),
            "cadence": chance.choice(CADENCES),
            "created_at": confirmed.isoformat(),
            "confirmed_at": confirmed.isoformat(),
            "unsubscribed_at": left.isoformat() if state == "unsubscribed" else "",
        }
