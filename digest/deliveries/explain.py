"""Why a reader got a paper, or did not: one answer for them, the console and the command.

What went out is read from the ledger. What did not is judged by the ranking, with the
frozen edition and the reader's row as it is now; the answer says so. Reads only.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from django.utils.translation import gettext, ngettext

from digest.deliveries.replay import NothingToShow, Rebuilt, rebuild
from digest.editions import phrases
from digest.editions.compose import Reader, picks_that_fit
from digest.editions.encode import encode
from digest.editions.frames import days
from digest.editions.reasons import Why
from digest.models import Delivery, Edition, Paper, folded
from digest.papers.search_query import PAPER_ID
from digest.ranking.loaded import lay_out
from digest.ranking.sent_before import HANDED_OVER
from digest.ranking.standing import Standing, Term, Verdict, standing
from subscribers.models import Subscriber

State = Delivery.State
MOST_FOUND = 8
SHORTEST_TITLE = 3  # characters typed of one
# A mail that has this many papers or fewer has always room for them.
SURE_OF_ROOM = 3


@dataclass(frozen=True)
class Explanation:
    """The answer: what to say, and an edition that has the paper if this one has not."""

    lines: Sequence[str]
    elsewhere: Edition | None = None


def explain(reader: Subscriber, edition: Edition, paper: Paper) -> Explanation:
    """Explain a paper's absence from, or place in, a reader's mail of an edition."""
    block = edition.blocks.filter(paper=paper).first()
    if block is None:
        line = gettext("It is not in the edition of %(day)s.") % {"day": day_of(edition)}
        return Explanation([line], edition_with(paper))
    row = folded.of(edition, reader.pk)
    sent = rebuilt(row)
    if row and sent and row.state in HANDED_OVER:
        order = [pick.position for pick in sent.was.picks]
        if block.position in order:
            return Explanation(list(in_mail(sent, order.index(block.position) + 1)))
    until = row.intent_at if row else None
    found = standing(lay_out(edition.pk), reader.pk, block.position, until=until)
    lines = [*what_became_of(row, edition), *judgement(found, sent), *score(found)]
    return Explanation(lines)


def rebuilt(row: Delivery | None) -> Rebuilt | None:
    try:
        return rebuild(row) if row else None
    except NothingToShow:
        return None


def in_mail(sent: Rebuilt, place: int) -> Iterator[str]:
    """Yield where the paper was in a mail that was handed over, and for what reasons."""
    pick = sent.shown()[place - 1]
    yield gettext(
        "It is number %(place)d of %(count)d in your mail of %(day)s. The reason: %(why)s."
    ) % {
        "place": place,
        "count": len(sent.was.picks),
        "day": day_of(sent.delivery.edition),
        "why": phrases.reason(pick.label, pick.reasons),
    }
    if place > (room := shown_in(sent)):
        yield ngettext(
            "That mail had room for %(n)d paper only, and a link to the others.",
            "That mail had room for %(n)d papers only, and a link to the others.",
            room,
        ) % {"n": room}
    if sent.delivery.state in (State.UNKNOWN, State.ABANDONED):
        yield gettext("We do not know whether that mail arrived.")


def shown_in(sent: Rebuilt) -> int:
    """Return for how many papers the mail had room."""
    picks, edition = sent.was.picks, sent.delivery.edition
    if len(picks) <= SURE_OF_ROOM:
        return len(picks)
    blocks = list(edition.blocks.order_by("position"))
    encoded = encode(edition, blocks, around=sent.around)
    to = Reader(sent.delivery.pk, "", "", sent.was.language, sent.was.length)
    return len(picks_that_fit(encoded.localized_for(to), picks))


def what_became_of(row: Delivery | None, edition: Edition) -> Iterator[str]:
    """Yield what became of the edition's mail to the reader, unless it went out."""
    day = {"day": day_of(edition)}
    if row is None:
        yield gettext("No mail of the edition of %(day)s was due to you.") % day
    elif row.state in (State.PENDING, State.CLAIMED):
        yield gettext("Your mail of %(day)s has not gone out yet.") % day
    elif row.state not in HANDED_OVER and row.reason != Delivery.Reason.NO_PAPER:
        why = NOT_SENT.get(row.reason, refused_or_lost)(row.state)
        yield gettext("No mail of %(day)s went to you: %(reason)s.") % (
            day | {"reason": why}
        )


def refused_or_lost(state: str) -> str:
    if state == State.REFUSED:
        return gettext("it was refused on the way")
    return gettext("it could not be sent")


NOT_SENT: dict[str, Callable[[str], str]] = {
    Delivery.Reason.LEFT: lambda _: gettext("you were not subscribed then"),
    Delivery.Reason.SUPERSEDED: lambda _: gettext("a newer edition went out instead"),
    Delivery.Reason.MISSED: lambda _: gettext("the mail of what you missed went instead"),
    Delivery.Reason.CANCELLED: lambda _: gettext("that edition was cancelled"),
    Delivery.Reason.TOO_LATE: lambda _: gettext("it would have come too late"),
}


def judgement(found: Standing, sent: Rebuilt | None) -> Iterator[str]:
    """Yield what the ranking says of a paper that was not in the mail."""
    named = {"name": found.name}
    match found.verdict:
        case Verdict.MUTED:
            yield gettext("You muted %(name)s, so it never comes.") % named
        case Verdict.HAD:
            yield gettext("You had it already in an earlier mail; no paper comes twice.")
        case Verdict.ALIKE:
            words = gettext(
                "It says nearly the same as “%(name)s”, and only one of them comes."
            )
            yield words % named
        case Verdict.NO_MATCH:
            yield gettext("It matches nothing in your preferences as they are now.")
        case Verdict.PICKED:
            words = gettext(
                "By your preferences as they are now it is number %(place)d of your mail."
            )
            yield words % {"place": found.place}
            if sent:
                yield gettext("They have changed since, or your votes have.")
        case Verdict.BEHIND:
            yield gettext(
                "By your preferences as they are now it is number %(place)d of the"
                " %(matching)d papers that match; you get %(most)d at most."
            ) % {"place": found.place, "matching": found.matching, "most": found.most}
    if found.verdict is Verdict.NO_MATCH and np.isfinite(found.closeness):
        yield gettext(
            "Its closeness to “%(name)s” is %(points).1f; a paper matches from %(least).1f on,"
            " in standard deviations."
        ) % {"name": found.interest, "points": found.closeness, "least": found.least}


def score(found: Standing) -> Iterator[str]:
    """Yield the points of a paper and what they are for, and those of the last that comes."""
    parts = [f"{term_words(term)} {term.points:.2f}" for term in found.terms]
    if parts:
        yield gettext("Its points: %(parts)s.") % {"parts": "; ".join(parts)}
    if np.isfinite(found.score) and np.isfinite(found.cut):
        yield gettext("Together %(score).2f; the last paper that comes has %(cut).2f.") % {
            "score": found.score,
            "cut": found.cut,
        }


TERMS = {
    Why.TOPIC: lambda: gettext("topic %(name)s"),
    Why.AUTHOR: lambda: gettext("by %(name)s"),
    Why.INSTITUTION: lambda: gettext("from %(name)s"),
    Why.KEYWORD: lambda: gettext("mentions “%(name)s”"),
    Why.SEARCH: lambda: gettext("your search “%(name)s”"),
    Why.WRITTEN: lambda: gettext("closeness to “%(name)s”"),
    Why.LIKED: lambda: gettext("closeness to your votes"),
    Why.TRENDING: lambda: gettext("popularity"),
}


def term_words(term: Term) -> str:
    """Return what a part of a score is for; a topic's label is in the catalogue, too."""
    name = gettext(term.name) if term.why is Why.TOPIC else term.name
    return phrases.reason_words(TERMS[term.why](), name)


def day_of(edition: Edition) -> str:
    """Return the edition's day, or its days, in words."""
    return phrases.dates(*days(edition))[0]


def edition_with(paper: Paper) -> Edition | None:
    """Return the first daily edition that has a paper."""
    daily = Edition.objects.filter(kind=Edition.Kind.DAILY, blocks__paper=paper)
    return daily.order_by("day").first()


def named_paper(text: str, edition: Edition) -> Sequence[Paper]:
    """Return the papers that an arXiv id, a link or part of a title names, best first.

    Those of the edition come first; at most MOST_FOUND.
    """
    typed = " ".join(text.replace("\0", "").split())
    papers = Paper.objects.order_by("-day", "pk")
    if found := PAPER_ID.search(typed):
        return list(papers.filter(arxiv_id=found[1].lower()))
    if len(typed) < SHORTEST_TITLE:
        return []
    here = papers.filter(blocks__edition=edition, title__icontains=typed)
    exact = papers.filter(title__iexact=typed)
    some = [*exact[:MOST_FOUND], *here[:MOST_FOUND]]
    some = some or list(papers.filter(title__icontains=typed)[:MOST_FOUND])
    return list(dict.fromkeys(some))[:MOST_FOUND]
