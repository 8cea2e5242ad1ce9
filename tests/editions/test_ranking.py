"""Ranking: arrays in, arrays out."""

import numpy as np

from digest.editions.ranking import popularity, rank

PAPERS = np.array([[1, 0], [0.5, 1], [0, 1], [0, 0]], dtype=np.float32)
POPULAR = popularity(np.array([0, 3, 40, 300]))


def ranked(*profile: float, most: int = 10):
    result = rank(np.array([profile], dtype=np.float32), PAPERS, POPULAR, most=most)
    return result.picks[0].tolist(), result.topics[0].tolist()


def test_a_reader_gets_the_papers_of_their_topics_only():
    assert ranked(1, 0) == ([0, 1, -1, -1], [0, 0, -1, -1])


def test_a_better_fit_comes_before_a_popular_misfit():
    assert ranked(1, 0, most=1)[0] == [0]


def test_of_two_papers_that_fit_alike_the_popular_one_is_first():
    assert ranked(0, 1)[0][:2] == [2, 1]


def test_the_reason_is_the_topic_that_fits_best():
    picks, topics = ranked(1, 1)
    assert dict(zip(picks, topics, strict=True))[1] == 1


def test_a_reader_without_topics_gets_what_is_trending():
    assert ranked(0, 0) == ([3, 2, 1, 0], [-1, -1, -1, -1])


def test_many_readers_are_ranked_as_each_alone():
    profiles = np.array([[1, 0], [0, 1], [1, 1], [0, 0]], dtype=np.float32)
    together = rank(profiles, PAPERS, POPULAR, most=3)
    for row, profile in enumerate(profiles):
        alone = rank(profile[None], PAPERS, POPULAR, most=3)
        assert together.picks[row].tolist() == alone.picks[0].tolist()
        assert together.topics[row].tolist() == alone.topics[0].tolist()


def test_an_edition_without_papers_gives_nobody_anything():
    empty = np.zeros((0, 2), dtype=np.float32)
    result = rank(
        np.ones((2, 2), dtype=np.float32), empty, popularity(np.zeros(0, int)), most=5
    )
    assert result.picks.shape == (2, 0)
