"""Spellings of a word that keywords, search and ranking treat alike, and those that differ."""

import pytest

from digest.papers.words import joined, singular, words
from digest.ranking.interests import Lexicon

ALIKE = [
    ("fine-tuning", "finetuning"),
    ("fine tuning", "fine-tuning"),
    ("Fine\u2011Tuning", "fine tuning"),
    ("KV caches", "KV cache"),
    ("policies", "policy"),
    ("movies", "movie"),
    ("batches", "batch"),
    ("LLMs", "LLM"),
    ("multi-agent systems", "multiagent system"),
    ("X-ray", "xray"),
    ("GPT-4", "gpt4"),
    ("data sets", "dataset"),
    ("text-to-video", "text to video"),
    ("C++", "c++"),
    ("Étude", "etude"),
    ("e\u0301tude – Straße", "étude – STRASSE"),
    ("ΣΊΣΥΦΟΣ", "Σίσυφος"),
    ("a\u0323\u0302b ﬁne", "a\u0302\u0323b fine"),
    ("finetuning language models", "fine-tuning language model"),
]
DIFFERENT = [
    ("C++", "C"),
    ("C", "C++"),
    ("C#", "C"),
    ("reasoning", "for this reason"),
    ("agent", "a gent"),
    ("agent", "urgent agentic agenda"),
    ("plan", "planes"),
    ("tuning", "finetuning"),
    ("language fine tuning", "fine tuning of language"),
    ("gradient", "gradually entire"),
]


@pytest.mark.parametrize(("one", "other"), ALIKE)
def test_a_keyword_finds_every_spelling(one: str, other: str) -> None:
    for keyword, text in ((one, other), (other, one)):
        assert Lexicon([f"On {text}, again"], [[]]).with_phrase(keyword) == {0}


@pytest.mark.parametrize(("keyword", "text"), DIFFERENT)
def test_a_keyword_finds_no_other_word(keyword: str, text: str) -> None:
    assert Lexicon([text], [[]]).with_phrase(keyword) == frozenset()


@pytest.mark.parametrize("word", ["bus", "class", "analysis", "gas", "is", "us", ""])
def test_a_word_that_only_looks_like_a_plural_stays(word: str) -> None:
    assert singular(word) == word


def test_words_and_what_they_make_together() -> None:
    assert words("Pre-trained C++ agents, 3D") == ["pre", "trained", "c++", "agent", "3d"]
    assert joined("pre-trained text model, a b") == {
        "pretrained",
        "trainedtext",
        "textmodel",
    }
