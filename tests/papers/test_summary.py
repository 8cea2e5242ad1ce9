"""One line about a paper: the sentence that says what it offers, and never an invented one."""

import json

import pytest

from digest.papers.summary import sentences, telling_sentence

OFFER = "We introduce Teapot, a model that pours."
# What comes around it: the offer is found whatever the order.
ABSTRACTS = [
    f"{OFFER} It pours better than others.",
    f"Tea is poured everywhere. However, pouring is hard. {OFFER} It wins by 3.5 points.",
    f"Recent work pours e.g. tea. {OFFER} Code is at https://github.com/x/y.",
    f"Pouring, cf. Fig. 3, is studied by Smith et al. Who pours? {OFFER}",
    f"Extensive experiments show that we introduce too much. {OFFER}",
]
OTHERS = [
    ("We study how people pour tea. It is not known.", "We study how people pour tea."),
    (
        "To close this gap, we propose a kettle that listens. We also propose a cup.",
        "To close this gap, we propose a kettle that listens.",
    ),
    ("This paper presents a survey of tea.", "This paper presents a survey of tea."),
    ("Tea is hot. It cools.", "Tea is hot."),  # it offers nothing: the first one
    ("", ""),
    ("no mark at the end", "no mark at the end"),
    ("我们提出一种方法。它很好。", "我们提出一种方法。"),
]


@pytest.mark.parametrize("abstract", ABSTRACTS)
def test_the_sentence_that_offers_something_is_taken(abstract: str) -> None:
    assert telling_sentence(abstract) == OFFER


@pytest.mark.parametrize(("abstract", "line"), OTHERS)
def test_without_one_the_next_best_is_taken(abstract: str, line: str) -> None:
    assert telling_sentence(abstract) == line


def test_a_line_is_always_a_sentence_of_the_abstract(data_folder) -> None:
    """On real abstracts; most lines say what the paper does, which first sentences do not."""
    lines = (data_folder / "hf_daily_dev_2026-01_2026-05.jsonl").read_text().splitlines()
    abstracts = [json.loads(line)["abstract"] for line in lines]
    offers = firsts = 0
    for abstract in abstracts:
        line = telling_sentence(abstract)
        assert line and line in abstract
        assert "".join(sentences(abstract)).replace(" ", "") == abstract.replace(" ", "")
        offers += (
            "We " in line or "we " in line or "his paper" in line or "his work" in line
        )
        firsts += line == sentences(abstract)[0]
    assert offers / len(abstracts) > 0.85
    assert firsts / len(abstracts) < 0.4
