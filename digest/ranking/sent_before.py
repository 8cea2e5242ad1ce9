"""Which papers of an edition its readers had in another mail: daily, weekly or both.

The ledger knows: a pick of a delivery that was handed over, or may have been. A paper is
one row for all its versions and sources, so the same paper is never sent twice.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, timedelta

from django.db.models import Q, QuerySet

from digest.editions.picks import parse_picks
from digest.models import Block, Delivery, Edition
from digest.sql import among

Kind, State = Edition.Kind, Delivery.State
# The mail may be with the reader, whatever an operator decided about it later.
HANDED_OVER = [State.SUBMITTING, State.ACCEPTED, State.UNKNOWN, State.ABANDONED]
DAYS = {Kind.DAILY: 1, Kind.WEEKLY: 7}


def sent_before(
    edition: Edition, readers: Sequence[int], *, until: datetime | None = None
) -> Iterator[tuple[int, int]]:
    """Yield (subscriber id, position in this edition) of what the readers had before.

    With `until` only mails that were handed over before that instant count. Three queries at most, however many readers, mails and editions there are.
    """
    others = list(sharing(edition).values_list("pk", flat=True))
    if not others:
        return
    found = Delivery.objects.filter(
        edition__in=others, subscriber__in=among(readers), state__in=HANDED_OVER
    )
    if until:
        found = found.filter(intent_at__lt=until)
    rows = list(found.values_list("edition", "subscriber", "picks"))
    if not rows:
        return
    papers = papers_of({edition.pk, *(other for other, _, _ in rows)})
    here = {paper: place for (of, place), paper in papers.items() if of == edition.pk}
    for other, reader, stored in rows:
        for position in positions(stored):
            place = here.get(papers.get((other, position), 0))
            if place is not None and reader is not None:
                yield reader, place


def sharing(edition: Edition) -> QuerySet[Edition]:
    """Select the other editions that can have a paper of this one."""
    first = first_day(Kind(edition.kind), edition.day)
    shared = Q()
    for kind, days in DAYS.items():
        last = edition.day + timedelta(days=days - 1)
        shared |= Q(kind=kind, day__range=(first, last))
    return Edition.objects.filter(shared).exclude(pk=edition.pk)


def first_day(kind: Edition.Kind, day: date) -> date:
    return day - timedelta(days=DAYS[kind] - 1)


def positions(stored: str) -> Iterable[int]:
    found = parse_picks(stored)
    return [pick.position for pick in found.picks] if found else []


def papers_of(editions: Iterable[int]) -> dict[tuple[int, int], int]:
    """Return (edition, position) → the key of its paper."""
    blocks = Block.objects.filter(edition__in=editions)
    rows = blocks.values_list("edition", "position", "paper")
    return {(edition, position): paper for edition, position, paper in rows}
