"""Keywords, free interests and authors: what they find in an edition, and what not."""

import pytest

from digest.editions import phrases as words
from digest.ranking.interests import Lexicon, phrases, wanted
from digest.ranking.loaded import load
from digest.ranking.select import select
from tests import make

TEXTS = [
    "Graph Transformers at scale",
    "Message passing, not graph-transformers",
    "Étale cohomology",
]
AUTHORS = [["José Núñez", "Ada Example"], ["Bo Sample"], []]
LEXICON, WITHOUT_INDEX = (Lexicon(TEXTS, AUTHORS, indexed=one) for one in (True, False))


@pytest.mark.parametrize(
    ("phrase", "papers"),
    [
        ("graph transformer", {0, 1}),
        ("GRAPH TRANSFORMERS", {0, 1}),
        ("transformers graph", set()),
        ("graphs", {0, 1}),
        ("graphtransformers", {0, 1}),
        ("graph trans formers", set()),
        ("at scale", {0}),
        ("ats cale", set()),
        ("messagepassing not", {1}),
        ("paragraph", set()),
        ("a graph transformers at scale of one two three four", set()),
        ("etale", {2}),
        ("scale", {0}),
        ("scal", set()),
        ("", set()),
        ("...", set()),
        (r"\w+.*", set()),
    ],
)
def test_a_phrase_finds_whole_words_in_their_order(phrase, papers):
    assert LEXICON.with_phrase(phrase) == papers
    assert WITHOUT_INDEX.with_phrase(phrase) == papers


def test_an_author_is_found_without_accents_and_case():
    assert LEXICON.by(["jose nunez"]) == {0}
    assert LEXICON.by(["Nunez", "bo sample"]) == {1}


def test_interests_are_cut_into_phrases():
    assert phrases("protein folding, graph transformers;\n\n robots") == [
        "protein folding",
        "graph transformers",
        "robots",
    ]
    assert phrases("videos that stay whole, over minutes, and LoRA") == [
        "videos that stay whole",
        "LoRA",
    ]


@pytest.fixture
def edition(db):
    graphs = make.topic("graphs").slug
    return make.edition(
        {
            make.paper(1, upvotes=90, authors=["Mute Me"]): {graphs: 1.0},
            make.paper(2, upvotes=5, authors=["Ada Example"]): {graphs: 0.4},
            make.paper(3, upvotes=50, title="Robots that fold", authors=["Bo Sample"]): {},
            make.paper(4, upvotes=60, authors=["Cho Other"]): {graphs: 0.9},
        }
    )


def chosen(edition, **fields) -> list[tuple[str, str]]:
    """The titles and named reasons that a reader of graphs with these fields gets."""
    reader = make.reader("ann@example.org", *fields.pop("topics", ["graphs"]))
    type(reader).objects.filter(pk=reader.pk).update(**fields)
    ready = load.__wrapped__(edition.pk)
    (digest,) = select(ready, [(1, reader.pk)])
    blocks = list(edition.blocks.order_by("position"))
    return [
        (
            blocks[pick.position].title,
            words.reason("", pick.reasons) if pick.reasons else "",
        )
        for pick in digest.picks
    ]


def titles(edition, **fields) -> list[str]:
    return [title for title, _ in chosen(edition, **fields)]


@pytest.mark.parametrize(
    ("interest", "read", "unwanted"),
    [
        ("agents, but not for coding", "agents", "but not for coding"),
        ("agents, not coding", "agents", "not coding"),
        ("everything except reinforcement learning", "", "except reinforcement learning"),
        ("alle Themen außer Robotik", "", "außer Robotik"),
        ("Sprachmodelle, aber keine Agenten", "Sprachmodelle", "aber keine Agenten"),
        ("image generation excluding faces", "image generation", "excluding faces"),
        ("no robots", "", "no robots"),
        ("Ohne Robotik", "", "Ohne Robotik"),
        ("learning without labels", "learning without labels", ""),
        ("no-reference image quality", "no-reference image quality", ""),
        ("models that do not forget", "models that do not forget", ""),
        (
            "faithful, not only plausible reasons",
            "faithful, not only plausible reasons",
            "",
        ),
        (
            "exceptional notes on knots, nothing else",
            "exceptional notes on knots, nothing else",
            "",
        ),
    ],
)
def test_what_is_not_wanted_is_no_interest(interest: str, read: str, unwanted: str) -> None:
    assert wanted(interest) == (read, unwanted)


def test_topics_alone(edition):
    assert titles(edition) == ["Paper 1", "Paper 4", "Paper 2"]


def test_a_keyword_brings_a_paper_that_no_topic_brings(edition):
    assert ("Robots that fold", "Mentions “robot”") in chosen(edition, keywords=["robot"])


def test_free_interests_count_like_keywords(edition):
    assert "Robots that fold" in titles(edition, interests="robots that fold, cooking")


def test_a_watched_author_comes_first(edition):
    assert titles(edition, watched_authors=["ada example"])[0] == "Paper 2"


def test_a_muted_author_never_comes(edition):
    assert titles(edition, muted_authors=["Mute Me"]) == ["Paper 4", "Paper 2"]


def test_only_as_many_papers_as_wished(edition):
    fields = {"topics": [], "most_papers": 3}
    assert titles(edition, **fields) == ["Paper 1", "Robots that fold", "Paper 4"]


def test_a_keyword_comes_first_for_who_wrote_nothing_else(edition):
    assert titles(edition, topics=[], keywords=["robots"])[0] == "Robots that fold"


def test_who_muted_only_gets_the_rest_of_what_is_trending(edition):
    assert titles(edition, topics=[], muted_authors=["Mute Me"]) == [
        "Robots that fold",
        "Paper 4",
        "Paper 2",
    ]
