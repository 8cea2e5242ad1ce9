"""Votes: what they change in a reader's profile, and what they leave alone."""

import csv
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial

import pytest
from django.db import DatabaseError, connection
from django.utils import timezone

from digest.models import Paper, Vote
from digest.privacy import personal_data as data_of_digests
from digest.ranking import votes
from digest.ranking.loaded import load
from digest.ranking.select import select
from subscribers import (
    address_change,
    import_export,
    links,
    preferences,
    privacy,
    subscriptions,
)
from subscribers.addresses import canonical
from subscribers.consent import Origin
from subscribers.import_file import ImportFile
from subscribers.import_rows import KNOWN
from subscribers.models import Link, Subscriber, Topic
from subscribers.preferences import Preferences
from tests import make
from tests.race import at_once

pytestmark = pytest.mark.django_db
ORIGIN = Origin("/test/", "", "test")
MORE, LESS = Vote.Value.MORE, Vote.Value.LESS


@pytest.fixture
def papers() -> list[Paper]:
    """Ten of one day: the first five of knots, all of films, the last two of ropes too."""
    for position, slug in enumerate(["knots", "films", "ropes"], 900):
        make.topic(slug, position=position)
    weights = {
        make.paper(number, upvotes=10 - number): {
            "films": 1.0,
            **({"knots": 0.7} if number < 5 else {}),
            **({"ropes": 0.4} if number > 7 else {}),
        }
        for number in range(10)
    }
    make.edition(weights)
    return list(weights)


@pytest.fixture
def ann(papers) -> Subscriber:
    return make.reader("ann@example.org", "knots")


def say(reader: Subscriber, value: Vote.Value, *papers: Paper) -> None:
    for paper in papers:
        votes.cast(reader.pk, paper, value, now=make.NOON)


def weights(reader: Subscriber) -> dict[str, float]:
    reader.refresh_from_db()
    return {
        str(row["topic"]): float(str(row["weight"])) for row in preferences.weights(reader)
    }


def recomputed(reader: Subscriber) -> bytes:
    chosen = reader.topics.values_list("column", flat=True)
    return preferences.profile(chosen, votes.leanings(reader.pk))


# -- the profile ------------------------------------------------------------------


def test_a_vote_leans_to_the_topics_of_its_paper_chosen_or_not(ann, papers):
    assert weights(ann) == {"knots": 1}
    say(ann, MORE, papers[0])
    after = weights(ann)
    assert 1 < after["knots"] < 1.2 and 0 < after["films"] < 0.2 and "ropes" not in after
    say(ann, LESS, papers[9])
    after = weights(ann)
    assert after["ropes"] < 0 and "films" not in after and after["knots"] > 1


def test_the_last_word_counts_and_saying_it_twice_is_saying_it_once(ann, papers):
    say(ann, MORE, papers[0])
    once = weights(ann)
    say(ann, MORE, papers[0])
    assert weights(ann) == once and Vote.objects.count() == 1
    say(ann, LESS, papers[0])
    assert Vote.objects.get().value == -1
    assert weights(ann)["knots"] < 1 and weights(ann)["films"] < 0


def test_a_vote_taken_back_leaves_nothing(ann, papers):
    before = ann.profile
    say(ann, MORE, papers[0], papers[1])
    say(ann, LESS, papers[9])
    for paper in papers:
        votes.take_back(ann.pk, paper)
    ann.refresh_from_db()
    assert bytes(ann.profile) == before and not Vote.objects.exists()


@pytest.mark.embedded
def test_no_number_of_votes_unchooses_a_topic_or_makes_another_a_chosen_one(ann, papers):
    say(ann, LESS, *papers[:5])
    many = [make.paper(number) for number in range(100, 180)]
    make.edition(dict.fromkeys(many, {"knots": 1.0}), day=make.DAY - timedelta(1))
    say(ann, LESS, *many)
    assert weights(ann)["knots"] == (preferences.CHOSEN - 30) / preferences.CHOSEN
    for paper in many:
        votes.cast(ann.pk, paper, MORE, now=make.NOON)
    say(ann, MORE, *papers)
    assert 0 < weights(ann)["films"] < 0.5


def test_only_the_newest_votes_count(ann, papers, monkeypatch):
    monkeypatch.setattr(votes, "MOST_COUNTED", 2)
    votes.cast(ann.pk, papers[9], LESS, now=make.NOON - timedelta(days=400))
    assert weights(ann)["ropes"] < 0
    say(ann, MORE, papers[0], papers[1])
    assert "ropes" not in weights(ann)


def test_a_later_edition_of_a_paper_changes_no_profile(ann, papers):
    say(ann, MORE, papers[0])
    before = weights(ann)
    make.edition({papers[0]: {"ropes": 1.0}}, kind="weekly")
    say(ann, MORE, papers[0])
    assert weights(ann) == before


def test_the_stored_profile_is_the_recomputed_one_after_every_change(papers, tmp_path):
    now = timezone.now()
    wanted = Preferences(topics=("knots", "ropes"))
    subscriptions.subscribe(canonical("bo@example.org"), wanted, origin=ORIGIN, now=now)
    bo = Subscriber.objects.get()
    other = "bo@example.com"
    token = links.make(bo, Link.Purpose.CONFIRM, now=now)
    changes: list[Callable[[], object]] = [
        lambda: subscriptions.confirm(token, origin=ORIGIN, now=now),
        lambda: say(bo, MORE, *papers[:4]),
        lambda: make.change_preferences(
            bo.pk, Preferences(topics=("films",)), origin=ORIGIN, now=now
        ),
        lambda: say(bo, LESS, papers[0], papers[9]),
        lambda: subscriptions.pause(bo.pk, origin=ORIGIN, now=now),
        lambda: subscriptions.slow_down(bo.pk, origin=ORIGIN, now=now),
        lambda: subscriptions.resume(bo.pk, origin=ORIGIN, now=now),
        lambda: address_change.confirm(
            links.make(bo, Link.Purpose.ADDRESS, now=now, email=other),
            origin=ORIGIN,
            now=now,
        ),
        lambda: votes.take_back(bo.pk, papers[9]),
        lambda: make.change_preferences(bo.pk, Preferences(), origin=ORIGIN, now=now),
        lambda: subscriptions.unsubscribe(bo.pk, origin=ORIGIN, now=now),
        lambda: subscriptions.ask_back(bo.pk, origin=ORIGIN, now=now),
        lambda: subscriptions.subscribe(
            canonical(other), Preferences(topics=("ropes",)), origin=ORIGIN, now=now
        ),
    ]
    seen = set()
    for change in changes:
        change()
        bo.refresh_from_db()
        assert bytes(bo.profile) == recomputed(bo)
        seen.add(bytes(bo.profile))
    assert len(seen) == 6 and bo.email == other, "what is not confirmed changes nothing"


def test_imported_readers_have_their_profile(papers, tmp_path):
    path = tmp_path / "readers.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(
            [["email", "topics"], ["cy@example.org", "knots films"], ["di@example.org", ""]]
        )
    imported = list(
        import_export.load(ImportFile(path, KNOWN), legal_source="a list", now=make.NOON)
    )
    assert [row.words for row in imported] == ["", ""]
    cy, di = Subscriber.objects.order_by("email")
    assert weights(cy) == {"knots": 1, "films": 1} and weights(di) == {}
    assert bytes(cy.profile) == recomputed(cy)


def test_a_new_topic_gets_a_column_of_its_own_and_old_profiles_stay(ann):
    columns = set(Topic.objects.values_list("column", flat=True))
    new = make.topic("splices")
    assert new.column not in columns
    new.label = "Splices & more"
    new.save()
    assert Topic.objects.get(slug="splices").column == new.column
    assert weights(ann) == {"knots": 1}


# -- the next digest --------------------------------------------------------------


type NextDigest = Callable[[Subscriber], list[tuple[str, str]]]


@pytest.fixture
def next_digest(papers) -> NextDigest:
    """Topics and reasons of a digest of four papers: one of each topic, one of none."""
    day, slugs = make.DAY + timedelta(days=1), ["knots", "films", "ropes", "none"]
    edition = make.edition(
        {
            make.paper(500 + place, day=day, upvotes=5 - place): {slug: 1.0}
            for place, slug in enumerate(slugs)
        },
        day=day,
    )
    ready = load(edition.pk)
    labels = ready.encoded.localized["en", "short"].text.labels

    def digest_of(reader: Subscriber) -> list[tuple[str, str]]:
        (digest,) = select(ready, [(1, reader.pk)])
        return [
            (slugs[pick.position], labels[pick.topic].decode().removesuffix("=\r\n"))
            for pick in digest.picks
        ]

    return digest_of


def test_papers_like_those_disliked_come_later_but_come(papers, next_digest):
    bo = make.reader("bo@example.org", "knots", "films")
    assert [topic for topic, _ in next_digest(bo)] == ["knots", "films"]
    say(bo, LESS, *papers[:5])
    say(bo, MORE, *papers[5:])
    assert [topic for topic, _ in next_digest(bo)][:2] == ["films", "knots"]


def test_who_chose_no_topic_gets_what_is_trending_in_the_order_of_their_votes(
    papers, next_digest
):
    cy = make.reader("cy@example.org")
    trending = ["knots", "films", "ropes", "none"]
    assert [topic for topic, _ in next_digest(cy)] == trending
    say(cy, LESS, *papers[5:8])
    assert [topic for topic, _ in next_digest(cy)] == ["knots", "ropes", "none", "films"]
    say(cy, MORE, *papers[5:8])
    assert next_digest(cy)[0] == ("films", "Trending")


# -- who may, and when ------------------------------------------------------------


def test_an_erased_reader_has_no_votes_and_can_cast_none(ann, papers):
    say(ann, MORE, papers[0])
    privacy.erase(ann.pk, now=make.NOON)
    assert not Vote.objects.exists()
    say(ann, MORE, papers[0])
    votes.take_back(ann.pk, papers[0])
    assert not Vote.objects.exists()


def test_g2_the_download_holds_votes_and_weights(ann, papers):
    say(ann, LESS, papers[0])
    held = data_of_digests(ann)
    assert held["votes"] == [
        {"paper__arxiv_id": "2604.00000", "value": -1, "at": make.NOON}
    ]
    ann.refresh_from_db()
    tables = privacy.personal_data(ann)
    assert {str(row["topic"]) for row in tables["profile"]} == {"knots", "films"}
    assert "profile" not in tables["subscriber"][0]


@pytest.fixture
def failing() -> Iterator[None]:
    """A database that refuses to change a reader."""

    def execute(run, sql, params, many, context):
        if sql.startswith('UPDATE "subscribers_subscriber"'):
            raise DatabaseError("the disk is full")
        return run(sql, params, many, context)

    with connection.execute_wrapper(execute):
        yield


def test_a_vote_is_stored_with_its_effect_or_not_at_all(ann, papers, failing):
    with pytest.raises(DatabaseError):
        votes.cast(ann.pk, papers[0], MORE, now=make.NOON)
    assert not Vote.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_votes_at_once_are_one_vote_a_paper_and_none_is_lost(ann, papers):
    chosen = [(paper, value) for value in (MORE, LESS) for paper in papers[:4]]
    at_once(*[partial(votes.cast, ann.pk, *one, now=make.NOON) for one in chosen])
    ann.refresh_from_db()
    assert Vote.objects.count() == 4
    assert bytes(ann.profile) == recomputed(ann)
