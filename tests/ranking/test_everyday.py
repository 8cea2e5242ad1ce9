"""The ranker finds what sixty everyday wordings want: a gate against a worse one."""

import numpy as np

from digest.ranking import sentences
from digest.ranking.ranking import SURELY_CLOSE
from digest.ranking.vectors import shipped
from tests.ranking import everyday


def test_everyday_wordings_find_their_papers() -> None:
    gain, recall = everyday.quality(shipped().interest, shipped())
    assert gain >= 0.65 and recall >= 0.75


def test_sentence_embeddings_find_what_shares_no_word(settings) -> None:
    encode = sentences.encode()
    assert encode is not None
    gain, recall = everyday.quality(
        lambda text: shipped().interest(text, encode), shipped()
    )
    assert gain >= 0.77 and recall >= 0.86
    settings.SENTENCE_EMBEDDINGS = False
    assert sentences.encode() is None


def test_most_papers_that_are_called_close_to_a_wording_are_what_it_wants() -> None:
    """The labels are strict, and by titles; the benchmark has those of the source."""
    wordings, days = everyday.read()
    right: list[bool] = []
    for place, text in enumerate(wordings):
        direction = shipped().interest(text, sentences.encode())
        assert direction is not None
        for day in days:
            called = direction.score(day.points(shipped())) >= SURELY_CLOSE
            right += day.wanted[place][called].tolist()
    assert len(right) >= 10 and np.mean(right) >= 0.7


def test_the_set_is_whole_and_tells_a_ranker_from_chance() -> None:
    wordings, days = everyday.read()
    assert len(set(wordings)) == 60
    assert sum(len(day.words) for day in days) >= 200
    assert all(sum(day.wanted[place].sum() for day in days) for place in range(60))
    upvotes, _ = everyday.quality(lambda text: None, shipped())
    assert upvotes < 0.25
    assert np.mean([day.wanted.mean() for day in days]) < 0.05
