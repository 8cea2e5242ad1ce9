"""How one paper of an edition stands with one reader, in the terms of the ranking.

It asks the same functions as `select`, for one reader and without a limit, so that what
they would say of each paper can be read off. Nothing is written.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

import numpy as np

from digest.editions.reasons import Why
from digest.ranking import ranking
from digest.ranking.loaded import LaidOut
from digest.ranking.matching import Found, Person, found_in, items, texts_of
from digest.ranking.select import drafted, profiles, reader_now


class Verdict(StrEnum):
    """What keeps a paper out of a reader's digest, or does not."""

    PICKED = "picked"
    BEHIND = "behind"  # it matches, but as many papers as the reader wants match better
    NO_MATCH = "no match"
    MUTED = "muted"
    HAD = "had"  # it was in an earlier mail
    ALIKE = "alike"  # another paper that says the same was picked


class Term(NamedTuple):
    """A part of a score: what it is for, what it names, and its points."""

    why: Why
    name: str
    points: float


@dataclass(frozen=True)
class Standing:
    """Where a paper stands; `place` from 1, and 0 for a paper that is not in the order."""

    verdict: Verdict
    place: int
    matching: int  # papers of the edition that match
    most: int  # papers that the reader gets at most
    terms: Sequence[Term]
    score: float  # -inf for a paper that does not match
    cut: float  # the score of the last paper that comes; -inf if none does
    name: str = ""  # who is muted, or the title of the paper that is alike
    closeness: float = -np.inf  # to the nearest of the reader's written interests
    interest: str = ""  # which one
    least: float = 0  # from which closeness to it on a paper of the edition matches


def standing(
    laid: LaidOut, subscriber_id: int, position: int, *, until: datetime | None = None
) -> Standing:
    """Return how the paper at a position stands with a reader, by their row as it is now.

    With `until` only what they had before that instant counts as had.
    """
    person = reader_now(subscriber_id)
    found = found_in(laid, [person], until=until)
    most = max(person.most_papers, 0)
    everything = order_of(laid, person, found, len(laid.papers), wished=False)
    mail = order_of(laid, person, found, most, wished=True)
    order, picked = places(everything), places(mail)
    score = (
        float(everything.scores[0, order.index(position)]) if position in order else -np.inf
    )
    verdict, name = judged(laid, person, found, position, picked, order)
    closeness, interest, least = nearest_interest(found, person, position)
    last = mail.scores[0, len(picked) - 1] if picked else -np.inf
    in_order = picked if position in picked else order
    return Standing(
        verdict=verdict,
        place=in_order.index(position) + 1 if position in in_order else 0,
        matching=len(order),
        most=most,
        terms=terms(laid, person, found, position, score),
        score=score,
        cut=float(last) if last > -ranking.BELOW_ALL / 2 else -np.inf,  # no mere filler
        name=name,
        closeness=closeness,
        interest=interest,
        least=least,
    )


def order_of(
    laid: LaidOut, person: Person, found: Found, most: int, *, wished: bool
) -> ranking.Ranked:
    count = np.array([most], dtype=np.int32)
    ranked, _ = drafted(laid, [person], found, count, wished=wished)
    return ranked


def places(ranked: ranking.Ranked) -> list[int]:
    return [place for place in ranked.picks[0].tolist() if place >= 0]


def judged(
    laid: LaidOut,
    person: Person,
    found: Found,
    position: int,
    picked: Sequence[int],
    order: Sequence[int],
) -> tuple[Verdict, str]:
    """Return the verdict and the name that it is about, if any."""
    if position in picked:
        return Verdict.PICKED, ""
    if muted := muted_name(laid, person, position):
        return Verdict.MUTED, muted
    if found.matches is not None and found.matches.left_out[0, position]:
        return Verdict.HAD, ""
    if position in order:
        return Verdict.BEHIND, ""
    if laid.duplicates is not None:
        for other in order:
            if laid.duplicates[position, other]:
                return Verdict.ALIKE, laid.titles[other]
    return Verdict.NO_MATCH, ""


def muted_name(laid: LaidOut, person: Person, position: int) -> str:
    """Return the muted author or institution of a paper, as the paper has it, or ''."""
    muted = items(person.muted_authors)
    if muted and (author := laid.lexicon.author_of(position, muted)):
        return author
    for name in items(person.muted_institutions):
        if position in laid.lexicon.from_institution(name):
            return laid.institutions[position]
    return ""


def nearest_interest(
    found: Found, person: Person, position: int
) -> tuple[float, str, float]:
    """Return a paper's closeness to the reader's nearest interest, which, and the least."""
    if found.closeness is None or not found.interests:
        return -np.inf, "", 0
    closeness = float(found.closeness.written[0, position])
    if closeness == -np.inf:
        return closeness, "", 0
    texts = texts_of(person.interests, person.keywords)
    (which,) = found.nearest_interests(np.array([0]), np.array([position]))
    ((least,),) = ranking.least_close(found.interests[which]).tolist()
    return closeness, texts[which], least


def terms(
    laid: LaidOut, person: Person, found: Found, position: int, score: float
) -> list[Term]:
    """Return the parts of a paper's score, the greatest first; popularity is the rest."""
    pair = (0, position)
    profile = profiles(laid, [person])[0]
    some = [
        Term(Why.TOPIC, laid.labels[column][1], float(points))
        for column, points in enumerate(profile * laid.papers[position])
        if points
    ]
    if found.matches is not None:
        some += [
            Term(why, name_of(laid, person, found, why, position), float(weight))
            for why, (which, weight) in found.matches.weighed(ranking.USUAL).items()
            if which[pair]
        ]
    if found.closeness is not None:
        closeness, interest, _ = nearest_interest(found, person, position)
        if closeness > 0:
            some.append(
                Term(Why.WRITTEN, interest, closeness / float(ranking.LIKE_A_TOPIC))
            )
        if liked := float(found.closeness.liked_points()[pair]):
            some.append(Term(Why.LIKED, "", liked / float(ranking.LIKE_A_TOPIC)))
    if np.isfinite(score):
        rest = score - sum(term.points for term in some)
        some.append(Term(Why.TRENDING, "", rest))
    return sorted(some, key=lambda term: -term.points)


def name_of(laid: LaidOut, person: Person, found: Found, why: Why, position: int) -> str:
    """Return what a reason of a paper names."""
    here = np.array([0]), np.array([position])
    names, which = found.names(laid, [person], why, *here)
    return names[int(which[0])]
