"""Which papers of an edition its readers had in another mail, of whichever kind.

The ledger knows: a pick of a delivery that was handed over, or may have been. A paper is
one row for all its versions and sources, so the same paper is never sent twice.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from django.db.models import Max, Q, QuerySet

from digest.editions.picks import parse_picks
from digest.models import Block, Delivery, Edition, folded
from digest.models.editions import DAYS
from digest.sql import among

State, Reason = Delivery.State, Delivery.Reason
# The mail may be with the reader, whatever an operator decided about it later.
HANDED_OVER = [State.SUBMITTING, State.ACCEPTED, State.UNKNOWN, State.ABANDONED]


def sent_before(
    edition: Edition, readers: Sequence[int], *, until: datetime | None = None
) -> Iterator[tuple[int, int]]:
    """Yield (subscriber id, position in this edition) of what the readers had before.

    Of what was missed also the papers of days before, for which they had a mail. With
    `until` only mails that were handed over before that instant count. There are as many
    queries for a thousand readers, mails and editions as for one.
    """
    if edition.kind == Edition.Kind.MISSED:
        yield from of_days_with_a_mail(edition, readers, until)
    shared = dict(sharing(edition).values_list("pk", "folded_at"))
    if not shared:
        return
    others, old = list(shared), [pk for pk, at in shared.items() if at]
    found = Delivery.objects.filter(
        edition__in=others, subscriber__in=among(readers), state__in=HANDED_OVER
    )
    if until:
        found = found.filter(intent_at__lt=until)
    rows = [
        *found.values_list("edition", "subscriber", "picks"),
        *old_mails(old, readers, until),
    ]
    if not rows:
        return
    papers = papers_of({edition.pk, *(other for other, _, _ in rows)})
    here = {paper: place for (of, place), paper in papers.items() if of == edition.pk}
    for other, reader, stored in rows:
        for position in positions(stored):
            place = here.get(papers.get((other, position), 0))
            if place is not None and reader is not None:
                yield reader, place


def of_days_with_a_mail(
    edition: Edition, readers: Sequence[int], until: datetime | None
) -> Iterator[tuple[int, int]]:
    """Yield (subscriber id, position) of papers up to the day of the reader's last mail.

    A day for which the ranking found nothing counts as one with a mail.
    """
    days = (edition.first_day, edition.day)
    others = Edition.objects.of_papers().filter(day__range=days).exclude(pk=edition.pk)
    known = dict(others.values_list("pk", "folded_at"))
    had = Delivery.objects.filter(
        Q(state__in=HANDED_OVER) | Q(reason=Reason.NO_PAPER),
        edition__in=list(known),
        subscriber__in=among(readers),
    )
    if until:
        had = had.filter(Q(intent_at__lt=until) | Q(intent_at=None, outcome_at__lt=until))
    last = dict(had.values_list("subscriber").annotate(Max("edition__day")))
    for row in folded.folded([pk for pk, at in known.items() if at], readers):
        at = row.intent_at or row.outcome_at
        is_mail = row.state in HANDED_OVER or row.reason == Reason.NO_PAPER
        if is_mail and (until is None or at and at < until):
            day = last.get(row.subscriber_id, row.edition.day)
            last[row.subscriber_id] = max(day, row.edition.day)
    blocks = list(edition.blocks.order_by().values_list("position", "paper__day"))
    for reader, day in last.items():
        if reader is not None:
            yield from ((reader, place) for place, of in blocks if of <= day)


def old_mails(
    editions: Sequence[int], readers: Sequence[int], until: datetime | None
) -> list[tuple[int, int | None, str]]:
    """Return the folded mails: only an old edition, which somebody asks about, has some near."""
    return [
        (row.edition_id, row.subscriber_id, row.picks)
        for row in folded.folded(editions, readers)
        if row.state in HANDED_OVER
        and (until is None or row.intent_at and row.intent_at < until)
    ]


def sharing(edition: Edition) -> QuerySet[Edition]:
    """Select the other editions that can have a paper of this one."""
    shared = Q()
    for kind, days in DAYS.items():
        last = edition.day + timedelta(days=days - 1)
        shared |= Q(kind=kind, day__range=(edition.first_day, last))
    return Edition.objects.filter(shared).exclude(pk=edition.pk)


def positions(stored: str) -> Iterable[int]:
    found = parse_picks(stored)
    return [pick.position for pick in found.picks] if found else []


def papers_of(editions: Iterable[int]) -> dict[tuple[int, int], int]:
    """Return (edition, position) → the key of its paper."""
    blocks = Block.objects.filter(edition__in=editions)
    rows = blocks.values_list("edition", "position", "paper")
    return {(edition, position): paper for edition, position, paper in rows}
