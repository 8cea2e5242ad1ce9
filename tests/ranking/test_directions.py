"""A reader's words and likes, from the form to the picks, on the shipped projection."""

from datetime import timedelta
from importlib import import_module

import numpy as np
import pytest
from django.apps import apps
from hypothesis import given
from hypothesis import strategies as st

from digest.deliveries import replay
from digest.editions import phrases
from digest.models import Edition, Paper, Vote
from digest.ranking import directions, votes
from digest.ranking.directions import Kind, interests_of, pack, unpack
from digest.ranking.loaded import load
from digest.ranking.select import select
from digest.ranking.standing import standing
from digest.ranking.vectors import DIMENSIONS, Direction, shipped
from subscribers.consent import Origin
from subscribers.models import Subscriber, Topic
from subscribers.preferences import Preferences
from tests import make

SUBJECTS = {
    "video": (
        "Frames in Motion",
        "A video diffusion model that generates long clips with temporal consistency.",
    ),
    "robots": (
        "Hands that Fold",
        "A manipulation policy lets a humanoid robot grasp and fold cloth.",
    ),
    "speech": (
        "Heard in Noise",
        "Automatic speech recognition of spoken audio with a small acoustic encoder.",
    ),
    "proofs": (
        "Lean and Sure",
        "Formal theorem proving in Lean with a language model that writes proofs.",
    ),
    "proteins": (
        "Folds of Life",
        "Generative design of protein structures and molecules for drug discovery.",
    ),
}
SENTENCES = {
    "video": "I work on how diffusion models learn to generate video",
    "robots": "robots which can grasp things in a household",
    "speech": "recognising what people say in noisy recordings of speech",
    "proofs": "machines that prove mathematical theorems formally",
}


@pytest.fixture
def edition(db) -> Edition:
    return published(0)


def published(days: int) -> Edition:
    day = make.DAY + timedelta(days=days)
    papers: dict[Paper, dict[str, float]] = {
        make.paper(
            100 * days + place, day=day, upvotes=place, title=title, abstract=text
        ): {}
        for place, (title, text) in enumerate(SUBJECTS.values())
    }
    return make.edition(papers, day=day)


def digest_of(reader: Subscriber, edition: Edition) -> list[tuple[str, str]]:
    """(subject, reason) of the picks, directions computed as the tick does."""
    directions.refresh()
    loaded = load(edition.pk)
    names = {title: subject for subject, (title, _) in SUBJECTS.items()}
    blocks = list(edition.blocks.order_by("position"))
    labels = list(Topic.objects.values_list("label", flat=True))
    (digest,) = select(loaded, [(1, reader.pk)])
    return [
        (
            names[blocks[pick.position].title],
            phrases.reason("" if pick.topic is None else labels[pick.topic], pick.reasons),
        )
        for pick in digest.picks
    ]


def writes(reader: Subscriber, **fields: object) -> None:
    wanted = Preferences(**fields)  # type: ignore[arg-type]
    origin = Origin("/test/", "", "test")
    make.change_preferences(reader.pk, wanted, origin=origin, now=make.NOON)


@pytest.mark.parametrize("subject", SENTENCES)
def test_a_sentence_alone_brings_its_subject_first_and_says_so(edition, subject) -> None:
    ann = make.reader("ann@example.org")
    writes(ann, interests=SENTENCES[subject])
    first, reason = digest_of(ann, edition)[0]
    assert first == subject
    assert reason.endswith(f" to what you wrote: “{SENTENCES[subject]}”")


def test_several_lines_are_several_interests_and_each_brings_its_own(edition) -> None:
    ann = make.reader("ann@example.org")
    writes(ann, interests=f"{SENTENCES['video']}\n{SENTENCES['proofs']}")
    assert {subject for subject, _ in digest_of(ann, edition)[:2]} == {"video", "proofs"}


def test_a_reader_whom_nothing_fits_gets_the_nearest_and_reads_why(edition) -> None:
    ann = make.reader("ann@example.org")
    writes(ann, interests="compilers for quantum annealing hardware")
    picks = digest_of(ann, edition)
    assert len(picks) == 1
    words = "o what you wrote: “compilers for quantum annealing hardware”"
    assert {reason for _, reason in picks} <= {
        f"Close t{words}",
        f"Among the nearest t{words}",
    }


@pytest.mark.parametrize("words", ["", "zzz qqq", "the of and", "\u202e \ufdd0", "🤖🤖"])
def test_words_that_mean_nothing_leave_what_is_trending(edition, words) -> None:
    ann = make.reader("ann@example.org")
    writes(ann, interests=words)
    picks = digest_of(ann, edition)
    assert len(picks) == 5 and {reason for _, reason in picks} == {"Trending"}


def test_watching_an_author_does_not_switch_off_what_is_trending(edition) -> None:
    ann = make.reader("ann@example.org")
    writes(ann, watched_authors=("Ada Example",))
    assert len(digest_of(ann, edition)) == 5


def test_from_the_first_like_on_tomorrow_has_more_of_it(edition) -> None:
    ann = make.reader("ann@example.org", "graphs")
    tomorrow = published(1)
    assert digest_of(ann, tomorrow) == []
    liked = Paper.objects.get(title="Frames in Motion", day=make.DAY)
    votes.cast(ann.pk, liked, Vote.Value.MORE, now=make.NOON)
    assert digest_of(ann, tomorrow) == [
        ("video", "Like “Frames in Motion”, which you liked")
    ]
    votes.take_back(ann.pk, liked)
    assert digest_of(ann, tomorrow) == []


def test_who_looks_before_the_tick_sees_what_it_will_bring(edition) -> None:
    ann = make.reader("ann@example.org")
    writes(ann, interests=SENTENCES["proofs"])
    position = list(SUBJECTS).index("proteins")
    looks = []
    for _ in range(2):
        content = replay.preview(ann, edition, now=make.NOON)
        feed = [shown.reasons for shown in replay.shown_to(ann.pk, edition)]
        looks.append((content, feed, standing(load(edition.pk), ann.pk, position)))
        if len(looks) == 1:
            ann.refresh_from_db()
            assert ann.directions is None, "a look stores nothing"
            assert directions.refresh() == 1
    assert looks[0] == looks[1] and b"to what you wrote" in looks[0][0]


def test_a_dislike_puts_papers_like_it_last_in_the_trending_list(edition) -> None:
    ann = make.reader("ann@example.org")
    tomorrow = published(1)
    order = [subject for subject, _ in digest_of(ann, tomorrow)]
    assert order[0] == "proteins"
    paper = Paper.objects.get(title="Folds of Life", day=make.DAY)
    votes.cast(ann.pk, paper, Vote.Value.LESS, now=make.NOON)
    assert [subject for subject, _ in digest_of(ann, tomorrow)][-1] == "proteins"
    votes.take_back(ann.pk, paper)
    assert [subject for subject, _ in digest_of(ann, tomorrow)] == order


def test_a_dislike_counts_against_and_alone_brings_nothing(edition) -> None:
    ann = make.reader("ann@example.org", "graphs")
    tomorrow = published(1)
    paper = Paper.objects.get(title="Hands that Fold", day=make.DAY)
    votes.cast(ann.pk, paper, Vote.Value.LESS, now=make.NOON)
    assert digest_of(ann, tomorrow) == []


def test_new_words_replace_the_old_and_none_leave_nothing(edition) -> None:
    ann = make.reader("ann@example.org")
    writes(ann, interests=SENTENCES["video"])
    assert digest_of(ann, edition)[0][0] == "video"
    writes(ann, interests=SENTENCES["speech"])
    assert digest_of(ann, edition)[0][0] == "speech"
    writes(ann, interests="")
    assert digest_of(ann, edition)[0][1] == "Trending"
    ann.refresh_from_db()
    assert ann.directions == b""


def test_computing_is_done_once_and_only_for_who_changed(edition) -> None:
    for name in "abc":
        writes(make.reader(f"{name}@example.org"), interests=SENTENCES["video"])
    make.reader("d@example.org")
    assert directions.refresh(most=2) == 2
    assert directions.refresh() == 1
    assert directions.refresh() == 0


def test_a_slice_ranks_each_reader_as_alone(edition) -> None:
    people = [make.reader(f"{number}@example.org") for number in range(5)]
    writes(people[1], interests=SENTENCES["video"])
    writes(people[3], interests=f"{SENTENCES['proofs']}\n{SENTENCES['speech']}")
    directions.refresh()
    loaded = load(edition.pk)
    together = list(select(loaded, [(place, one.pk) for place, one in enumerate(people)]))
    for place, one in enumerate(people):
        (alone,) = select(loaded, [(place, one.pk)])
        assert together[place] == alone


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("protein folding, graph transformers; robots", 3),
        ("diffusion models, video generation, 3D vision", 3),
        ("LLMs, RAG and agents", 2),
        ("text to speech, image to video, and voice cloning", 3),
        ("reinforcement learning for robots, theory of transformers", 2),
        ("anomaly detection, anomaly, IT security, WHO data", 4),
        ("Lean, theorem proving, etc.", 2),
        ("speech, music; sound", 3),
        ("KV cache, LoRA,3D vision", 3),
        ("Diffusionsmodelle, Robotik und Sprache", 2),
        ("Yann LeCun, world models", 2),
        ("videos that stay consistent, over minutes", 1),
        ("consistent videos, over minutes", 1),
        ("physics in generated video, consistent over minutes", 1),
        ("speech recognition, robust against noise", 1),
        ("small language models, robust control", 2),
        ("language models, but small", 1),
        ("robots, which learn by watching", 1),
        ("3D scenes, from photos", 1),
        ("LLM agents, mostly for science", 1),
        ("video generation, not images", 1),
        ("making models smaller, faster", 1),
        ("fast, cheap inference", 1),
        ("deep, reinforcement learning", 1),
        ("training large models, cheaply", 1),
        ("how models learn, how agents plan", 1),
        ("I like diffusion, video, sound", 1),
        ("speech from 3,000 hours", 1),
        ("retrieval, i.e. search for models", 1),
        ("Roboter, die lernen", 1),
        ("kleine Modelle, ohne Training", 1),
        ("images, e.g. from satellites", 1),
        ("I read about transformers, mostly vision ones, and pruning of them all", 1),
        ("one line\n\nanother line\r\nthird", 3),
        ("", 0),
        (", ;", 0),
        ("\n".join(map(str, range(20))), 5),
    ],
)
def test_lines_and_lists_are_told_apart(text: str, found: int) -> None:
    assert len(interests_of(text)) == found


def test_only_readers_whose_text_may_be_cut_otherwise_now_are_read_anew(db) -> None:
    texts = {
        "ann": "videos that stay whole, over minutes",
        "bob": "diffusion, robots",
        "cy": "one line",
        "dan": "speech from 3,000 hours",
    }
    for name, text in texts.items():
        reader = make.reader(f"{name}@example.org")
        reader.interests, reader.directions = text, b""
        reader.save()
    import_module("digest.migrations.0039_sentences_stay_whole").forget(apps, None)
    anew = Subscriber.objects.filter(directions=None).order_by("pk")
    assert [reader.email[:3] for reader in anew] == ["ann", "bob", "dan"]


def test_a_direction_of_a_text_that_is_no_more_names_nothing(edition) -> None:
    reader = make.reader("ann@example.org")
    writes(reader, interests=f"{SENTENCES['proofs']}\n{SENTENCES['video']}")
    directions.refresh()
    Subscriber.objects.update(interests="cooking")
    (digest,) = select(load(edition.pk), [(1, reader.pk)])
    assert not digest.fault and {
        one.name for pick in digest.picks for one in pick.reasons
    } == {"cooking", ""}


def test_keywords_are_interests_where_nothing_else_was_written() -> None:
    assert interests_of("", ["KV cache", "pruning"]) == ["KV cache", "pruning"]
    assert interests_of("speech", ["KV cache"]) == ["speech"]


@given(
    # Without subnormal numbers, a part of which a byte's share of them cannot be.
    st.lists(
        st.lists(st.floats(-9, 9, width=32, allow_subnormal=False), min_size=4, max_size=4),
        max_size=6,
    ),
    st.integers(0, 400),
)
def test_what_is_stored_is_what_comes_back(rows: list[list[float]], likes: int) -> None:
    made = [
        (
            Kind.WRITTEN,
            7,
            Direction(np.resize(np.array(row, dtype=np.float32), DIMENSIONS), 1.5),
        )
        for row in rows
    ]
    stored = pack("01020304", likes, made)
    found = unpack([b"", stored, None, stored], "01020304")
    if not rows:
        assert stored == b"" and found is None
        return
    assert found is not None
    assert found.reader.tolist() == [1] * len(rows) + [3] * len(rows)
    assert found.likes.tolist() == [0, likes, 0, likes]
    for place, (_, _, direction) in enumerate(made):
        error = np.abs(found.weights(np.array([place]))[0] - direction.weights).max()
        assert error <= np.abs(direction.weights).max() / 127
    assert unpack([stored], "ffffffff") is None, "of another projection"


def test_a_slice_asks_the_database_twice_however_many_readers_it_has(
    edition, django_assert_num_queries
) -> None:
    for number in range(20):
        writes(make.reader(f"{number}@example.org"), interests=SENTENCES["video"])
    directions.refresh()
    loaded = load(edition.pk)
    owed: list[tuple[int, int | None]] = [
        (place, pk)
        for place, pk in enumerate(Subscriber.objects.values_list("pk", flat=True))
    ]
    with django_assert_num_queries(2):
        assert len(list(select(loaded, owed))) == 20
    assert shipped().version
