"""Points, directions and the projection: what they must hold, on small texts and as shipped."""

import numpy as np
import pytest

from digest.papers.words import stems
from digest.ranking import vectors

SUBJECTS = ["graph network message", "video diffusion frame", "robot grasp policy"]


@pytest.fixture(scope="module")
def small() -> vectors.Projection:
    """Thirty papers of three subjects, which no word joins."""
    papers = []
    for number in range(90):
        words = SUBJECTS[number % 3].split()
        title = f"{words[number % 3]} {words[(number + 1) % 3]}"
        papers.append((f"2604.{number:05}", title, " ".join(words)))
    return vectors.fit(papers)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("agents", "agent"),
        ("fine-tuning", "fine tuned"),
        ("Étude", "etude"),
        ("policies", "policy"),
        ("diffusing", "diffuse"),
        ("LLMs", "llm"),
    ],
)
def test_alternatives_of_a_word_are_treated_alike(one: str, other: str) -> None:
    assert stems(one) == stems(other)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        ("the of and", []),
        ("C++ and C#", ["c++", "c#"]),
        ("GPT 4 in 2026", ["gpt"]),
        ("class glass", ["class", "glass"]),
        ("\x00\ufdd0 §", []),
    ],
)
def test_what_counts_as_a_word(text: str, words: list[str]) -> None:
    assert stems(text) == words


def test_an_interest_ranks_its_subject_first(small: vectors.Projection) -> None:
    papers = np.stack([small.paper(subject, subject) for subject in SUBJECTS])
    for place, subject in enumerate(SUBJECTS):
        direction = small.interest(f"I read about {subject.split()[0]}s")
        assert direction is not None
        assert int(direction.score(papers).argmax()) == place


def test_an_interest_without_a_known_word_has_no_direction(
    small: vectors.Projection,
) -> None:
    assert small.interest("") is None
    assert small.interest("zzz the of") is None


def test_likes_and_dislikes_pull_apart(small: vectors.Projection) -> None:
    graphs, video, robots = (
        np.stack([small.paper(subject, subject)]) for subject in SUBJECTS
    )
    liked = small.background.liking(graphs)
    torn = small.background.liking(graphs, video)
    assert liked.score(graphs)[0] > liked.score(robots)[0]
    assert torn.score(video)[0] < liked.score(video)[0]


def test_a_fit_is_repeatable_and_survives_the_disk(small, tmp_path) -> None:
    (tmp_path / "projection.npz").write_bytes(small.content())
    read = vectors.read(tmp_path / "projection.npz")
    assert read.version == small.version
    assert (read.paper("graph", "network") == small.paper("graph", "network")).all()
    assert list(read.past.titles) == list(small.past.titles)
    assert (read.past.packed == small.past.packed).all()


def test_the_shipped_projection_is_whole() -> None:
    shipped = vectors.read(vectors.SHIPPED)
    past = shipped.past
    assert len(past.ids) == len(past.titles) == len(past.packed) > 5000
    assert shipped.version == vectors.SHIPPED_VERSION
    assert shipped.matrix.shape == (len(shipped.words), vectors.DIMENSIONS)
    assert vectors.SHIPPED.stat().st_size < 8_000_000
    places, weights = shipped.nearest("video diffusion models")
    assert list(weights) == sorted(weights, reverse=True) and weights[-1] > 0
    near = [past.titles[place] for place in places]
    assert sum("ideo" in title for title in near) >= 18


def test_a_text_is_also_read_without_each_of_its_words() -> None:
    shipped = vectors.shipped()
    counts = {
        "video": 1,
        "video of videos": 1,
        "video diffusion": 3,
        "zzyzx video": 1,
        "": 0,
    }
    assert {text: len(shipped.readings(stems(text))) for text in counts} == counts
    words = shipped.words[: vectors.MOST_LEFT_OUT + 1]
    assert len(shipped.readings(words)) == 1, "in a long text no word decides alone"
    places, _ = shipped.nearest("world simulators")
    assert all(
        "imulat" in shipped.past.titles[place] or "orld" in shipped.past.titles[place]
        for place in places[:10]
    )
