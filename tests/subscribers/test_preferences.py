"""Profiles as bytes: what they hold; and pages that were opened before something changed."""

from urllib.parse import urlencode

from django.core import signing
from hypothesis import given
from hypothesis import strategies as st

from subscribers import preferences
from subscribers.preferences import Preferences
from subscribers.preferences_form import (
    MOST_INTERESTS,
    SHOWN,
    as_shown,
    changed_since,
    read_shown,
)

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


words = st.sampled_from("abcdefg")
entries = st.lists(words, unique=True, max_size=MOST_INTERESTS)
wishes = st.builds(
    lambda topics, lines, muted, hour, language: Preferences(
        topics=tuple(sorted(topics)),
        interests="\n".join(lines),
        muted_authors=tuple(muted),
        send_hour=hour,
        language=language,
    ),
    entries,
    entries,
    entries,
    st.integers(0, 23),
    st.sampled_from(["en", "de"]),
)


def test_what_a_page_had_shown_takes_little_of_the_forms_room() -> None:
    lines = tuple(chr(0x4E00 + n) + chr(0x5E00 + 7 * n % 997) * 9 for n in range(250))
    many = Preferences(keywords=lines, interests="\n".join(lines))
    assert read_shown(as_shown(many)) == many
    typed = urlencode({"keywords": "\n".join(lines), "interests": many.interests})
    assert len(urlencode({"shown": as_shown(many)})) < len(typed) / 3


def test_another_releases_page_had_shown_nothing() -> None:
    wishes = {"cadence": "daily", "wishes": ["x"]}
    assert read_shown(signing.dumps(wishes, salt=SHOWN, compress=True)) is None


@given(wishes, wishes, wishes)
def test_an_old_page_changes_what_was_changed_in_it_and_nothing_else(shown, wanted, had):
    assert read_shown(as_shown(shown)) == shown
    assert changed_since(None, wanted, had) == wanted
    assert changed_since(had, wanted, had) == wanted
    assert changed_since(shown, shown, had) == had
    found = changed_since(shown, wanted, had)
    if wanted.send_hour != shown.send_hour:
        assert found.send_hour == wanted.send_hour
    for name in ("topics", "muted_authors"):
        old, new, now, is_now = (
            set(getattr(one, name)) for one in (shown, wanted, had, found)
        )
        assert is_now == now - (old - new) | new - old
    assert len(found.interests.split("\n")) <= MOST_INTERESTS
