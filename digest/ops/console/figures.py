"""What the operator's pages count. Each function asks a fixed number of queries."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count

from digest.deliveries import counts, throughput
from digest.models import Delivery, DeliveryEvent, Edition
from subscribers.models import Subscriber

State = Delivery.State
DAY = timedelta(days=1)
MOST = 10_000  # rows of the queue that are counted: a million would take too long
OPEN = (State.PENDING, State.CLAIMED, State.SUBMITTING)
REPORTS = ("bounced", "complained", "rejected", "deferred")


@dataclass(frozen=True)
class EditionFigures:
    """An edition with its rows by state, and those that went to nobody by reason."""

    edition: Edition
    states: Mapping[str, int]
    reasons: Sequence[tuple[str, str, int]]  # state, reason, rows; most rows first
    counted_at: datetime | None = None  # by a worker; None: just now

    @property
    def eligible(self) -> int:
        return sum(self.states.values())

    @property
    def waiting(self) -> int:
        return sum(self.states[state] for state in OPEN)


def of_editions(editions: Iterable[Edition]) -> list[EditionFigures]:
    """Count the rows of these editions; large ones as a worker last did."""
    editions = list(editions)
    counted = counts.of_editions([edition.pk for edition in editions])
    return [figures_of(edition, counted[edition.pk]) for edition in editions]


def figures_of(edition: Edition, counted: counts.Counted) -> EditionFigures:
    states: Counter[str] = Counter()
    reasons: list[tuple[str, str, int]] = []
    for state, reason, count in counted.rows:
        states[state] += count
        if state != State.ACCEPTED and reason:
            reasons.append((state, reason, count))
    return EditionFigures(
        edition,
        {state.value: states[state] for state in State},
        sorted(reasons, key=lambda row: (-row[2], row)),
        counted.at,
    )


def queue(now: datetime) -> dict[str, int]:
    """Return the rows that wait, by what they wait for: MOST of each at most.

    In no order, which would have PostgreSQL read all of them to sort two lanes into one.
    """
    is_open = Delivery.objects.filter(is_open=True).order_by()
    return {
        "due now": Delivery.objects.open_until(now).order_by()[:MOST].count(),
        "later": is_open.filter(not_before__gt=now)[:MOST].count(),
        "unknown": Delivery.objects.filter(is_unknown=True).order_by()[:MOST].count(),
    }


def reports(now: datetime) -> dict[str, int]:
    """Return the providers' reports of the last 24 hours by kind."""
    rows = DeliveryEvent.objects.filter(kind__in=REPORTS, at__gt=now - DAY, at__lte=now)
    # "*", as the index has no ids: it alone is read.
    counted = dict(rows.order_by().values_list("kind").annotate(number=Count("*")))
    return {kind: counted.get(kind, 0) for kind in REPORTS}


def speed(now: datetime) -> dict[str, str]:
    """Return how fast mails go out and how late they are, as measured lately."""
    lately = throughput.lately(now)
    half, most = (lately.quantile(share) for share in (0.5, 0.99))
    return {
        "mails a second": f"{lately.mails_a_second:.1f}",
        "lateness, median": "–" if half is None else f"{half:.0f} s",
        "lateness, 99 of 100": "–" if most is None else f"{most:.0f} s",
    }


def readers(counted: counts.Counted) -> dict[str, int]:
    """Return the subscribers by state."""
    found: Counter[str] = Counter()
    for state, *_, count in counted.rows:
        found[state] += count
    return {state.value: found[state] for state in Subscriber.State}
