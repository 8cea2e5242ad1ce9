"""Select the papers of each reader of a slice with one query and one matrix product.

Per reader it builds only the values that the mail needs; numpy does readers × papers.
"""

import logging
import re
from collections.abc import Sequence
from functools import partial
from itertools import pairwise, repeat
from operator import add
from typing import NamedTuple

import numpy as np
from django.db import connection
from numpy.typing import NDArray

from digest.editions.compose import Pick, Reader
from digest.editions.reasons import Reason, Why, named
from digest.ranking import directions, ranking
from digest.ranking.interleaving import TEAMS, VARIANTS, interleaved
from digest.ranking.loaded import LaidOut
from digest.ranking.matching import ANYBODY, NOBODY, Found, Person, found_in
from digest.ranking.projections import current
from digest.sql import id_list
from subscribers.addresses import LONGEST
from subscribers.models import Subscriber, Trending
from subscribers.preferences import CHOSEN

logger = logging.getLogger(__name__)


UNREADABLE = "the reader's row cannot be read"
# Accepted as exactly one address by headers, an envelope and a provider's API. Forms accept
# less; the transport handles letters beyond ASCII.
ADDRESS = re.compile(r"[^\s\x00-\x1f\x7f()<>\[\],:;@\\\"]+@[^\s\x00-\x1f\x7f()<>,:;@\\\"]+")
TOKEN = re.compile(r"[A-Za-z0-9_-]{1,22}")


class Digest(NamedTuple):
    """One reader's picks of an edition, for the delivery that `reader` names.

    `fault` explains why no mail can be made for the reader; then there are no picks.
    """

    reader: Reader
    picks: Sequence[Pick]
    fault: str = ""


def select(loaded: LaidOut, owed: Sequence[tuple[int, int | None]]) -> Sequence[Digest]:
    """Rank the slice; return a digest per (delivery id, subscriber id), in order.

    An erased subscriber (id None or unknown) has an empty address and no picks.
    """
    people = readers([subscriber_id or 0 for _, subscriber_id in owed])
    return sound(loaded, [pk for pk, _ in owed], people)


def select_now(loaded: LaidOut, delivery_id: int, subscriber_id: int) -> Digest:
    """Rank one reader, whom somebody looks at, as `select` will after the next tick."""
    (digest,) = sound(loaded, [delivery_id], [reader_now(subscriber_id)])
    return digest


def sound(
    loaded: LaidOut, delivery_ids: Sequence[int], people: Sequence[Person]
) -> Sequence[Digest]:
    """Rank people; a row that cannot be read gets a fault and stops no other row.

    On an error the slice is halved until one row is left. Raises an error that the sample
    reader ANYBODY meets too, as no row causes it.
    """
    try:
        return ranked(loaded, delivery_ids, people)
    except Exception as error:
        if len(people) == 1:
            ranked(loaded, delivery_ids, [ANYBODY])
            name = type(error).__name__
            logger.error("delivery %d: %s (%s)", *delivery_ids, UNREADABLE, name)
            return [Digest(Reader(delivery_ids[0], "", ""), (), UNREADABLE)]
    half = len(people) // 2
    return [
        *sound(loaded, delivery_ids[:half], people[:half]),
        *sound(loaded, delivery_ids[half:], people[half:]),
    ]


def ranked(
    loaded: LaidOut, delivery_ids: Sequence[int], people: Sequence[Person]
) -> Sequence[Digest]:
    if not loaded.titles:  # an announcement
        return [
            Digest(mail_reader(pk, person, fault), (), fault)
            for pk, person in zip(delivery_ids, people, strict=True)
            for fault in [fault_of(person)]
        ]
    found = found_in(loaded, people)
    most = np.array([person.most_papers for person in people], dtype=np.int32)
    result, teams = drafted(loaded, people, found, most)
    picks = picks_of(loaded, people, found, result, teams)
    ends = (result.picks >= 0).sum(axis=1).cumsum().tolist()
    digests = []
    for delivery_id, person, (begin, end) in zip(
        delivery_ids, people, pairwise([0, *ends]), strict=True
    ):
        fault = fault_of(person)
        reader = mail_reader(delivery_id, person, fault)
        digests.append(Digest(reader, [] if fault else picks[begin:end], fault))
    return digests


def mail_reader(delivery_id: int, person: Person, fault: str) -> Reader:
    """Return what the mail needs of a person; no address if there is a fault."""
    return Reader(
        delivery_id,
        "" if fault else person.email,
        person.unsubscribe_token,
        person.language,
        person.length,
    )


def drafted(
    loaded: LaidOut,
    people: Sequence[Person],
    found: Found,
    most: ranking.Ints,
    *,
    wished: bool = True,
) -> tuple[ranking.Ranked, NDArray[np.int8] | None]:
    """Rank N readers, and draft from a variant's ranking where the edition has one.

    Returns the teams of the picks (N × K) as well, or None. `wished` adds the trending papers
    that readers wish for.
    """
    ranking_by = partial(
        ranking.rank,
        profiles(loaded, people),
        loaded.papers,
        loaded.popular,
        most=most,
        matches=found.matches,
        closeness=found.closeness,
        wishes=wishes(people) if wished else None,
        general=loaded.general,
        duplicates=loaded.duplicates,
    )
    variant = VARIANTS.get(loaded.edition.variant)
    if variant is None:
        return ranking_by(), None
    seeds = [f"{loaded.edition.pk} {person.id}" for person in people]
    other = ranking_by(tuning=variant)
    return interleaved(ranking_by(), other, most, seeds, loaded.duplicates)


def picks_of(
    loaded: LaidOut,
    people: Sequence[Person],
    found: Found,
    result: ranking.Ranked,
    teams: NDArray[np.int8] | None,
) -> list[Pick]:
    """Return the picks of all readers, one reader after the other."""
    taken = result.picks >= 0
    papers, topics = result.picks[taken], result.topics[taken]
    if (reasons := named_reasons(loaded, people, found, result, taken)) is None:
        places = papers * loaded.picks.columns + topics + 1
        picks = list(map(loaded.picks.__getitem__, places.tolist()))
    else:
        topics[[len(some) > 1 for some in reasons]] = -1
        columns = [*range(loaded.papers.shape[1]), None]  # the last one stands for -1
        shown = map(columns.__getitem__, topics.tolist())
        rows = zip(papers.tolist(), shown, reasons, repeat(""))
        picks = list(map(tuple.__new__, repeat(Pick), rows))
    if teams is None:
        return picks
    return [
        pick._replace(team=TEAMS[team])
        for pick, team in zip(picks, teams[taken].tolist(), strict=True)
    ]


def named_reasons(
    loaded: LaidOut,
    people: Sequence[Person],
    found: Found,
    result: ranking.Ranked,
    taken: ranking.Bools,
) -> list[tuple[Reason, ...]] | None:
    """Return the reasons of each pick taken (N × K) that name something; None if none does.

    A topic is the pick's column instead.
    """
    codes, papers = result.reasons[taken], result.picks[taken]
    if not (codes > Why.TOPIC).any():
        return None
    readers = taken.nonzero()[0]
    some: list[tuple[Reason, ...]] = [()]
    which = np.zeros(codes.shape, dtype=np.intp)
    for why in [Why(code) for code in np.unique(codes).tolist() if code > Why.TOPIC]:
        places, nth = (codes == why).nonzero()
        names, of = found.names(loaded, people, why, readers[places], papers[places])
        which[places, nth] = of + len(some)
        some += [(named(why, name),) for name in names]
    first, second = (list(map(some.__getitem__, each)) for each in which.T.tolist())
    for place in which.all(axis=1).nonzero()[0].tolist():
        if first[place][0].name == second[place][0].name:
            second[place] = ()
    return list(map(add, first, second))


def wishes(people: Sequence[Person]) -> ranking.Wishes:
    """Return who wants trending papers."""
    wanted = np.array([person.trending for person in people], dtype=np.int32)
    return ranking.Wishes(wanted == Trending.TO_FILL_UP, wanted == Trending.HALF)


def fault_of(person: Person) -> str:
    """Return why the reader can get no mail, or ''. Raises TypeError for non-text."""
    if person is NOBODY:
        return ""
    if not ADDRESS.fullmatch(person.email) or len(person.email) > LONGEST:
        return "the reader's address cannot be written to"
    if not TOKEN.fullmatch(person.unsubscribe_token):
        return "the reader's link to unsubscribe is broken"
    return ""


def readers(ids: Sequence[int]) -> list[Person]:
    """Return a row per id, in order; NOBODY for a missing one.

    Plain rows cost less than model objects.
    """
    chosen, values = id_list(ids)
    sql = (
        f"SELECT {', '.join(Person._fields)} FROM subscribers_subscriber WHERE id {chosen}"  # noqa: S608
    )
    with connection.cursor() as cursor:
        cursor.execute(sql, [values])
        found = {row[0]: Person._make(row) for row in cursor.fetchall()}
    return [found.get(pk, NOBODY) for pk in ids]


def reader_now(pk: int) -> Person:
    """Return a reader's row, with the directions that the tick may have yet to compute.

    Nothing is stored.
    """
    (person,) = readers([pk])
    if person.directions is not None or not (
        row := Subscriber.objects.filter(pk=pk).first()
    ):
        return person
    return person._replace(directions=directions.compute(row, current()))


def profiles(loaded: LaidOut, people: Sequence[Person]) -> ranking.Floats:
    """Return the stored profiles, cut or padded to N × T.

    1 is a chosen topic without votes.
    """
    width = loaded.papers.shape[1]
    stored = b"".join([person.profile.ljust(width, b"\0")[:width] for person in people])
    matrix = np.frombuffer(stored, dtype=np.int8).reshape(len(people), width)
    return matrix * np.float32(1 / CHOSEN)
