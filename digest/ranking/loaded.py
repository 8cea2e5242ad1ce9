"""A published edition, loaded once per process for ranking and composing."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import count

import numpy as np

from digest.editions.compose import EncodedEdition, Pick
from digest.editions.encode import encode
from digest.editions.frames import frame_content, store_frame
from digest.models import Block, Edition
from digest.papers.search_match import SearchedPapers
from digest.ranking import ranking
from digest.ranking.interests import Lexicon
from digest.ranking.projections import PointsByVersion, newest_version
from subscribers.models import Topic

# Characters of an abstract; in a shorter one every word decides what it seems to be about.
COMPARABLE = 300
# Blocks that are read at once: an edition's are some megabytes, and encoded they are less.
AT_ONCE = 20


class Picks(dict[int, Pick]):
    """A cache by place in a table of positions × columns; readers share the picks."""

    def __init__(self, columns: int) -> None:
        self.columns = columns

    def __missing__(self, place: int) -> Pick:
        position, column = divmod(place, self.columns)
        self[place] = Pick(position, column - 1 if column else None)
        return self[place]


@dataclass(frozen=True, slots=True)
class LaidOut:
    """A published edition's papers, laid out for the ranking."""

    edition: Edition
    papers: ranking.Floats
    popular: ranking.Floats
    general: ranking.Floats  # the order for readers without interests
    duplicates: ranking.Bools | None  # pairs of papers that say the same
    titles: Sequence[str]
    institutions: Sequence[str]  # of each paper, or ""
    labels: Sequence[tuple[str, str]]  # (slug, label) of the topic in each column
    points: PointsByVersion  # P × DIMENSIONS, see vectors.py
    lexicon: Lexicon
    searched: SearchedPapers
    picks: Picks


@dataclass(frozen=True, slots=True)
class LoadedEdition(LaidOut):
    """The same, with the edition's mails encoded for the wire."""

    encoded: EncodedEdition


@lru_cache(maxsize=8)
def load(edition_id: int) -> LoadedEdition:
    """Load a published edition, once per process, as it is frozen; store its frame."""
    laid = lay_out(edition_id)
    edition = laid.edition
    around = store_frame(edition, frame_content(edition, topics=laid.labels))
    encoded = encode(edition, blocks_of(edition), around=around)
    return LoadedEdition(
        **{name: getattr(laid, name) for name in laid.__slots__}, encoded=encoded
    )


@lru_cache(maxsize=8)
def lay_out(edition_id: int) -> LaidOut:
    """Lay out a published edition, once per process; unlike `load`, write nothing."""
    edition = Edition.objects.get(pk=edition_id)
    blocks = edition.blocks.order_by("position").select_related("paper")
    return laid_out(edition, list(blocks.defer("html", "text")))


def blocks_of(edition: Edition) -> Iterator[Block]:
    """Yield an edition's blocks by position; AT_ONCE of them are in memory."""
    blocks = edition.blocks.order_by("position")
    for start in count(0, AT_ONCE):
        some = list(blocks[start : start + AT_ONCE])
        yield from some
        if len(some) < AT_ONCE:
            return


def laid_out(edition: Edition, blocks: Sequence[Block]) -> LaidOut:
    topics = {topic.column: topic for topic in Topic.objects.all()}
    width = max(topics, default=-1) + 1
    texts = [(block.title, block.paper.abstract) for block in blocks]
    points = PointsByVersion(texts)
    popular = ranking.popularity(np.array([block.upvotes for block in blocks]))
    institutions = [block.paper.organization for block in blocks]
    papers = np.zeros((len(blocks), width), dtype=np.float32)
    for place, block in enumerate(blocks):
        for column, topic in topics.items():
            papers[place, column] = block.topics.get(topic.slug, 0)
    return LaidOut(
        edition=edition,
        papers=papers,
        popular=popular,
        general=ranking.mixed(papers, popular),
        duplicates=duplicates(points, texts),
        titles=[block.title for block in blocks],
        institutions=institutions,
        labels=[
            (topics[column].slug, topics[column].label) if column in topics else ("", "")
            for column in range(width)
        ],
        points=points,
        lexicon=Lexicon(
            ["\n".join(text) for text in texts],
            [block.paper.authors for block in blocks],
            institutions,
        ),
        searched=SearchedPapers([block.paper for block in blocks]),
        picks=Picks(width + 1),
    )


def duplicates(
    points: PointsByVersion, texts: Sequence[tuple[str, str]]
) -> ranking.Bools | None:
    """Mark the pairs of papers that say the same; none with an abstract that is too short."""
    known = points[newest_version()]
    if known is None or not texts:
        return None
    return ranking.near_duplicates(
        known * np.array([[len(abstract) >= COMPARABLE] for _, abstract in texts])
    )
