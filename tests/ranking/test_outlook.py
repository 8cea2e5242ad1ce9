"""What preferences would have brought in the last days: the numbers and the page."""

import time
from datetime import timedelta

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from digest.ranking import outlook as outlooks
from digest.ranking.outlook import outlook
from digest.site import limits
from subscribers import links
from subscribers.models import Link, Request, Subscriber
from subscribers.preferences import Preferences
from tests import make

VIDEO = (
    "Frames in Motion",
    "A video diffusion model generates long clips that hold together.",
)
ROBOTS = (
    "Hands that Fold",
    "A manipulation policy lets a humanoid robot grasp and fold cloth.",
)


@pytest.fixture
def editions(db):
    """Forty days; robots on each, video on every fourth, graphs on the oldest only."""
    graphs, video = make.topic("graphs").slug, make.topic("video").slug
    for back in range(40):
        day = make.DAY - timedelta(days=back)
        subjects = [ROBOTS, VIDEO] if back % 4 == 1 else [ROBOTS]
        papers = {
            make.paper(
                100 * back + place,
                day=day,
                title=title,
                abstract=text,
                authors=["Bo Sample"],
                organization="Sample Lab",
            ): {video: 1.0} if title == VIDEO[0] else {}
            for place, (title, text) in enumerate(subjects)
        }
        if back == 39:
            papers[make.paper(9999, day=day)] = {graphs: 1.0}
        make.edition(papers, day=day)


@pytest.mark.parametrize(
    ("wanted", "days_with", "rare", "matched"),
    [
        (Preferences(), 30, False, True),
        (Preferences(topics=("video",)), 8, True, False),
        (Preferences(topics=("graphs",)), 0, True, False),
        (Preferences(interests="robots that grasp cloth"), 30, False, True),
        (Preferences(topics=("graphs",), keywords=("humanoid robots",)), 30, False, True),
        (Preferences(topics=("graphs",), watched_authors=("bo sample",)), 30, False, True),
        (Preferences(muted_authors=("Bo Sample",)), 0, True, False),
        (
            Preferences(topics=("graphs",), watched_institutions=("sample lab",)),
            30,
            False,
            True,
        ),
        (Preferences(muted_institutions=("Sample Lab",)), 0, True, False),
    ],
)
def test_the_days_are_counted(editions, wanted, days_with, rare, matched) -> None:
    found = outlook(wanted)
    assert found is not None
    assert (found.days, found.days_with, found.rare) == (30, days_with, rare)
    assert found.matched == matched


def test_the_newest_papers_are_the_best_first(editions) -> None:
    found = outlook(Preferences(interests="robots that grasp cloth"))
    assert found is not None
    assert [paper.title for paper in found.newest] == [ROBOTS[0]]


def test_what_no_day_matches_is_told_that_the_nearest_comes(editions, client) -> None:
    found = outlook(Preferences(interests="compilers for quantum annealing hardware"))
    assert found is not None
    assert (found.days_with, found.nearest, found.matched) == (0, True, False)
    assert len(found.newest) == 1
    for chosen, told in (
        ({"interests": "compilers for quantum annealing hardware"}, True),
        ({"interests": "robots that grasp cloth"}, False),  # on every day one is close
        ({"topics": ["graphs"]}, False),
    ):
        page = client.post("/preview/", chosen).text
        assert (
            "On a day without a match the paper nearest to your words comes." in page
        ) == told


def test_who_gets_one_mail_a_week_is_told_nothing_of_single_days(editions, client) -> None:
    rare = {"interests": "compilers for quantum annealing hardware"}
    for cadence, told in (("daily", True), ("weekly", False)):
        page = client.post("/preview/", rare | {"cadence": cadence}).text
        assert ("On a day without a match" in page) == told
        assert ("Choose “Once a week”" in page) == told


def test_a_search_that_finds_nothing_has_no_nearest_paper(editions) -> None:
    found = outlook(Preferences(searches=("zeppelins",)))
    assert found is not None
    assert (found.days_with, found.nearest, list(found.newest)) == (0, False, [])


@pytest.mark.parametrize(
    ("chosen", "unknown", "unwanted", "general"),
    [
        ({"interests": "robots that grasp cloth, not video"}, False, True, False),
        ({"interests": "everything except robots"}, False, True, True),
        (
            {"interests": "everything except robots", "topics": ["video"]},
            False,
            True,
            False,
        ),
        ({"interests": "Sprachmodelle"}, True, False, True),
        ({"interests": "Sprachmodelle\nrobots that grasp cloth"}, True, False, False),
        ({"interests": "robots that grasp cloth"}, False, False, False),
        ({}, False, False, False),
    ],
)
def test_what_is_not_read_is_told(
    editions, client, chosen, unknown, unwanted, general
) -> None:
    page = client.post("/preview/", chosen).text
    assert ("We know no word of “<bdi>Sprachmodelle</bdi>”" in page) == unknown
    assert ("is not read, and leaves nothing out" in page) == unwanted
    assert ("So you get the day’s most upvoted papers." in page) == general


def test_papers_near_to_what_is_not_wanted_do_not_come_for_it(editions) -> None:
    without = "long videos by diffusion, but not robots that grasp and fold cloth"
    found = outlook(Preferences(interests=without))
    assert found is not None
    assert found.days_with == 8


def test_without_editions_there_is_none(db) -> None:
    assert outlook(Preferences()) is None


def test_a_second_look_is_quick_and_asks_the_database_twice(editions) -> None:
    outlook(Preferences())
    begin = time.process_time()
    with CaptureQueriesContext(
        connection,
    ) as queries:
        outlook(Preferences(interests="robots that grasp cloth", topics=("video",)))
    assert len(queries) == 2  # which editions, and which projection ranks
    assert time.process_time() - begin < 0.3


def test_a_new_edition_alone_is_laid_out_anew(editions) -> None:
    outlook(Preferences())
    before = outlooks.day_of.cache_info().misses
    make.edition({make.paper(5000): {}}, day=make.DAY + timedelta(days=1))
    assert outlook(Preferences()) is not None
    assert outlooks.day_of.cache_info().misses == before + 1


def test_looking_while_typing_has_a_limit_and_leaves_the_searches_alone(
    editions, client, monkeypatch
) -> None:
    cache.clear()
    monkeypatch.setattr(time, "time", lambda: 1_776_412_800.0)
    limit = limits.PREVIEWS.per_network
    for left in range(limit, -1, -1):
        answer = client.post("/preview/", {}, REMOTE_ADDR="203.0.114.7")
        assert (answer.status_code == 429) == (left == 0)
    assert (
        "Too many previews" in answer.text and "search" not in answer.text.split("<h1>")[1]
    )
    assert client.get("/search/?q=robots", REMOTE_ADDR="203.0.114.7").status_code == 200


def test_the_page_stores_nothing_and_says_what_to_do(editions, client) -> None:
    answer = client.post("/preview/", {"topics": ["video"], "cadence": "daily"})
    page = answer.content.decode()
    assert answer.status_code == 200
    assert "on 8 days" in page and "Once a week" in page
    assert answer["Cache-Control"] == "no-store" or "no-store" in answer["Cache-Control"]
    for model in (Request, Link, Subscriber):
        assert not model.objects.exists()


@pytest.mark.parametrize("data", [{"topics": ["no-such"]}, {"interests": "a\n" * 9 + "b"}])
def test_a_wrong_form_is_told_so(editions, client, data) -> None:
    answer = client.post("/preview/", data)
    assert answer.status_code in (200, 400)
    assert "What you would have got" in answer.content.decode()


def test_a_browser_without_a_cookie_may_ask(editions) -> None:
    answer = Client(enforce_csrf_checks=True).post("/preview/", {"topics": ["video"]})
    assert answer.status_code == 200


def test_a_get_leads_to_the_form(client, db) -> None:
    assert client.get("/preview/").status_code in (302, 405)


def test_both_forms_have_the_button_and_the_script_that_waits_for_a_hand(editions, client):
    """test_u3 of the browser sees that a mailed page's script sends nothing by itself."""
    ann = make.reader("ann@example.org")
    token = links.make(ann, Link.Purpose.PREFERENCES, now=timezone.now())
    for path in ("/subscribe/", f"/preferences/{token}/"):
        page = client.get(path).content.decode()
        assert 'formaction="/preview/"' in page and 'data-preview="/preview/"' in page
        assert 'class="preview" aria-live="polite"' in page
