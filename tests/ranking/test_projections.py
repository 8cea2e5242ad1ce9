"""A projection refitted to an installation's papers: made whole, followed bit by bit, kept."""

from datetime import timedelta

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from digest import tasks
from digest.models import Edition, Paper, StoredProjection
from digest.ranking import directions, projections
from digest.ranking.loaded import load
from digest.ranking.projections import NotAdopted, current, refit
from digest.ranking.select import select
from digest.ranking.vectors import DIMENSIONS, shipped
from subscribers.models import Subscriber
from tests import make

pytestmark = pytest.mark.django_db
NOW, DAY = make.NOON, timedelta(days=1)
LEAST = 300
SYLLABLES = ["ba", "do", "fe", "gu", "ka", "lo", "mi", "nu", "pe", "ro", "sa", "ti"]
WORDS = [f"{a}{b}{c}x" for a in SYLLABLES for b in SYLLABLES for c in SYLLABLES[:4]]
SUBJECTS = [WORDS[place : place + 48] for place in range(0, len(WORDS), 48)]


@pytest.fixture(autouse=True)
def without_embeddings(settings) -> None:
    settings.SENTENCE_EMBEDDINGS = False


@pytest.fixture
def archive() -> None:
    """Papers of twelve subjects, each with words of its own, which no other language has."""
    chance = np.random.default_rng(7)
    papers = []
    for number in range(LEAST + 60):
        own = SUBJECTS[number % len(SUBJECTS)]
        words = [*chance.choice(own, 30), *chance.choice(WORDS, 6)]
        papers.append(
            Paper(
                arxiv_id=f"2603.{number:05}",
                day=make.DAY - DAY * (1 + number % 60),
                title=" ".join(words[:5]),
                abstract=" ".join(words),
                fetched_at=NOW,
            )
        )
    Paper.objects.bulk_create(papers)


def edition() -> Edition:
    """Today's papers: one of each subject, and one about robots."""
    words = {f"{' '.join(own[:4])}": " ".join(own[4:40]) for own in SUBJECTS}
    words["Robots that grasp"] = "A manipulation policy lets a humanoid robot grasp cloth."
    papers = [
        make.paper(number, title=title, abstract=abstract)
        for number, (title, abstract) in enumerate(words.items())
    ]
    return make.edition({paper: {} for paper in papers})


def reader(name: str, interests: str) -> Subscriber:
    made = make.reader(f"{name}@example.org")
    rows = Subscriber.objects.filter(pk=made.pk)
    rows.update(interests=interests, directions=None, most_papers=3)
    return made


def first(subscriber: Subscriber, of: Edition) -> str:
    (digest,) = select(load(of.pk), [(0, subscriber.pk)])
    return of.blocks.get(position=digest.picks[0].position).title


def versions() -> set[str]:
    return directions.versions(
        [bytes(row.directions or b"") for row in Subscriber.objects.all()]
    )


def test_t33_readers_follow_a_refit_and_lose_no_digest_meanwhile(archive) -> None:
    today = edition()
    robots = reader("ann", "robots which can grasp things")
    assert directions.refresh() == 1 and versions() == {shipped().version}
    assert first(robots, today) == "Robots that grasp"
    row = refit(NOW, least=LEAST)
    assert current().version == row.version != shipped().version
    # Ann's directions are still the old ones; a new reader has them by the new version.
    own = reader("bo", " ".join(SUBJECTS[3][10:20]))
    Subscriber.objects.filter(pk=robots.pk).update(keywords=["grasp"])
    directions.refresh(1)
    assert versions() == {row.version}
    # The worker that loaded the edition before ranks by both.
    assert first(own, today) == " ".join(SUBJECTS[3][:4])
    assert first(robots, today) == "Robots that grasp"


def test_a_slice_of_readers_of_two_versions_is_ranked_by_both(archive) -> None:
    today = edition()
    robots = reader("ann", "robots which can grasp things")
    directions.refresh()
    row = refit(NOW, least=LEAST)
    StoredProjection.objects.update(refreshed_to=robots.pk)
    own = reader("bo", " ".join(SUBJECTS[3][10:20]))
    directions.refresh()
    assert versions() == {shipped().version, row.version}
    digests = select(load(today.pk), [(0, robots.pk), (1, own.pk)])
    titles = [
        today.blocks.get(position=digest.picks[0].position).title for digest in digests
    ]
    assert titles == ["Robots that grasp", " ".join(SUBJECTS[3][:4])]
    assert all(digest.picks[0].reasons for digest in digests)


def test_following_goes_on_where_it_died_and_ends(archive) -> None:
    for number in range(5):
        reader(f"r{number}", f"robots which can {SUBJECTS[number][0]}")
    directions.refresh()
    row = refit(NOW, least=LEAST)
    assert directions.follow_refit(current(), most=2) == 2
    assert versions() == {shipped().version, row.version}
    assert [directions.follow_refit(current(), most=2) for _ in range(3)] == [2, 1, 0]
    assert versions() == {row.version}
    row.refresh_from_db()
    assert row.refreshed_to == directions.BEYOND_ALL, "each tick looks for readers"


def test_a_refit_runs_twice_and_is_undone_by_one_command(archive, capsys) -> None:
    row = refit(NOW, least=LEAST)
    again = refit(NOW + DAY, least=LEAST)
    assert again.pk == row.pk and StoredProjection.objects.count() == 1
    assert row.papers == Paper.objects.count()
    stored = projections.by_version(row.version)
    assert stored is not None and stored.matrix.shape[1] == DIMENSIONS
    call_command("refit", use="shipped")
    assert current() is shipped()
    call_command("refit", use=row.version)
    assert current().version == row.version
    with pytest.raises(CommandError, match="no projection 00000000 is stored"):
        call_command("refit", use="00000000")
    call_command("refit", list=True)
    # Fitted again to the same papers: the month counts from then.
    assert f"* {row.version} 2026-04-18, 360 papers" in capsys.readouterr().out


def test_too_few_papers_and_a_worse_fit_change_nothing(archive) -> None:
    with pytest.raises(CommandError, match="360 papers are stored; with fewer than 4000"):
        call_command("refit")
    about = {"robots": "robot manipulation and grasping", "speech": "speech recognition"}
    for slug, label in about.items():
        make.topic(slug, label=label)
    make.edition(
        {
            make.paper(
                number,
                title=about[slug],
                abstract=f"{about[slug]} {number}",
                is_sample=True,
            ): {slug: 1.0}
            for number, slug in enumerate(["robots", "speech"] * 12)
        }
    )
    with pytest.raises(NotAdopted, match="finds the topics' papers worse"):
        refit(NOW, least=LEAST)
    assert current() is shipped()
    assert StoredProjection.objects.get().adopted_at is None


def test_beat_refits_once_a_month(archive, monkeypatch) -> None:
    assert not projections.is_due(NOW)
    tasks.refit()
    assert not StoredProjection.objects.exists()
    monkeypatch.setattr(projections, "LEAST_PAPERS", LEAST)
    assert projections.is_due(NOW)
    row = refit(NOW, least=LEAST)
    assert not projections.is_due(NOW + 29 * DAY)
    assert projections.is_due(NOW + 31 * DAY)
    projections.adopt(shipped().version, now=NOW + DAY)
    assert not projections.is_due(NOW + 29 * DAY), "an operator went back to the shipped"
    assert row.version


def test_old_versions_go_but_never_the_one_that_ranks() -> None:
    for number in range(8):
        StoredProjection.objects.create(
            version=f"{number:08x}", fitted_at=NOW + number * DAY, content=b"x"
        )
    projections.adopt(shipped().version, now=NOW)
    kept = StoredProjection.objects.order_by("-fitted_at").values_list("version", flat=True)
    assert list(kept) == [f"{number:08x}" for number in (7, 6, 5, 4)] + [shipped().version]


def test_what_ranked_last_outlives_newer_fits_that_never_ranked() -> None:
    """Readers have their directions by it until they have followed."""
    for number in range(7):
        StoredProjection.objects.create(
            version=f"{number:08x}",
            fitted_at=NOW + number * DAY,
            adopted_at=None if number else NOW,
            content=b"x",
        )
    projections.adopt(shipped().version, now=NOW + 9 * DAY)
    kept = StoredProjection.objects.order_by("fitted_at").values_list("version", flat=True)
    assert set(kept) == {f"{number:08x}" for number in (0, 4, 5, 6)} | {shipped().version}


def test_known_papers_are_not_read_by_the_embeddings_again(settings) -> None:
    settings.SENTENCE_EMBEDDINGS = True
    known = shipped().past
    assert known.sentences is not None
    papers = [(known.ids[5], "whatever", "else"), ("2699.00001", "Robots", "that grasp")]
    points = projections.encoded(papers, known)
    assert points is not None and (points[0] == known.sentences[5]).all()
    assert points.shape == (2, known.sentences.shape[1]) and points[1].any()
