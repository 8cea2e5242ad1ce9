"""Search by meaning: what everyday words find, what stays as it was, and the stored points."""

from collections.abc import Iterator

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from digest.models import Paper, PaperMeaning
from digest.papers import search as by_words
from digest.papers import search_index
from digest.ranking import meaning
from digest.ranking.meaning import fused, refresh, search
from tests import make

# What somebody might type who knows none of the title's words, and the title.
LABELLED = {
    "counting apples on trees from photos": "FruitNeRF: A Unified Neural Radiance Field based Fruit Counting Framework",
    "made-up references in scientific writing": "CiteAudit: You Cited It, But Did You Read It? A Benchmark for Verifying Scientific References in the LLM Era",
    "photos of meals and what is in them": "DiningBench: A Hierarchical Multi-view Benchmark for Perception and Reasoning in the Dietary Domain",
    "making slides and giving the talk automatically": "PresentAgent-2: Towards Generalist Multimodal Presentation Agents",
    "hostile messages hidden in fake news": "HateMirage: An Explainable Multi-Dimensional Dataset for Decoding Faux Hate and Subtle Online Abuse",
    "a computer that comes up with new experiments": "FlowPIE: Test-Time Scientific Idea Evolution with Flow-Guided Literature Exploration",
    "keep the answers to a wanted number of words": "Ruler: A Model-Agnostic Method to Control Generated Length for Large Language Models",
    "which product does the AI buy when it sees pictures": "Visual Persuasion: What Influences Decisions of Vision-Language Models?",
    "slow motion capture with many cheap cameras": "4DSloMo: 4D Reconstruction for High Speed Scene with Asynchronous Capture",
    "cheating when marks come from a checklist": "Reward Hacking in Rubric-Based Reinforcement Learning",
    "grouping points quickly on graphics cards": "Flash-KMeans: Fast and Memory-Efficient Exact K-Means",
    "writing a whole software project at once": "RPG: A Repository Planning Graph for Unified and Scalable Codebase Generation",
    "exam questions for Hindi and Bengali": "IndicMMLU-Pro: Benchmarking Indic Large Language Models on Multi-Task Language Understanding",
    "town streets seen from satellites": "UrBench: A Comprehensive Benchmark for Evaluating Large Multimodal Models in Multi-View Urban Scenarios",
    "an assistant that watches live television": "InternLM-XComposer2.5-OmniLive: A Comprehensive Multimodal System for Long-term Streaming Video and Audio Interactions",
    "drawing letters inside pictures": "TextAtlas5M: A Large-scale Dataset for Dense Text Image Generation",
}  # fmt: skip
OTHERS = [
    "Language Models Model Language",
    "Compact 3D Gaussian Splatting for Static and Dynamic Radiance Fields",
    "EuroLLM: Multilingual Language Models for Europe",
    "LongRecipe: Recipe for Efficient Long Context Generalization in Large Language Models",
    "MemoRAG: Moving towards Next-Gen RAG Via Memory-Inspired Knowledge Discovery",
    "Differentiable Solver Search for Fast Diffusion Sampling",
    "SpargeAttention2: Trainable Sparse Attention via Hybrid Top-k+Top-p Masking",
    "UI-R1: Enhancing Action Prediction of GUI Agents by Reinforcement Learning",
    "How Much 3D Do Video Foundation Models Encode?",
    "RARe: Retrieval Augmented Retrieval with In-Context Examples",
    "Outlier-Safe Pre-Training for Robust 4-Bit Quantization of Large Language Models",
    "MathCoder2: Better Math Reasoning from Continued Pretraining on Mathematical Code",
    "T-MAP: Red-Teaming LLM Agents with Trajectory-aware Evolutionary Search",
    "Evaluating Gemini Robotics Policies in a Veo World Simulator",
]


@pytest.fixture
def library(db: None) -> Iterator[None]:
    """The papers above, indexed and read."""
    meaning.stored.cache_clear()
    for number, title in enumerate([*LABELLED.values(), *OTHERS], 1):
        make.paper(number, title=title, abstract="", authors=["Hugo Laurençon"])
    search_index.refresh()
    assert refresh() == len(LABELLED) + len(OTHERS)
    yield
    meaning.stored.cache_clear()


def rank(titles: list[str], wanted: str) -> float:
    return 1 / (titles.index(wanted) + 1) if wanted in titles[:10] else 0.0


def test_everyday_words_find_what_shares_none_with_them(library: None) -> None:
    ranks = {"by words": 0.0, "by meaning too": 0.0}
    for text, wanted in LABELLED.items():
        for name, ask in zip(ranks, (by_words.search, search), strict=True):
            titles = [paper.title for paper in ask(text).papers(0, 10)]
            ranks[name] += rank(titles, wanted) / len(LABELLED)
    assert ranks["by meaning too"] >= 0.75, ranks
    assert ranks["by words"] <= 0.5, "the words alone find them: the test shows nothing"


AS_BEFORE = [
    "Hugo Laurençon",
    "gaussian",
    '"text image" of letters',
    "author:Laurencon slow film",
]
AS_BEFORE += [
    "2604.00001 fruit trees",
    "slow cameras before:2020",
    "zebra",
    "",
    "qwv xkcdz pfft",
]


def test_names_ids_filters_and_nonsense_are_searched_as_before(library: None) -> None:
    for text in AS_BEFORE:
        assert search(text) == by_words.search(text), text


def test_nothing_changes_without_the_extra(library: None, settings) -> None:
    settings.SENTENCE_EMBEDDINGS = False
    for text in LABELLED:
        assert search(text) == by_words.search(text)
    PaperMeaning.objects.all().delete()
    assert refresh() == 0


def test_papers_with_every_word_stay_first_and_none_comes_twice(library: None) -> None:
    found = search("fruit counting framework")
    assert found.exact == 1 and found.papers(0, 1)[0].title.startswith("FruitNeRF")
    ids = [hit.paper_id for hit in found.hits]
    assert len(ids) == len(set(ids))
    assert found.by_meaning <= set(ids[1:])


def test_a_search_by_meaning_asks_three_queries_more(library: None) -> None:
    text = "counting apples on trees from photos"
    search(text)
    with CaptureQueriesContext(connection) as both:
        search(text)
    with CaptureQueriesContext(connection) as words:
        by_words.search(text)
    assert len(both) <= len(words) + 3


def test_the_page_says_what_is_close_in_meaning(library: None, client: Client) -> None:
    page = client.get("/search/", {"q": "slow motion capture with many cheap cameras"}).text
    assert "close in meaning" in page and "4DSloMo" in page
    assert "close in meaning" not in client.get("/search/", {"q": "gaussian"}).text


# -- stored points -----------------------------------------------------------------------


def test_points_follow_the_papers_and_the_model(library: None, monkeypatch) -> None:
    assert refresh() == 0
    wanted = Paper.objects.get(title__startswith="4DSloMo")
    text = "slow motion capture with many cheap cameras"
    assert wanted.pk in search(text).by_meaning
    new = make.paper(
        99, title="Filming in slow motion with inexpensive cameras", abstract=""
    )
    search_index.refresh()
    assert new.pk not in search(text).by_meaning
    assert refresh() == 1
    assert new.pk in {hit.paper_id for hit in search(text).hits[:2]}
    wanted.delete()
    assert wanted.pk not in [hit.paper_id for hit in search(text).hits]
    PaperMeaning.objects.update(model="another")
    assert search(text) == by_words.search(text)
    assert refresh(most=3) == 3
    assert meaning.near(text)[0] == new.pk  # in the same row as before


def test_only_papers_that_are_searched_are_read(library: None, monkeypatch) -> None:
    PaperMeaning.objects.all().delete()
    monkeypatch.setattr(meaning, "NEWEST", 2)
    assert (refresh(), refresh()) == (2, 0)


def test_lists_are_merged_by_their_places() -> None:
    assert fused([1, 2, 3], [3, 4]) == [3, 1, 2, 4]
    assert fused([], [5, 6]) == [5, 6]
