"""Ranking: arrays in, arrays out."""

import numpy as np

from digest.ranking.ranking import InterestMatches, popularity, rank

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


# -- votes: weights other than 1, and below a half for what was not chosen ---------


def liked(*profile: float, most: int = 10) -> list[int]:
    return [place for place in ranked(*profile, most=most)[0] if place >= 0]


def test_votes_on_a_chosen_topic_move_its_papers_and_hide_none():
    assert liked(1, 1)[:3] == [1, 2, 0]
    assert liked(1.48, 0.52)[:3] == [0, 1, 2] and set(liked(1.48, 0.52)) == {0, 1, 2}


def test_a_paper_that_only_votes_speak_for_comes_with_that_reason():
    assert ranked(1, 0.25) == ([0, 1, 2, -1], [0, 0, 4, -1])


def test_a_slight_leaning_brings_no_paper():
    assert liked(1, 0.19) == [0, 1]


def test_at_most_three_papers_come_by_votes_alone_the_best_of_them():
    papers = np.array([[0, 1]] * 6 + [[1, 0]] * 2, dtype=np.float32)
    popular = popularity(np.array([1, 2, 90, 4, 50, 6, 1, 0]))
    profiles = np.array([[1, 0.48], [0, 0.48]], dtype=np.float32)
    result = rank(profiles, papers, popular, most=8)
    assert result.picks[0].tolist() == [6, 7, 2, 4, 5, -1, -1, -1]
    assert set(result.picks[1].tolist()) == set(range(8))


def test_a_paper_half_of_a_topic_disliked_still_comes_for_the_chosen_one():
    assert ranked(1, -0.48, most=2) == ([0, 1], [0, 0])


def test_without_topics_votes_order_what_is_trending_and_leave_nothing_out():
    assert ranked(0, 0.48) == ([2, 1, 3, 0], [4, 4, -1, -1])
    assert liked(-0.48, -0.48) == [3, 2, 0, 1]
    assert set(liked(-0.48, -0.48)) == {0, 1, 2, 3}


def test_votes_of_one_reader_change_nothing_for_the_next():
    profiles = np.array([[1, 0], [1, 0.4], [-0.4, 0], [0, 0]], dtype=np.float32)
    together = rank(profiles, PAPERS, POPULAR, most=4)
    for row, profile in enumerate(profiles):
        alone = rank(profile[None], PAPERS, POPULAR, most=4)
        assert together.picks[row].tolist() == alone.picks[0].tolist()
        assert together.topics[row].tolist() == alone.topics[0].tolist()


def test_what_a_reader_named_outdoes_votes_as_the_reason():
    yes, no = np.ones((1, 4), dtype=np.bool_), np.zeros((1, 4), dtype=np.bool_)
    profile = np.array([[0, 0.48]], dtype=np.float32)
    matches = InterestMatches(keywords=yes, authors=no, muted=no, any=np.array([True]))
    result = rank(profile, PAPERS, POPULAR, most=4, matches=matches)
    assert set(result.topics[0].tolist()) == {2}


def test_a_muted_author_outdoes_votes():
    none = np.zeros((1, 4), dtype=np.bool_)
    muted = np.array([[False, False, True, False]])
    matches = InterestMatches(
        keywords=none, authors=none, muted=muted, any=np.array([False])
    )
    profile = np.array([[1, 0.48]], dtype=np.float32)
    result = rank(profile, PAPERS, POPULAR, most=4, matches=matches)
    assert 2 not in result.picks[0].tolist()
