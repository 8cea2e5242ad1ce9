"""Two rankings interleaved: fair to both, off by default, credited by votes alone."""

import random
from collections import Counter
from datetime import timedelta

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from digest.deliveries.plan import plan_edition
from digest.deliveries.send import send_due
from digest.editions.picks import parse_picks
from digest.editions.publish import publish
from digest.models import Delivery, Edition, Vote
from digest.ranking.interleaving import Credit, credit, draft
from digest.ranking.loaded import lay_out
from digest.ranking.standing import standing
from subscribers.models import Subscriber
from tests import make

USUAL, VARIANT = [0, 1, 2, 3, 4], [4, 3, 2, 1, 0]


@pytest.mark.parametrize(
    ("lists", "most", "papers"),
    [
        ((USUAL, VARIANT), 5, {0, 1, 2, 3, 4}),
        ((USUAL, VARIANT), 2, {0, 4}),
        ((USUAL, USUAL), 3, {0, 1, 2}),
        (([0, -1, -1], [0, 1, 2]), 3, {0, 1, 2}),  # one list is shorter
        (([-1], [-1]), 3, set()),
        ((USUAL, VARIANT), 0, set()),
    ],
)
def test_each_paper_comes_once_and_no_team_has_more(lists, most, papers) -> None:
    for seed in range(20):
        drafted = list(draft(lists, most, random.Random(seed)))
        found = [lists[team][rank] for team, rank in drafted]
        assert len(found) == len(papers) and set(found) == papers
        if lists[0][-1] >= 0:
            assert abs(Counter(team for team, _ in drafted)[0] * 2 - len(drafted)) <= 1


def test_each_team_is_first_as_often_and_a_seed_repeats_its_draft() -> None:
    def first(seed: int) -> int:
        return next(draft((USUAL, VARIANT), 5, random.Random(f"{seed}")))[0]

    firsts = sum(first(seed) for seed in range(2000))
    assert 900 < firsts < 1100
    assert [first(seed) for seed in range(9)] == [first(seed) for seed in range(9)]


def test_of_near_duplicates_one_is_drafted() -> None:
    same = np.eye(5, dtype=np.bool_)
    same[0, 4] = same[4, 0] = True
    for seed in range(10):
        drafted = draft((USUAL, VARIANT), 5, random.Random(seed), same)
        found = {(USUAL, VARIANT)[team][rank] for team, rank in drafted}
        assert len(found) == 4 and not {0, 4} <= found


@pytest.mark.parametrize(
    ("variant", "usual", "share", "low", "high"),
    [  # Wilson's intervals as R's prop.test(correct = FALSE) gives them
        (8, 2, 0.8, 0.4902, 0.9433),
        (50, 50, 0.5, 0.4038, 0.5962),
        (0, 3, 0.0, 0.0, 0.5615),
        (0, 0, 0.5, 0.0, 1.0),
    ],
)
def test_the_interval(variant, usual, share, low, high) -> None:
    found = Credit(variant, usual, 0, 0)
    assert (found.share, *found.interval) == pytest.approx((share, low, high), abs=2e-4)


@pytest.fixture
def papers(db, sink, settings) -> None:
    settings.MAILER_URL = sink.url
    make.topic("graphs")
    for ago in range(3):
        for number in range(6):
            make.paper(10 * ago + number, day=make.DAY - ago * timedelta(days=1))
    for name in ("ann", "bo", "cy"):
        make.reader(f"{name}@example.org")
    Subscriber.objects.update(most_papers=4)


def send(ago: int) -> Edition:
    edition = publish(make.DAY - ago * timedelta(days=1), now=make.NOON)
    plan_edition(edition, make.NOON + timedelta(days=1))
    send_due(lambda: make.NOON + timedelta(days=1), edition_id=edition.pk)
    return edition


def test_it_runs_from_start_to_stop_and_votes_decide(papers, sink, capfdbinary) -> None:
    send(2)
    call_command("interleave", "start", "popular")
    edition = send(1)
    call_command("interleave", "stop")
    send(0)
    teams = [
        "".join(pick.team for pick in stored.picks)
        for picks in Delivery.objects.order_by("edition__day", "pk").values_list(
            "picks", flat=True
        )
        if (stored := parse_picks(picks))
    ]
    assert teams[:3] == teams[6:] == [""] * 3, "before and after"
    assert all(sorted(each) == ["a", "a", "b", "b"] for each in teams[3:6])
    # Ann likes both papers of the variant, Bo dislikes one of them, Cy likes one of each.
    for reader, wanted in zip(
        Subscriber.objects.order_by("pk"),
        ({"b": 1}, {"b": -1}, {"a": 1, "b": 1}),
        strict=True,
    ):
        row = Delivery.objects.get(edition=edition, subscriber=reader)
        stored = parse_picks(row.picks)
        assert stored
        laid = lay_out(edition.pk)
        places = [
            standing(laid, reader.pk, pick.position, until=make.NOON).place
            for pick in stored.picks
        ]
        assert places == [1, 2, 3, 4], "not explained by the ranking that drafted them"
        for pick in stored.picks:
            if value := wanted.get(pick.team):
                paper = edition.blocks.get(position=pick.position).paper
                Vote.objects.create(
                    subscriber=reader, paper=paper, value=value, at=make.NOON
                )
    assert credit("popular") == Credit(variant=1, usual=1, equal=1, votes=8)
    call_command("interleave")
    assert (
        "popular (ended): 1 readers preferred it, 1 the usual, 1 neither, by 8 votes; "
        "share 0.50, 95% from 0.09 to 0.91"
    ) in capfdbinary.readouterr().out.decode()
    day = make.DAY - timedelta(days=1)
    call_command("replay", "ann@example.org", f"{day}")
    assert capfdbinary.readouterr().out in {mail.raw for mail in sink.mails()}


@pytest.mark.django_db
@pytest.mark.parametrize("words", [["start"], ["stop", "popular"], ["start", "other"]])
def test_a_wrong_command_is_refused(words) -> None:
    with pytest.raises(CommandError):
        call_command("interleave", *words)
