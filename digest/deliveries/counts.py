"""Counts of large tables for pages: exact while they are small, else as a worker last counted.

To count a million rows takes longer than a page may. So a worker counts large editions and all
readers from time to time and stores what it found; a page reads that, with its instant, and
counts by itself only what is not stored because it is small.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain
from typing import Any

from django.db.models import Count, Value
from django.db.models.functions import StrIndex, Substr

from digest.models import Delivery, Edition, StoredCount, folded
from subscribers.models import Subscriber, Subscription

SMALL = 20_000  # rows that a page counts in some milliseconds
MOVING = timedelta(seconds=25)  # what changes is counted again after this
SETTLED = timedelta(hours=1)  # and this: a report or an operator may still change it
NEW = timedelta(days=4)  # after which nothing of an edition comes due any more
MOST_DOMAINS = 100
NEWEST = 14  # editions that pages list
MOVING_STATES = {"pending", "claimed", "submitting", "unknown"}


@dataclass(frozen=True)
class Counted:
    """Rows of counts, and when a worker counted them; None: just now."""

    rows: Sequence[tuple[Any, ...]]
    at: datetime | None = None


def of_editions(ids: Sequence[int]) -> dict[int, Counted]:
    """Return (state, reason, deliveries) of each edition, by its id, in three queries."""
    names = {name_of(pk): pk for pk in ids}
    found = {
        names[one.name]: stored(one) for one in StoredCount.objects.filter(pk__in=names)
    }
    missing = [pk for pk in ids if pk not in found]
    return found | {pk: Counted(rows) for pk, rows in count_editions(missing).items()}


def readers(name: str = "readers") -> Counted:
    """Return the counts of READERS by this name."""
    if one := StoredCount.objects.filter(pk=name).first():
        return stored(one)
    return Counted(READERS[name]())


def stored(one: StoredCount) -> Counted:
    return Counted([tuple(row) for row in json.loads(one.counts)], one.counted_at)


def name_of(edition_id: int) -> str:
    return f"edition {edition_id}"


def count_editions(ids: Sequence[int]) -> dict[int, list[tuple[str, str, int]]]:
    rows = Delivery.objects.filter(edition__in=ids).order_by()
    grouped = rows.values_list("edition_id", "state", "reason").annotate(Count("pk"))
    found: dict[int, Counter[tuple[str, str]]] = {pk: Counter() for pk in ids}
    for edition_id, state, reason, count in chain(grouped, folded.counted(ids)):
        found[edition_id][state, reason] += count
    return {
        pk: [(*what, count) for what, count in counted.items()]
        for pk, counted in found.items()
    }


def count_readers() -> list[tuple[Any, ...]]:
    """Return (state, zone, hour, days, cadence, readers), for each combination."""
    when = [f"schedule__{name}" for name in ("timezone", "send_hour", "days", "cadence")]
    rows = Subscriber.objects.order_by().values_list("state", *when)
    return list(rows.annotate(Count("pk")))


def count_topics() -> list[tuple[Any, ...]]:
    """Return (topic, active readers who ticked it)."""
    active = Subscription.objects.filter(subscriber__state=Subscriber.State.ACTIVE)
    return list(active.order_by().values_list("topic__label").annotate(Count("pk")))


def count_domains() -> list[tuple[Any, ...]]:
    """Return (domain of the address, active readers) of the commonest domains."""
    domain = Substr("email", StrIndex("email", Value("@")) + 1)
    active = Subscriber.objects.filter(state=Subscriber.State.ACTIVE)
    found = active.values_list(domain).annotate(readers=Count("pk"))
    return list(found.order_by("-readers")[:MOST_DOMAINS])


READERS: dict[str, Callable[[], list[tuple[Any, ...]]]] = {
    "readers": count_readers,
    "topics": count_topics,
    "domains": count_domains,
}


# -- the worker's part -----------------------------------------------------------------------


def refresh(now: datetime) -> None:
    """Count again what is large and may have changed. Safe to run twice, or at once."""
    if is_large(Subscriber.objects.order_by()):
        for name, count in READERS.items():
            if is_old(name, now, MOVING * 10 if name == "readers" else SETTLED):
                store(name, count(), now)
    else:
        StoredCount.objects.filter(pk__in=READERS).delete()
    newest = Edition.objects.order_by("-day", "kind").values_list("pk", flat=True)[:NEWEST]
    for pk in newest:
        if is_large(Delivery.objects.filter(edition=pk).order_by()):
            if is_old(name_of(pk), now, MOVING if is_moving(pk, now) else SETTLED):
                store(name_of(pk), count_editions([pk])[pk], now)
        else:
            StoredCount.objects.filter(pk=name_of(pk)).delete()


def is_large(rows: Any) -> bool:
    """Return whether there are more rows than a page may count; it looks at no more."""
    return bool(rows.values("pk")[SMALL : SMALL + 1].exists())


def is_old(name: str, now: datetime, after: timedelta) -> bool:
    fresh = StoredCount.objects.filter(pk=name, counted_at__gt=now - after)
    return not fresh.filter(counted_at__lte=now + after).exists()


def is_moving(edition_id: int, now: datetime) -> bool:
    """Return whether something of it was open when it was counted, or may have come due since."""
    one = StoredCount.objects.filter(pk=name_of(edition_id)).first()
    if one is None or MOVING_STATES & {state for state, *_ in json.loads(one.counts)}:
        return True
    is_new = Edition.objects.filter(pk=edition_id, published_at__gt=now - NEW).exists()
    return is_new and Delivery.objects.filter(is_open=True).exists()


def store(name: str, rows: Iterable[tuple[Any, ...]], now: datetime) -> None:
    StoredCount.objects.update_or_create(
        pk=name, defaults={"counts": json.dumps(list(rows)), "counted_at": now}
    )
