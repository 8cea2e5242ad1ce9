"""Charts of the operator's pages, drawn here as SVG, and the same numbers as tables."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

from django.db.models import Count
from django.db.models.functions import TruncDate

from digest.deliveries import counts, throughput
from digest.deliveries.plan import due_in_zone
from digest.deliveries.schedule import release_at
from digest.models import Delivery, Edition
from subscribers.models import ConsentEvent, Schedule, Subscriber

State, Kind = Delivery.State, ConsentEvent.Kind
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
WIDTH, HEIGHT, GAP = 720, 120, 2  # of a chart, in its own units
LONGEST = 20  # rows of a list
# The parts of a column, the first of them below: what became of deliveries, by their state.
PARTS = {
    "sent": {State.ACCEPTED},
    "nothing for the reader": {State.SKIPPED},
    "refused": {State.REFUSED},
    "too late": {State.EXPIRED},
    "unknown": {State.UNKNOWN, State.ABANDONED},
    "open": {State.PENDING, State.CLAIMED, State.SUBMITTING},
}


@dataclass(frozen=True)
class Bar:
    """One bar, in the units of its viewBox; `part` numbers its colour."""

    label: str
    value: int
    x: int
    y: int
    width: int
    height: int
    part: int = 0


@dataclass(frozen=True)
class Chart:
    """Columns for an SVG, and the same as rows of a table.

    `parts` names the parts of which each column is made, if it has any.
    """

    title: str
    bars: Sequence[Bar]
    rows: Sequence[tuple[str, Sequence[int]]]
    parts: Sequence[str] = ()
    width: int = WIDTH
    height: int = HEIGHT

    @property
    def total(self) -> int:
        return sum(sum(values) for _, values in self.rows)

    @property
    def first(self) -> str:
        return self.rows[0][0] if self.rows else ""

    @property
    def last(self) -> str:
        return self.rows[-1][0] if self.rows else ""

    @property
    def most(self) -> int:
        return max((sum(values) for _, values in self.rows), default=0)


@dataclass(frozen=True)
class Ranking:
    """The largest of many, each with a bar."""

    title: str
    named: str  # what a row is
    rows: Sequence[tuple[str, int]]
    is_cut: bool
    counted_at: datetime | None = None

    @property
    def bars(self) -> list[Bar]:
        most = max((value for _, value in self.rows), default=0) or 1
        return [
            Bar(label, value, 0, 0, max(WIDTH * value // most, 1), 1)
            for label, value in self.rows
        ]


def chart(title: str, points: Sequence[tuple[str, int]]) -> Chart:
    """Return (label, value) pairs as a column chart; the highest column fills the height."""
    return stacked(title, [(label, [value]) for label, value in points])


def stacked(
    title: str, rows: Sequence[tuple[str, Sequence[int]]], parts: Sequence[str] = ()
) -> Chart:
    """Return (label, values) as columns made of parts, the first of them below."""
    most = max((sum(values) for _, values in rows), default=0) or 1
    step = WIDTH // max(len(rows), 1)
    bars = []
    for place, (label, values) in enumerate(rows):
        top = HEIGHT
        for part, value in enumerate(values):
            if value or not parts:
                # Not even one in a million may look like none.
                height = max(HEIGHT * value // most, 1) if value else 0
                top = max(top - height, 0)
                name = f"{label}: {parts[part]}" if parts else label
                bars.append(Bar(name, value, place * step, top, step - GAP, height, part))
    return Chart(title, bars, rows, parts)


# -- mails -----------------------------------------------------------------------------------


def sent_by_minute(now: datetime) -> Chart:
    """Return the mails accepted in each minute of the last hour."""
    points = [(f"{minute:%H:%M}", count) for minute, count in throughput.by_minute(now)]
    return chart("Mails accepted in the last hour, by minute (UTC)", points)


def by_day(states: Mapping[Edition, Mapping[str, int]]) -> Chart:
    """Return what became of the deliveries of each day's editions, oldest day first."""
    days: dict[str, Counter[str]] = {}
    for edition in sorted(states, key=lambda one: one.day):
        days.setdefault(f"{edition.day:%a %d %b}", Counter()).update(states[edition])
    rows = [
        (day, [sum(counted[state] for state in part) for part in PARTS.values()])
        for day, counted in days.items()
    ]
    return stacked("Deliveries by day of the edition", rows, list(PARTS))


def next_hours(now: datetime, counted: counts.Counted) -> Chart:
    """Return how many active readers' daily digests come due in each of the next 24 hours."""
    start = now.replace(minute=0, second=0, microsecond=0)
    load: Counter[int] = Counter()
    releases = [release_at(now.date() + DAY * step) for step in (-2, -1, 0, 1)]
    for state, zone, hour, days, cadence, count in counted.rows:
        if state != Subscriber.State.ACTIVE or cadence == Schedule.Cadence.WEEKLY:
            continue
        # Several editions may be due to a schedule at once: only the newest goes.
        for due in {due_in_zone(release, zone, hour, days) for release in releases}:
            load[int((due - start) // HOUR)] += count
    labels = [f"{start + HOUR * step:%H:%M}" for step in range(24)]
    points = [(label, load[step]) for step, label in enumerate(labels)]
    return chart("Daily digests due in the next 24 hours (UTC)", points)


# -- readers ---------------------------------------------------------------------------------


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

    def of(kind: ConsentEvent.Kind) -> list[tuple[str, int]]:
        return [(f"{day:%a %d %b}", counted.get((kind, day), 0)) for day in every]

    return (
        chart("Confirmed, by day", of(Kind.CONFIRMED)),
        chart("Unsubscribed, by day", of(Kind.UNSUBSCRIBED)),
    )


def by_hour(counted: counts.Counted) -> Chart:
    """Return the active readers by the hour at which they read, each in their own zone."""
    found: Counter[int] = Counter()
    for state, _, hour, *_, count in counted.rows:
        found[hour] += count if state == Subscriber.State.ACTIVE else 0
    return chart(
        "Readers by their hour, where they are",
        [(f"{h:02}:00", found[h]) for h in range(24)],
    )


def by_zone(counted: counts.Counted) -> Ranking:
    """Return the zones of most active readers, each with the hours at which most of them read."""
    zones: dict[str, Counter[int]] = {}
    for state, zone, hour, *_, count in counted.rows:
        if state == Subscriber.State.ACTIVE:
            zones.setdefault(zone, Counter())[hour] += count
    rows = [
        (
            f"{zone} ({', '.join(f'{h:02}:00' for h, _ in hours.most_common(3))})",
            hours.total(),
        )
        for zone, hours in zones.items()
    ]
    return ranking("Readers by time zone", "Zone and commonest hours", rows, counted.at)


def by_topic(counted: counts.Counted) -> Ranking:
    """Return the topics that most active readers ticked."""
    return ranking("Readers by topic", "Topic", counted.rows, counted.at)


def by_domain(counted: counts.Counted) -> Ranking:
    """Return the mail domains of most active readers."""
    return ranking("Readers by mail domain", "Domain", counted.rows, counted.at)


def ranking(
    title: str, named: str, rows: Sequence[tuple[str, int]], at: datetime | None
) -> Ranking:
    largest = sorted(rows, key=lambda row: (-row[1], row[0]))[:LONGEST]
    return Ranking(title, named, largest, len(rows) > LONGEST, at)
