"""Ranking: arrays in, arrays out."""

import numpy as np
import pytest

from digest.editions.reasons import Why
from digest.ranking.ranking import Closeness, InterestMatches, popularity, rank

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


def test_votes_on_topics_alone_bring_no_paper():
    assert set(liked(1, 0.48)) == {0, 1}


def test_a_paper_half_of_a_topic_disliked_still_comes_for_the_chosen_one():
    assert ranked(1, -0.48, most=2) == ([0, 1], [0, 0])


def test_without_topics_votes_order_what_is_trending_and_leave_nothing_out():
    assert liked(0, 0.48) == [2, 1, 3, 0]
    assert liked(-0.48, -0.48) == [3, 2, 0, 1]


# -- closeness to words and likes ----------------------------------------------------

NONE = [-np.inf] * 4


def close(
    *profile: float, written=NONE, liked=NONE, likes: int = 0, most: int = 10, muted=()
) -> list[tuple[int, int]]:
    """(paper, reason) of one reader."""
    off = np.zeros((1, 4), dtype=np.bool_)
    mutes = np.array([[place in muted for place in range(4)]])
    result = rank(
        np.array([profile], dtype=np.float32),
        PAPERS,
        POPULAR,
        most=most,
        matches=InterestMatches(off, off, off, mutes, off, off[:, 0]) if muted else None,
        closeness=Closeness(
            np.array([written], dtype=np.float32),
            np.array([liked], dtype=np.float32),
            np.array([likes]),
        ),
    )
    strongest = [
        topic if code <= Why.TOPIC else code
        for topic, (code, _) in zip(
            result.topics[0].tolist(), result.reasons[0].tolist(), strict=True
        )
    ]
    pairs = zip(result.picks[0].tolist(), strongest, strict=True)
    return [(paper, reason) for paper, reason in pairs if paper >= 0]


LIKED, WRITTEN, NEAREST = Why.LIKED, Why.WRITTEN, Why.NEAREST


def test_papers_close_to_what_was_written_come_nearest_first_and_no_others():
    picks = close(0, 0, written=[9, 3, 0.5, 7])
    assert picks == [(0, WRITTEN), (3, WRITTEN), (1, NEAREST)]


@pytest.mark.parametrize(
    ("best", "written", "reason"),
    [
        (2, 0.9, -1),
        (2, 1, NEAREST),
        (8, 2.3, -1),  # seldom what is wanted, where another paper is so close
        (8, 2.5, NEAREST),
        (9, 6.9, NEAREST),
        (9, 7, WRITTEN),
        (40, 7, WRITTEN),
    ],
)
def test_what_is_close_beside_the_best_comes_and_only_what_surely_is_is_called_so(
    best: float, written: float, reason: int
):
    picks = dict(close(0, 0, written=[best, -1, 0, written]))
    assert picks.get(3, -1) == reason


def test_a_reader_whom_nothing_is_close_to_gets_the_nearest_and_is_told_so():
    assert close(0, 0, written=[-1, 0.9, 0.2, -2]) == [(1, NEAREST)]
    assert close(0, 0, written=[-1, -0.5, -3, -2]) == [(1, NEAREST)]
    assert close(0, 0, written=[8, 0.1, 0.5, -2]) == [(0, WRITTEN)]
    assert {2, 3}.isdisjoint(dict(close(1, 0, written=[-2, -3, 0.9, -1])))  # a topic fits


def test_topics_and_words_add_up_and_the_stronger_is_the_reason():
    picks = close(1, 0, written=[0.9, 7, 2.2, -1])
    assert picks == [(1, WRITTEN), (0, 0), (2, NEAREST)]


def test_at_most_three_papers_come_by_likes_alone_and_hide_no_topic():
    picks = close(1, 0, liked=[0, 0, 5, 4], likes=10)
    assert sorted(picks) == [(0, 0), (1, 0), (2, LIKED), (3, LIKED)]
    assert close(0, 0, liked=[9, 9, 9, 9], likes=10, most=4) != []


def test_one_like_says_less_than_ten():
    few = dict(close(0, 1, liked=[9, 0, 0, 0], likes=1))
    assert few[0] == LIKED
    order = [paper for paper, _ in close(0, 1, liked=[3, 0, 0, 0], likes=1)]
    assert order.index(0) > order.index(2)
    order = [paper for paper, _ in close(0, 1, liked=[3, 0, 0, 0], likes=30)]
    assert order.index(0) < order.index(2)


def test_a_muted_author_outdoes_words_and_likes_and_is_not_made_up_for_by_itself():
    picks = close(0, 0, written=[3, -1, -1, -1], muted=(0,))
    assert picks == [(1, NEAREST)]


def test_readers_with_and_without_words_do_not_disturb_each_other():
    profiles = np.array([[0, 0], [1, 0], [0, 0]], dtype=np.float32)
    written = np.array([[2, 1, 0, -1], NONE, NONE], dtype=np.float32)
    nothing = np.full((3, 4), -np.inf, dtype=np.float32)
    both = Closeness(written, nothing, np.zeros(3, dtype=np.int32))
    result = rank(profiles, PAPERS, POPULAR, most=4, closeness=both)
    plain = rank(profiles[1:], PAPERS, POPULAR, most=4)
    assert result.picks[1:].tolist() == plain.picks.tolist()
    assert result.topics[1:].tolist() == plain.topics.tolist()
