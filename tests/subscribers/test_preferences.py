"""Profiles as bytes: what they hold."""

from hypothesis import given
from hypothesis import strategies as st

from subscribers import preferences

columns = st.integers(0, 60)
leanings = st.dictionaries(columns, st.integers(-31, 31))


@given(st.sets(columns), leanings)
def test_a_profile_gives_back_its_leanings_and_tells_what_was_chosen(chosen, leaning):
    stored = preferences.profile(chosen, leaning)
    weights = memoryview(stored).cast("b")
    assert preferences.leaning(stored) == {place: n for place, n in leaning.items() if n}
    assert {
        place for place, n in enumerate(weights) if n > preferences.CHOSEN / 2
    } == chosen
    assert not stored.endswith(b"\0")
