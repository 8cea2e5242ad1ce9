"""Search by meaning too, where sentence embeddings are installed; elsewhere nothing changes.

Each paper is read once, by the worker that fetches, and its point stored. Of a query that
few papers have every word of, the papers nearest in meaning are merged with those that have
most of its words, by reciprocal rank fusion (Cormack, Clarke and Büttcher, SIGIR 2009).
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import batched

import numpy as np
from django.db import transaction
from django.db.models import Count, Max

from digest import sql
from digest.models import Paper, PaperMeaning, PaperWords
from digest.papers import search as by_words
from digest.papers.search import Found
from digest.papers.search_query import STOP_WORDS
from digest.papers.search_sql import Row
from digest.ranking import sentences
from digest.ranking.projections import current, readable
from digest.ranking.vectors import SENTENCE_SCALE, Bytes, packed

MODEL = sentences.MODEL_SHA256[:8]
NEWEST = 20_000  # papers that are looked through: 8 MB in each process
AT_ONCE = 4_000  # of them, as floats
SLICE = 50
MOST_READ = 500  # papers in one run of the worker: 10 to 20 s of CPU
ENOUGH = 10  # papers with every word: then nobody has to guess what is meant
MOST_CLOSE = 20
LEAST_CLOSE = 0.3  # cosine; what has nothing to do with a query is below it
FUSION = 60  # as in the paper: how little the first places differ


def search(text: str) -> Found:
    """Return what fits the text best by its words, and by its meaning where these find little."""
    found = by_words.search(text)
    if not in_everyday_words(found):
        return found
    exact, loose = found.hits[: found.exact], found.hits[found.exact :]
    known = {hit.paper_id: hit for hit in found.hits}
    first = {hit.paper_id for hit in exact}
    close = [pk for pk in near(found.query.text) if pk not in first]
    known |= rows(set(close) - set(known))
    merged = fused([hit.paper_id for hit in loose], [pk for pk in close if pk in known])
    return replace(
        found,
        hits=[*exact, *(known[pk] for pk in merged)],
        by_meaning=frozenset(merged) - {hit.paper_id for hit in loose},
    )


def in_everyday_words(found: Found) -> bool:
    """Return whether a query of several plain words found few papers that have them all."""
    query = found.query
    telling = [word for word in query.run if word not in STOP_WORDS]
    as_typed = any(len(term.words) > 1 for term in query.terms)  # in quotation marks
    return (
        found.exact < ENOUGH
        and len(telling) > 1
        and not (as_typed or query.ids or query.has_filters)
    )


def rows(papers: set[int]) -> dict[int, Row]:
    """Return the rows of papers beside those that search found by their words."""
    found = PaperWords.objects.filter(pk__in=sql.among(papers))
    return {
        pk: Row(pk, day, topics, 0.0)
        for pk, day, topics in found.values_list("pk", "day", "topics")
    }


def fused(*lists: Sequence[int]) -> list[int]:
    """Merge lists, best first each: what is at the same place in two of them comes first."""
    scores: dict[int, float] = {}
    for one in lists:
        for place, item in enumerate(one, 1):
            scores[item] = scores.get(item, 0) + 1 / (FUSION + place)
    return sorted(scores, key=lambda item: -scores[item])


# -- points ------------------------------------------------------------------------------


def near(text: str) -> list[int]:
    """Return the ids of the papers closest in meaning to a text, nearest first."""
    encode = sentences.encode()
    if encode is None:
        return []
    of_model = PaperMeaning.objects.filter(model=MODEL)
    ids, points = stored(**of_model.aggregate(newest=Max("pk"), count=Count("pk")))
    here = encode([text])[0] * SENTENCE_SCALE
    parts = [
        points[at : at + AT_ONCE].astype(np.float32) @ here
        for at in range(0, len(points), AT_ONCE)
    ]
    scores = np.concatenate([*parts, np.zeros(0, dtype=np.float32)])
    best = np.argsort(-scores, kind="stable")[:MOST_CLOSE]
    return [ids[place] for place in best if scores[place] >= LEAST_CLOSE]


@lru_cache(maxsize=1)
def stored(newest: int | None, count: int) -> tuple[Sequence[int], Bytes]:
    """Return the newest papers' ids and points.

    Read again when there is a newer point or their count has changed: a point of another
    model is replaced in its row.
    """
    found = PaperMeaning.objects.filter(model=MODEL)
    held = found.order_by("-paper__day", "-paper").values_list("paper_id", "point")
    some = list(held[:NEWEST])
    points = np.frombuffer(b"".join(point for _, point in some), dtype=np.int8)
    return [pk for pk, _ in some], points.reshape(len(some), sentences.DIMENSIONS)


def refresh(most: int = MOST_READ) -> int:
    """Store the points of the NEWEST papers that have none, newest first; return their number.

    At most `most` papers are read: those that the projection knows cost nothing.
    """
    encode = sentences.encode()
    if encode is None:
        return 0
    past = current().past
    known = past.sentences if past.sentences is not None else ()
    places = dict(zip(past.ids, known, strict=False))
    newest = Paper.objects.order_by("-day", "-pk")[:NEWEST]
    of_model = newest.values_list("pk", "arxiv_id", "meaning__model")
    papers = [(pk, arxiv_id) for pk, arxiv_id, model in of_model if model != MODEL]
    new = [pk for pk, arxiv_id in papers if arxiv_id not in places][:most]
    points = {pk: places[arxiv_id] for pk, arxiv_id in papers if arxiv_id in places}
    for some in batched(points, SLICE * 10, strict=False):
        keep({pk: points[pk] for pk in some})
    for some in batched(new, SLICE, strict=False):
        texts = Paper.objects.filter(pk__in=sql.among(some))
        read = {
            pk: readable(title, abstract)
            for pk, title, abstract in texts.values_list("pk", "title", "abstract")
        }
        keep(dict(zip(read, packed(encode([*read.values()]), SENTENCE_SCALE), strict=True)))
    return len(points) + len(new)


@transaction.atomic
def keep(points: dict[int, Bytes]) -> None:
    """Store the points of those papers that are still there."""
    there = Paper.objects.select_for_update().filter(pk__in=sql.among(points))
    PaperMeaning.objects.bulk_create(
        [
            PaperMeaning(paper_id=pk, model=MODEL, point=points[pk].tobytes())
            for pk in there.order_by("pk").values_list("pk", flat=True)
        ],
        update_conflicts=True,
        unique_fields=["paper"],
        update_fields=["model", "point"],
    )
