"""What the operator's pages count. Each function asks a fixed number of queries."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta

from django.db.models import Count
from django.db.models.functions import TruncDate

from digest.deliveries import counts, throughput
from digest.deliveries.plan import due_in_zone
from digest.deliveries.schedule import release_at
from digest.models import Delivery, DeliveryEvent, Edition
from subscribers.models import ConsentEvent, Schedule, Subscriber

State, Kind = Delivery.State, ConsentEvent.Kind
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
MOST = 10_000  # rows of the queue that are counted: a million would take too long
REPORTS = ("bounced", "complained", "rejected", "deferred")
WIDTH, HEIGHT, GAP = 720, 120, 2  # of a chart, in its own units


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


@dataclass(frozen=True)
class Bar:
    """One column of a chart, in the units of its viewBox."""

    label: str
    value: int
    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True)
class Chart:
    """Columns for an SVG, and the same as rows of a table."""

    title: str
    bars: Sequence[Bar] = field(default_factory=tuple)
    width: int = WIDTH
    height: int = HEIGHT

    @property
    def total(self) -> int:
        return sum(bar.value for bar in self.bars)

    @property
    def last(self) -> str:
        return self.bars[-1].label if self.bars else ""

    @property
    def most(self) -> int:
        return max((bar.value for bar in self.bars), default=0)


def chart(title: str, points: Sequence[tuple[str, int]]) -> Chart:
    """Return (label, value) pairs as a column chart; the highest column fills the height."""
    most = max((value for _, value in points), default=0) or 1
    step = WIDTH // max(len(points), 1)
    bars = []
    for place, (label, value) in enumerate(points):
        # Not even one in a million may look like none.
        height = max(HEIGHT * value // most, 1) if value else 0
        bars.append(Bar(label, value, place * step, HEIGHT - height, step - GAP, height))
    return Chart(title, tuple(bars))


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
        sorted(reasons, key=lambda row: -row[2]),
        counted.at,
    )


def queue(now: datetime) -> dict[str, int]:
    """Return the rows that wait, by what they wait for: MOST of each at most."""
    is_open = Delivery.objects.filter(is_open=True).order_by("not_before")
    return {
        "due now": Delivery.objects.open_until(now).order_by("not_before")[:MOST].count(),
        "later": is_open.filter(not_before__gt=now)[:MOST].count(),
        "unknown": Delivery.objects.filter(is_unknown=True).order_by()[:MOST].count(),
    }


def reports(now: datetime) -> dict[str, int]:
    """Return the providers' reports of the last 24 hours by kind."""
    rows = DeliveryEvent.objects.filter(kind__in=REPORTS, at__gt=now - DAY, at__lte=now)
    counted = dict(rows.order_by().values_list("kind").annotate(Count("pk")))
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


def sent_by_minute(now: datetime) -> Chart:
    """Return the mails accepted in each minute of the last hour."""
    points = [(f"{minute:%H:%M}", count) for minute, count in throughput.by_minute(now)]
    return chart("Mails accepted in the last hour, by minute (UTC)", points)


def readers(counted: counts.Counted) -> dict[str, int]:
    """Return the subscribers by state."""
    found: Counter[str] = Counter()
    for state, *_, count in counted.rows:
        found[state] += count
    return {state.value: found[state] for state in Subscriber.State}


def confirmed_and_left(now: datetime, *, days: int = 14) -> tuple[Chart, Chart]:
    """Return confirmations and unsubscribes by day (UTC), today last."""
    first = now.date() - timedelta(days=days - 1)
    rows = ConsentEvent.objects.filter(
        kind__in=[Kind.CONFIRMED, Kind.UNSUBSCRIBED],
        at__gte=datetime.combine(first, time(), UTC),
        at__lte=now,
    )
    grouped = rows.order_by().values_list("kind", TruncDate("at")).annotate(Count("pk"))
    counted = {(kind, day): count for kind, day, count in grouped}
    every = [first + timedelta(days=step) for step in range(days)]

    def by_day(kind: ConsentEvent.Kind) -> list[tuple[str, int]]:
        return [(f"{day:%a %d %b}", counted.get((kind, day), 0)) for day in every]

    return (
        chart("Confirmed, by day", by_day(Kind.CONFIRMED)),
        chart("Unsubscribed, by day", by_day(Kind.UNSUBSCRIBED)),
    )


def next_hours(now: datetime, counted: counts.Counted, *, hours: int = 24) -> Chart:
    """Return how many active readers' daily digests come due in each of the next hours."""
    start = now.replace(minute=0, second=0, microsecond=0)
    load: Counter[int] = Counter()
    releases = [release_at(now.date() + DAY * step) for step in (-2, -1, 0, 1)]
    for state, zone, hour, days, cadence, count in counted.rows:
        if state != Subscriber.State.ACTIVE or cadence == Schedule.Cadence.WEEKLY:
            continue
        # Several editions may be due to a schedule at once: only the newest goes.
        for due in {due_in_zone(release, zone, hour, days) for release in releases}:
            load[int((due - start) // HOUR)] += count
    labels = [f"{start + HOUR * step:%H:%M}" for step in range(hours)]
    points = [(label, load[step]) for step, label in enumerate(labels)]
    return chart("Daily digests due in the next 24 hours (UTC)", points)
