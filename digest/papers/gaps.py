"""Fill the gaps of a day: topics of which its list of trending papers has next to none.

Pure. The list's own papers stay first and keep their order; the others follow.
"""

from collections import Counter
from collections.abc import Iterable

from digest.papers.records import PaperRecord
from digest.papers.topics import TITLE_POINTS, Described, assigned, points

ENOUGH = 3  # papers of a topic
CLEAR_POINTS = TITLE_POINTS + 1  # its title or category says so, and the abstract too


def fillers(
    listed: Iterable[Described], offered: Iterable[PaperRecord]
) -> list[PaperRecord]:
    """Return the offered papers that fit best to topics with fewer than ENOUGH papers.

    The same whatever the order of the papers. A paper fits to its best topic only, and if
    that is clear: most papers mention many things.
    """
    have = Counter(slug for paper in listed for slug in assigned(paper))
    fits: dict[str, list[tuple[float, PaperRecord]]] = {}
    for record in offered:
        found = points(
            record.title,
            record.abstract,
            categories=record.categories,
            keywords=record.keywords,
        )
        topic = max(found, key=lambda slug: found[slug])
        if found[topic] >= CLEAR_POINTS:
            fits.setdefault(topic, []).append((-found[topic], record))
    chosen: list[PaperRecord] = []
    for topic, papers in fits.items():
        best = sorted(papers, key=lambda fit: (fit[0], fit[1].arxiv_id))
        chosen += [record for _, record in best[: max(0, ENOUGH - have[topic])]]
    return sorted(chosen, key=lambda record: record.arxiv_id)
