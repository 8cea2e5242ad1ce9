"""A published edition, loaded once per process for ranking and composing."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from digest.editions.compose import EncodedEdition, Pick
from digest.editions.encode import encode
from digest.editions.frames import frame_content, store_frame
from digest.models import Block, Edition
from digest.ranking import ranking
from digest.ranking.interests import Lexicon
from digest.ranking.vectors import shipped
from subscribers.models import Topic

# Characters of an abstract; in a shorter one every word decides what it seems to be about.
COMPARABLE = 300


class Picks(dict[int, Pick]):
    """A cache by place in a table of positions × columns; readers share the picks."""

    def __init__(self, columns: int) -> None:
        self.columns = columns

    def __missing__(self, place: int) -> Pick:
        position, column = divmod(place, self.columns)
        self[place] = Pick(position, column - 1 if column else None)
        return self[place]


@dataclass(frozen=True)
class LoadedEdition:
    """A published edition, laid out for the ranking; encoded for the wire when asked to."""

    edition: Edition
    labels: Sequence[tuple[str, str]]  # (slug, label) of the topic of each column
    columns: dict[int, int]  # topic id → column
    papers: ranking.Floats
    popular: ranking.Floats
    general: ranking.Floats  # the order for readers without interests
    duplicates: ranking.Bools | None  # pairs of papers that say the same
    institutions: Sequence[str]  # of each paper, or ""
    points: ranking.Floats  # P × DIMENSIONS, see vectors.py
    version: str  # of the projection that computed the points
    lexicon: Lexicon
    picks: Picks

    @cached_property
    def encoded(self) -> EncodedEdition:
        """Encode the edition, and store its frame, which every mail is rebuilt with.

        Pages that only rank never ask for it: a GET stores nothing.
        """
        blocks = list(self.edition.blocks.order_by("position"))
        around = store_frame(self.edition, frame_content(self.edition, topics=self.labels))
        return encode(self.edition, blocks, around=around)


@lru_cache(maxsize=8)
def load(edition_id: int) -> LoadedEdition:
    """Load a published edition, once per process, as it is frozen."""
    edition = Edition.objects.get(pk=edition_id)
    blocks: list[Block] = list(
        edition.blocks.order_by("position").select_related("paper").defer("html", "text")
    )
    topics = {topic.column: topic for topic in Topic.objects.all()}
    width = max(topics, default=-1) + 1
    labels = [
        (topics[column].slug, topics[column].label) if column in topics else ("", "")
        for column in range(width)
    ]
    projection = shipped()
    popular = ranking.popularity(np.array([block.upvotes for block in blocks]))
    points = np.array(
        [projection.paper(block.title, block.paper.abstract) for block in blocks],
        dtype=np.float32,
    ).reshape(len(blocks), projection.matrix.shape[1])
    institutions = [block.paper.organization for block in blocks]
    papers = np.zeros((len(blocks), width), dtype=np.float32)
    for place, block in enumerate(blocks):
        for column, topic in topics.items():
            papers[place, column] = block.topics.get(topic.slug, 0)
    return LoadedEdition(
        edition=edition,
        labels=labels,
        columns={topic.pk: column for column, topic in topics.items()},
        papers=papers,
        popular=popular,
        general=ranking.mixed(papers, popular),
        duplicates=ranking.near_duplicates(
            points
            * np.array([[len(block.paper.abstract) >= COMPARABLE] for block in blocks])
        ),
        institutions=institutions,
        points=points,
        version=projection.version,
        lexicon=Lexicon(
            [f"{block.title}\n{block.paper.abstract}" for block in blocks],
            [block.paper.authors for block in blocks],
            institutions,
        ),
        picks=Picks(len(labels) + 1),
    )
