"""Papers, topics and editions as the pages find them."""

from collections.abc import Callable
from datetime import UTC, date, datetime

import pytest
from django.test import Client

from digest.models import Block, Edition, Paper, PaperWords
from digest.papers import search_index
from subscribers.models import Topic

DAY = date(2026, 4, 17)
NOW = datetime(2026, 4, 17, 8, 0, tzinfo=UTC)
MakePaper = Callable[..., Paper]


def html_of(client: Client, path: str, status: int = 200) -> str:
    response = client.get(path)
    assert response.status_code == status
    return response.content.decode()


@pytest.fixture
def paper(db: None) -> MakePaper:
    """Makes a paper; each has an id of its own."""
    made = 0

    def make(**fields: object) -> Paper:
        nonlocal made
        made += 1
        wanted: dict[str, object] = {
            "arxiv_id": f"2604.{made:05}",
            "title": f"Paper {made}",
            "abstract": f"What paper {made} found.",
            "authors": ["Ada Lovelace", "Emmy Noether"],
            "author_count": 2,
            "day": DAY,
            "fetched_at": NOW,
        }
        paper = Paper.objects.create(**(wanted | fields))
        search_index.index([paper])
        return paper

    return make


@pytest.fixture
def graphs(db: None) -> Topic:
    topic, _ = Topic.objects.update_or_create(
        slug="graphs",
        defaults={"label": "Graphs", "group": "Learning methods", "position": 900},
    )
    return topic


def publish(*papers: Paper, day: date = DAY, **topics: float) -> None:
    """One edition with these papers, all under the given topics."""
    edition, _ = Edition.objects.get_or_create(day=day, defaults={"published_at": NOW})
    first = edition.blocks.count()
    Block.objects.bulk_create(
        Block(
            edition=edition,
            paper=paper,
            position=first + place,
            title=paper.title,
            upvotes=paper.upvotes,
            topics=topics,
            html="",
            text="",
        )
        for place, paper in enumerate(papers)
    )
    if topics:  # and search knows them so
        words = " ".join(search_index.topic_word(one.replace("_", "-")) for one in topics)
        PaperWords.objects.filter(paper__in=papers).update(
            topics=" ".join(sorted(topics, key=lambda slug: -topics[slug])), tags=words
        )
