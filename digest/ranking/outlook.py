"""What a reader would have got in the last days, from preferences that nobody has stored.

The days are laid out once per process and edition; then a reader costs some milliseconds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain

import numpy as np

from digest.models import Block, Edition, Paper
from digest.papers.search_match import SearchedPapers
from digest.ranking import interests, ranking, sentences
from digest.ranking.directions import interests_of
from digest.ranking.interests import Lexicon, phrases
from digest.ranking.projections import PointsByVersion, current
from subscribers.models import Schedule, Topic
from subscribers.preferences import Preferences

DAYS = 30
SHOWN = 3
RARE = DAYS // 3  # on fewer days than this a weekly mail is the better offer


@dataclass(frozen=True)
class Outlook:
    """The best papers of the newest day, and how many matched on how many of `days` days."""

    newest: Sequence[Paper]
    matched: bool  # whether those papers match the interests
    papers: int
    days_with: int
    days: int
    nearest: bool  # whether the nearest paper comes on the other days
    weekly: bool  # one mail brings the best of seven days
    unknown: Sequence[str]  # interests of which no word is known
    unwanted: Sequence[str]  # parts that say what is not wanted, and are not read
    general: bool  # nothing of what was written is understood: the most upvoted papers come

    @property
    def a_day(self) -> int:
        """Return the papers per day that has any, rounded."""
        return int(self.papers / self.days_with + 0.5) if self.days_with else 0

    @property
    def rare(self) -> bool:
        """Return whether most days are in vain, for who gets a mail for each."""
        return not self.weekly and self.days_with * DAYS < RARE * self.days


@dataclass(frozen=True, eq=False)
class Day:
    """One edition's papers, laid out for the ranking."""

    papers: Sequence[Paper]
    topics: ranking.Floats  # P × topics, in the order of `Month.slugs`
    popular: ranking.Floats
    points: PointsByVersion
    lexicon: Lexicon
    searched: SearchedPapers


@dataclass(frozen=True, eq=False)
class Month:
    slugs: Sequence[str]
    days: Sequence[Day]  # newest first


def outlook(preferences: Preferences) -> Outlook | None:
    """Return what these preferences would have brought; None where nothing is published."""
    editions = Edition.objects.filter(kind=Edition.Kind.DAILY).order_by("-day")
    month = laid_out(tuple(editions.values_list("pk", flat=True)[:DAYS]))
    if not month.days:
        return None
    encode = sentences.encode()
    texts = interests_of(preferences.interests, preferences.keywords)
    projection = current()
    parts = [interests.wanted(text) for text in texts]
    found = [projection.interest(text, encode) for text, _ in parts]
    wanted = np.array([[slug in preferences.topics for slug in month.slugs]], np.float32)
    general = not (wanted.any() or any(found) or preferences.searches)
    counts, newest, matched = [], [], False
    for day in month.days:
        points = day.points[projection.version]
        scores = [one.score(points) for one in found if one and points is not None]
        written = np.max(scores, axis=0) if scores else np.full(len(day.papers), -np.inf)
        close = ranking.close_ones(np.array(scores)).any(axis=0) if scores else written > 0
        named = list(day.lexicon.by(preferences.watched_authors))
        named += chain(*day.lexicon.from_each(preferences.watched_institutions))
        for phrase in [*preferences.keywords, *phrases(preferences.interests)]:
            named += day.lexicon.with_phrase(phrase)
        for text in preferences.searches:
            named += day.searched.hits(text)
        fits = ((wanted @ day.topics.T)[0] > 0) | close
        if general:
            fits[:] = True
        fits[named] = True
        muted = list(day.lexicon.by(preferences.muted_authors))
        muted += chain(*day.lexicon.from_each(preferences.muted_institutions))
        fits[muted] = False
        counts.append(min(int(fits.sum()), preferences.most_papers))
        if day is month.days[0]:
            written[named] = np.maximum(written[named], 2 * ranking.LIKE_A_TOPIC)
            close[named] = True
            written[muted], close[muted] = -np.inf, False  # the next nearest comes instead
            places = best(day, wanted, written, close, bool(scores))
            newest = [day.papers[place] for place in places if place not in muted][:SHOWN]
            matched = bool(fits.any())
            if not (matched or scores):  # searches alone, which found nothing
                newest = []
    days_with = sum(count > 0 for count in counts)
    weekly = preferences.cadence == Schedule.Cadence.WEEKLY
    nearest = any(found) and days_with < len(counts) and not weekly
    read = zip(parts, found, strict=True)
    unknown = [text for (text, _), direction in read if text and not direction]
    unwanted = [text for _, text in parts if text]
    told = (unknown, unwanted, general and bool(texts))
    counted = (sum(counts), days_with, len(counts))
    return Outlook(newest, matched, *counted, nearest, weekly, *told)


def best(
    day: Day,
    wanted: ranking.Floats,
    written: ranking.Floats,
    close: ranking.Bools,
    wrote: bool,
) -> Sequence[int]:
    """Return the places of the day's papers in their order, by the digest's own ranking."""
    nothing = np.full((1, len(day.papers)), -np.inf, dtype=np.float32)
    closeness = ranking.Closeness(
        written.astype(np.float32)[None],
        nothing,
        np.zeros(1, dtype=np.int32),
        close=close[None],
    )
    picks = ranking.rank(
        wanted,
        day.topics,
        day.popular,
        most=len(day.papers),
        closeness=closeness if wrote or np.isfinite(written).any() else None,
    ).picks
    return [place for place in picks[0].tolist() if place >= 0]


@lru_cache(maxsize=1)
def laid_out(editions: tuple[int, ...]) -> Month:
    """Lay out published editions, each once per process, as it never changes."""
    slugs = list(Topic.objects.values_list("slug", flat=True))
    days = [day_of(edition, tuple(slugs)) for edition in editions]
    return Month(slugs, [day for day in days if day.papers])


@lru_cache(maxsize=2 * DAYS)
def day_of(edition: int, slugs: tuple[str, ...]) -> Day:
    """Lay out one edition, with the words and names of its papers looked up."""
    rows = Block.objects.filter(edition=edition).order_by("position")
    blocks = list(rows.select_related("paper").defer("html", "text"))
    texts = [(block.title, block.paper.abstract) for block in blocks]
    return Day(
        [block.paper for block in blocks],
        np.array([[block.topics.get(slug, 0) for slug in slugs] for block in blocks], "f4"),
        ranking.popularity(np.array([block.upvotes for block in blocks])),
        PointsByVersion(texts),
        Lexicon(
            ["\n".join(text) for text in texts],
            [block.paper.authors for block in blocks],
            [block.paper.organization for block in blocks],
            indexed=False,
        ),
        SearchedPapers([block.paper for block in blocks]),
    )
