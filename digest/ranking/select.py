"""Select the papers of each reader of a slice with one query and one matrix product.

Per reader it builds only the values that the mail needs; numpy does readers × papers.
"""

import logging
import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from django.db import connection
from numpy.typing import NDArray

from digest.editions.compose import Pick, Reader
from digest.editions.reasons import MOST_REASONS, Reason, Why, named
from digest.ranking import ranking
from digest.ranking.loaded import LaidOut
from digest.ranking.matching import ANYBODY, NOBODY, Found, Person, found_in
from digest.sql import id_list
from subscribers.addresses import LONGEST
from subscribers.models import Trending
from subscribers.preferences import CHOSEN

logger = logging.getLogger(__name__)


WHYS = list(Why)
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
    found = found_in(loaded, people)
    result = ranking.rank(
        profiles(loaded, people),
        loaded.papers,
        loaded.popular,
        most=np.array([person.most_papers for person in people], dtype=np.int32),
        matches=found.matches,
        closeness=found.closeness,
        wishes=wishes(people),
        general=loaded.general,
        duplicates=loaded.duplicates,
    )
    places = result.picks * loaded.picks.columns + result.topics + 1
    counts = (result.picks >= 0).sum(axis=1)
    with_names = ((result.reasons > Why.TOPIC) & (result.picks >= 0)[..., None]).any(
        axis=(1, 2)
    )
    if with_names.any():
        found.name_likes(result.picks, result.reasons)
    pick = loaded.picks.__getitem__
    digests = []
    for place, (delivery_id, person, chosen, count) in enumerate(
        zip(delivery_ids, people, places.tolist(), counts.tolist(), strict=True)
    ):
        fault = fault_of(person)
        reader = Reader(
            delivery_id,
            "" if fault else person.email,
            person.unsubscribe_token,
            person.language,
            person.length,
        )
        picks: Sequence[Pick] = list(map(pick, chosen[: 0 if fault else count]))
        if with_names[place]:
            picks = with_reasons(picks, loaded, person, place, found, result.reasons[place])
        digests.append(Digest(reader, picks, fault))
    return digests


def with_reasons(
    picks: Sequence[Pick],
    loaded: LaidOut,
    person: Person,
    place: int,
    found: Found,
    reasons: NDArray[np.int8],
) -> Sequence[Pick]:
    """Return a reader's picks with the names of their reasons; `reasons` is K × 2."""
    done = []
    for pick, codes in zip(picks, reasons.tolist(), strict=False):
        names: dict[str, Reason] = {}
        for code in codes:
            if code > Why.TOPIC:
                name = found.name(loaded, person, (place, pick.position), WHYS[code])
                names.setdefault(name, named(WHYS[code], name))
        topic = pick.topic if len(names) < MOST_REASONS else None
        done.append(Pick(pick.position, topic, tuple(names.values())))
    return done


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


def profiles(loaded: LaidOut, people: Sequence[Person]) -> ranking.Floats:
    """Return the stored profiles, cut or padded to N × T.

    1 is a chosen topic without votes.
    """
    width = loaded.papers.shape[1]
    stored = b"".join([person.profile.ljust(width, b"\0")[:width] for person in people])
    matrix = np.frombuffer(stored, dtype=np.int8).reshape(len(people), width)
    return matrix * np.float32(1 / CHOSEN)
