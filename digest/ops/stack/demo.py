"""Invented readers and their last digests, so that an operator's pages have something to show.

They come in through the import and are sent to by `deliver`, as real ones are; only into the
embedded database and the mail catcher, and only while nobody else is subscribed.
"""

import csv
import io
import random
import tempfile
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

from django.core.management import call_command

from digest.models import Delivery, Edition
from subscribers.models import Subscriber, Topic

READERS = 200
DAYS = 3
ZONES = ["Europe/Berlin", "America/New_York", "Asia/Tokyo", "Europe/London", "UTC"]
ZONES += ["America/Los_Angeles", "Asia/Kolkata", "America/Sao_Paulo", "Australia/Sydney"]
CADENCES = ["daily"] * 7 + ["weekdays"] * 2 + ["weekly"]
STATES = ["active"] * 17 + ["unsubscribed", "paused", "bounced"]
COLUMNS = ["email", "state", "topics", "timezone", "send_hour", "cadence"]
COLUMNS += ["created_at", "confirmed_at", "unsubscribed_at"]


def fill(*, now: datetime) -> str:
    """Invent readers and send them the newest editions; return a line for the operator."""
    if Subscriber.objects.exists():
        return "There are readers already: none were invented."
    said = io.StringIO()  # what the commands say; an error is raised
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "readers.csv"
        path.write_text(readers(now=now), encoding="utf-8")
        source = "invented for a demonstration"
        call_command("subscribers", "import", path, legal_source=source, stdout=said)
    editions = list(Edition.objects.filter(kind=Edition.Kind.DAILY).order_by("-day")[:DAYS])
    for edition in reversed(editions):
        evening = datetime.combine(edition.day + timedelta(days=1), time(20), UTC)
        due = min(now, evening).isoformat()
        call_command("deliver", f"--day={edition.day}", f"--now={due}", stdout=said)
    sent = Delivery.objects.filter(state=Delivery.State.ACCEPTED).count()
    return f"{READERS} invented readers, and {sent} digests sent to the mailbox."


def readers(*, now: datetime) -> str:
    """Return them as CSV: the same each time, but for their dates."""
    # No secret hangs on it, and the same readers each time are what a demonstration needs.
    chance = random.Random(2026)  # noqa: S311
    slugs = list(Topic.objects.order_by("slug").values_list("slug", flat=True))
    out = io.StringIO()
    rows = csv.DictWriter(out, COLUMNS)
    rows.writeheader()
    for number in range(1, READERS + 1):
        confirmed = now - timedelta(days=5 + 60 * chance.random())
        state = chance.choice(STATES)
        left = now - timedelta(days=4 * chance.random())
        rows.writerow(
            {
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
        )
    return out.getvalue()
