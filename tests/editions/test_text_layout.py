"""By which script a text is read, and plain text in columns."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from digest.editions.text_layout import attributes, fill, width
from digest.ops.gallery import gallery


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("A plain title", {"lang": "en"}),
        ("BERT и другие модели языка", {"lang": "ru"}),
        (gallery.JAPANESE, {"lang": "ja"}),
        (gallery.CHINESE, {"lang": "zh"}),
        (gallery.KOREAN, {"lang": "ko"}),
        (gallery.ARABIC, {"lang": "ar", "dir": "rtl"}),
        (gallery.HEBREW, {"lang": "he", "dir": "rtl"}),
        ("On the word 図 in English", {"lang": "en"}),
        ("3.5% (2026)", {"lang": "en"}),
        ("", {"lang": "en"}),
    ],
)
def test_a_script_tells_language_and_direction(text, found):
    assert attributes(text) == found


@given(st.text(st.characters(categories=["L", "N", "P", "Zs"]), max_size=400))
def test_filling_loses_nothing_and_keeps_the_columns(text):
    filled = fill(text)
    assert "".join(filled.split()) == "".join(text.split())
    for line in filled.split("\n"):
        words = line.split()
        assert width(line) <= 74 or len(words) <= 2 or not line.isascii()


def test_wide_characters_count_twice():
    lines = fill(gallery.JAPANESE_TEXT).split("\n")
    assert len(lines) > 10
    assert all(width(line) <= 74 for line in lines)
    assert not any(line.startswith(("。", "、")) for line in lines)


WORDS = [
    "Agents",
    "Schrödinger’s",
    "and",
    "🚀🔥",
    "模型",
    "модели",
    "(2026)",
    "self-play",
    "–",
    "🇩🇪",
]


@given(st.lists(st.sampled_from(WORDS), max_size=60))
@example([*["Agents"] * 2, *["Schrödinger’s"] * 3, "🚀🔥", "self-play", "🇩🇪"])
def test_beside_wide_characters_words_stay_whole_and_lines_short(words):
    lines = fill(" ".join(words)).split("\n")
    assert all(width(line) <= 74 for line in lines)
    narrow = [word for word in words if width(word) == len(word)]
    assert [word for line in lines for word in line.split() if word in narrow] == narrow
