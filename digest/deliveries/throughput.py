"""How many mails go out and how late they are, by minute, without a look at the ledger.

A sender counts what it hands over, looks up how late a sample of it was, and adds both to the
minute's rows every few seconds. What a sender that dies has not written yet is missing
here, and nowhere else: no decision depends on these counts.
"""

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Sum

from digest.models import Delivery, SendingCount
from digest.sql import Rows, Statement, among, change
from digest.transport.outcomes import Outcome, Verdict

PERIOD = 2.0  # seconds between two writes of a sender
OF_A_GROUP = 10  # mails of a submit group whose lateness is looked up
WINDOW = timedelta(minutes=5)  # of speed and lateness as shown
KEPT = timedelta(days=2)
COUNTED = (Verdict.ACCEPTED, Verdict.REFUSED, Verdict.RETRY, Verdict.UNKNOWN)
# Upper bounds of lateness, in seconds; a mail is expired long before the last.
BOUNDS = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14_400, 28_800, 86_400)
LATE = "late "

ADD = Statement(
    postgresql="""
INSERT INTO digest_sendingcount (minute, name, count)
SELECT %(minute)s, r.name, r.count FROM unnest(%(name)s::text[], %(count)s::bigint[])
    AS r(name, count) ORDER BY r.name
ON CONFLICT (minute, name)
DO UPDATE SET count = digest_sendingcount.count + excluded.count""",
    sqlite="""
INSERT INTO digest_sendingcount (minute, name, count)
SELECT %(minute)s, value ->> 0, CAST(value ->> 1 AS INTEGER) FROM json_each(%(rows)s)
WHERE true
ON CONFLICT (minute, name)
DO UPDATE SET count = digest_sendingcount.count + excluded.count""",
)


class Meter:
    """What one sender has handed over since it wrote last."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.sample: list[int] = []
        self.written_at = time.monotonic()

    def look_at(self, outcomes: Mapping[int, Outcome]) -> None:
        """Take some accepted mails of a submit group into the sample of lateness."""
        accepted = [pk for pk, one in outcomes.items() if one.verdict is Verdict.ACCEPTED]
        self.sample += accepted[:: max(len(accepted) // OF_A_GROUP, 1)][:OF_A_GROUP]

    def count(self, sent: Mapping[str, int], clock: Callable[[], datetime]) -> None:
        """Count a slice, and write if the last time was a while ago."""
        self.counts += Counter({name: sent.get(name, 0) for name in COUNTED})
        if time.monotonic() - self.written_at >= PERIOD:
            self.write(clock())

    def write(self, now: datetime) -> None:
        """Add what was counted to the rows of this minute: nothing, if it is nothing."""
        self.written_at = time.monotonic()
        if not (self.counts or self.sample):
            return
        counts = self.counts + lateness(self.sample)
        minute = now.replace(second=0, microsecond=0)
        rows = Rows(("name", "count"), sorted(counts.items()), numbers=("count",))
        change(ADD, minute=minute, rows=rows)
        self.counts, self.sample = Counter(), []


def lateness(ids: list[int]) -> Counter[str]:
    """Return how many of these deliveries were at most so late, by the name of the bound."""
    if not ids:
        return Counter()
    rows = Delivery.objects.filter(pk__in=among(ids), outcome_at__isnull=False)
    found: Counter[str] = Counter()
    for due_at, outcome_at in rows.values_list("due_at", "outcome_at"):
        late = (outcome_at - due_at).total_seconds() if outcome_at else 0
        place = bisect_left(BOUNDS, late)
        found[f"{LATE}{BOUNDS[min(place, len(BOUNDS) - 1)]}"] += 1
    return found


@dataclass(frozen=True, slots=True)
class Speed:
    """What went out in the last minutes: counts by verdict, and how late the mails were."""

    counts: Mapping[str, int]
    seconds: float
    late: Mapping[int, int]  # upper bound in seconds → mails of the sample

    @property
    def mails_a_second(self) -> float:
        return self.counts.get(Verdict.ACCEPTED, 0) / self.seconds

    def quantile(self, share: float) -> float | None:
        """Return the lateness in seconds that this share of the mails kept; None without any.

        An upper bound: the smallest of BOUNDS that is enough.
        """
        needed = share * sum(self.late.values())
        for bound in BOUNDS:
            needed -= self.late.get(bound, 0)
            if needed <= 0 and self.late:
                return float(bound)
        return None


def lately(now: datetime) -> Speed:
    """Return the speed of the last minutes, the one that runs included."""
    since = now.replace(second=0, microsecond=0) - WINDOW
    rows = SendingCount.objects.filter(minute__gt=since)
    counts = dict(rows.values_list("name").annotate(Sum("count")))
    late = {
        int(name.removeprefix(LATE)): count
        for name, count in counts.items()
        if name.startswith(LATE)
    }
    told = {f"{name}": counts.get(name, 0) for name in COUNTED}
    seconds = (now - since).total_seconds() - 60
    return Speed(told, max(seconds, 1.0), late)


def accepted_since(now: datetime, *, hours: int) -> int:
    """Return the mails accepted in the last hours."""
    since = now - timedelta(hours=hours)
    rows = SendingCount.objects.filter(name=Verdict.ACCEPTED, minute__gt=since)
    return rows.aggregate(count=Sum("count"))["count"] or 0


def by_minute(now: datetime) -> list[tuple[datetime, int]]:
    """Return the mails accepted in each minute of the last hour, the one that runs last."""
    last = now.replace(second=0, microsecond=0)
    rows = SendingCount.objects.filter(
        name=Verdict.ACCEPTED, minute__gt=last - timedelta(hours=1)
    )
    found = dict(rows.values_list("minute", "count"))
    every = [last - timedelta(minutes=step) for step in reversed(range(60))]
    return [(minute, found.get(minute, 0)) for minute in every]


def prune(now: datetime) -> None:
    """Delete the counts that are kept no longer."""
    SendingCount.objects.filter(minute__lt=now - KEPT).delete()
