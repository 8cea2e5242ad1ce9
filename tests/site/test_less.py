"""Less of a topic, an author or what else brought a paper: from the vote page, with undo."""

from dataclasses import asdict, replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client
from django.utils import timezone

from digest import signing
from digest.editions import picks
from digest.editions.compose import Pick, Reader
from digest.editions.reasons import Why, named
from digest.models import Delivery, Vote
from digest.ranking.loaded import load
from subscribers import links, subscriptions
from subscribers.models import ConsentEvent, Link, Notice, Subscriber, Trending
from subscribers.preferences import Preferences, stored
from tests import make
from tests.subscribers.conftest import ORIGIN

pytestmark = [pytest.mark.django_db, pytest.mark.embedded]
CHOSEN = Preferences(
    topics=("graphs", "knots"),
    keywords=("Braids", "loops"),
    watched_authors=("Ada Example",),
    watched_institutions=("Knot Labs",),
    searches=("braid group",),
    trending=Trending.HALF,
)
REASONS = (
    named(Why.KEYWORD, "braids"),
    named(Why.AUTHOR, "Ada Example"),
    named(Why.INSTITUTION, "Knot Labs"),
    named(Why.SEARCH, "braid group"),
    named(Why.TRENDING),
)


@pytest.fixture
def ann() -> Subscriber:
    """She got a paper for many reasons; her browser is not remembered yet."""
    reader = make.reader("ann@example.org", "graphs", "knots")
    make.change_preferences(reader.pk, CHOSEN, origin=ORIGIN, now=make.NOON)
    edition = make.edition({make.paper(1): {"knots": 1.0, "other": 0.5}})
    encoded = load(edition.pk).encoded
    pick = Pick(0, 0, REASONS)
    Delivery.objects.create(
        edition=edition,
        subscriber=reader,
        state=Delivery.State.ACCEPTED,
        picks=picks.format_picks(encoded, Reader(1, reader.email, "t"), [pick]),
        due_at=make.NOON,
        not_before=make.NOON,
        expires_at=make.NOON,
    )
    return reader


@pytest.fixture
def mine(client: Client, ann: Subscriber) -> Client:
    """Ann's own browser."""
    token = links.make(ann, Link.Purpose.PREFERENCES, now=timezone.now())
    client.post(f"/preferences/{token}/browsers/", {"action": "remember"})
    return client


def path() -> str:
    return f"/v/{signing.name(signing.Purpose.PAGE, Delivery.objects.get().pk)}/0"


def now_stored() -> Preferences:
    return stored(Subscriber.objects.get(email="ann@example.org"))


def put(**changes: Any) -> None:
    reader = Subscriber.objects.get(email="ann@example.org")
    preferences = replace(now_stored(), **changes)
    make.change_preferences(reader.pk, preferences, origin=ORIGIN, now=make.NOON)


def same(one: Preferences, other: Preferences) -> bool:
    """Whether they say the same, in whatever order and letter case."""

    def plain(value: object) -> object:
        if isinstance(value, tuple):
            return sorted(str(item).casefold() for item in value)
        return value

    others = asdict(other)
    return all(plain(value) == plain(others[name]) for name, value in asdict(one).items())


@pytest.mark.parametrize(
    ("what", "changed", "words"),
    [
        ("topic:knots", {"topics": ("graphs",)}, "The topic “Knots” is dropped."),
        (
            "author:Bo Sample",
            {"muted_authors": ("Bo Sample",)},
            "by Bo Sample are left out",
        ),
        ("keyword:braids", {"keywords": ("loops",)}, "“braids” is dropped"),
        ("watched:Ada Example", {"watched_authors": ()}, "You no longer watch Ada"),
        ("institution:Knot Labs", {"watched_institutions": ()}, "You no longer watch Knot"),
        ("search:braid group", {"searches": ()}, "“braid group” is dropped"),
        ("trending:2", {"trending": Trending.NEVER}, "only trending are left out"),
    ],
)
def test_one_press_drops_it_and_one_puts_it_back(mine, what, changed, words) -> None:
    assert f'value="{what}"' in mine.get(path()).content.decode()
    for _ in range(2):  # twice is once
        done = mine.post(path(), {"action": "drop", "what": what})["Location"]
        assert same(now_stored(), replace(CHOSEN, **changed))
    assert parse_qs(urlsplit(done).query) == {"dropped": [what]}
    page = mine.get(done).content.decode()
    assert words in page and 'value="put back"' in page
    for _ in range(2):
        undone = mine.post(path(), {"action": "put back", "what": what})["Location"]
        assert same(now_stored(), CHOSEN)
    assert "all is as before" in mine.get(undone).content.decode()
    assert not Vote.objects.exists()


LONG = "braid group " * 16 + "invariant"  # 201 characters are one too many


@pytest.mark.parametrize("length", [80, 81, 82, 120, 200])
def test_a_search_longer_than_its_reason_is_dropped_and_comes_back_whole(
    mine, length
) -> None:
    search, other = LONG[: length - 1].strip().ljust(length, "s"), LONG[:70].strip()
    put(searches=(other, search))
    row = Delivery.objects.get()
    cut = named(Why.SEARCH, search).name
    Delivery.objects.update(picks=row.picks.replace("9 braid group", f"9 {cut}"))
    what = f"search:{search}"
    assert f'value="{what}"' in mine.get(path()).content.decode()
    done = mine.post(path(), {"action": "drop", "what": what})["Location"]
    assert now_stored().searches == (other,)
    page = mine.get(done).content.decode()
    assert f"“{cut}” is dropped" in page and f'value="{what}"' in page
    mine.post(path(), {"action": "put back", "what": what})
    assert now_stored().searches == (other, search)


def test_of_searches_that_begin_alike_each_can_be_dropped(mine) -> None:
    searches = tuple(LONG[:149] + end for end in (" one", " two"))
    put(searches=searches)
    row = Delivery.objects.get()
    cut = named(Why.SEARCH, LONG).name
    Delivery.objects.update(picks=row.picks.replace("9 braid group", f"9 {cut}"))
    page = mine.get(path()).content.decode()
    for search in searches:
        assert f'value="search:{search}"' in page and f"“{search}”" in page
    mine.post(path(), {"action": "drop", "what": f"search:{searches[1]}"})
    assert now_stored().searches == searches[:1]


@pytest.mark.parametrize("end", ["knot", "  s", "\ns", "s" * 200])
def test_only_the_search_that_the_mail_named_comes_back(mine, end) -> None:
    cut = named(Why.SEARCH, LONG).name
    row = Delivery.objects.get()
    Delivery.objects.update(picks=row.picks.replace("9 braid group", f"9 {cut}"))
    other = {"knot": f"knot {LONG[5:]}"}.get(end, LONG[:150] + end)
    mine.post(path(), {"action": "put back", "what": f"search:{other}"})
    assert now_stored().searches == CHOSEN.searches


def test_more_topics_than_other_lists_may_have_come_back(mine) -> None:
    many = {make.topic(f"topic-{number}").slug for number in range(35)} | {"knots"}
    put(topics=tuple(sorted(many)))
    mine.post(path(), {"action": "drop", "what": "topic:knots"})
    assert set(now_stored().topics) == many - {"knots"}
    mine.post(path(), {"action": "put back", "what": "topic:knots"})
    assert set(now_stored().topics) == many


def test_a_list_that_is_full_again_takes_nothing_back_and_does_not_say_so(mine) -> None:
    mine.post(path(), {"action": "drop", "what": "search:braid group"})
    full = tuple(f"search {number}" for number in range(10))
    put(searches=full)
    undone = mine.post(path(), {"action": "put back", "what": "search:braid group"})
    assert now_stored().searches == full
    assert "all is as before" not in mine.get(undone["Location"]).text


def test_what_changes_nothing_has_no_receipt(mine) -> None:
    changes = ConsentEvent.objects.filter(kind=ConsentEvent.Kind.CHANGED)
    before = changes.count()
    for _ in range(2):
        mine.post(path(), {"action": "drop", "what": "topic:knots"})
    assert changes.count() == before + 1


@pytest.mark.parametrize(
    "what",
    ["topic:graphs", "topic:other", "author:Eve", "author:Ada Example", "keyword:loops"]
    + ["trending:1", "trending:9", "email:eve@example.org", "topic:", "", "\0", ":"],
)
@pytest.mark.parametrize("asked", ["drop", "put back"])
def test_only_what_the_paper_was_there_for_can_change(mine, what, asked) -> None:
    if (asked, what) in {("put back", "topic:other"), ("put back", "trending:1")}:
        pytest.skip("the paper has this topic; the mail was trending under either choice")
    mine.post(path(), {"action": asked, "what": what})
    assert same(now_stored(), CHOSEN)


def stranger(client: Client, ann: Subscriber) -> Client:
    return Client()


def another_readers(client: Client, ann: Subscriber) -> Client:
    token = links.make(
        make.reader("bob@example.org", "graphs"),
        Link.Purpose.PREFERENCES,
        now=timezone.now(),
    )
    client.post(f"/preferences/{token}/browsers/", {"action": "remember"})
    return client


@pytest.mark.parametrize("who", [stranger, another_readers])
def test_u7_a_forwarded_mail_changes_and_shows_no_preferences(client, ann, who) -> None:
    browser = who(client, ann)
    page = browser.get(f"{path()}?dropped=topic:knots").content.decode()
    assert "Mail me the link" in page and "Knot" not in page and "ann@" not in page
    browser.post(path(), {"action": "drop", "what": "topic:knots"})
    assert same(now_stored(), CHOSEN)
    sent = browser.post(path(), {"action": "link"})["Location"]
    assert "on its way" in browser.get(sent).content.decode()
    assert list(Notice.objects.values_list("subscriber__email", "kind")) == [
        ("ann@example.org", "preferences")
    ]


def test_u3_a_scanner_with_the_readers_cookie_drops_nothing(mine) -> None:
    before = ConsentEvent.objects.count()
    for query in ("", "/less", "?action=drop&what=topic:knots", "?dropped=topic:knots"):
        for method in ("get", "head", "options"):
            getattr(mine, method)(path() + query)
    forged = {"action": "drop", "what": "topic:knots"}
    mine.post(path(), forged, headers={"Sec-Fetch-Site": "cross-site"})
    assert same(now_stored(), CHOSEN) and ConsentEvent.objects.count() == before


def test_the_only_topic_is_not_offered_but_the_preferences_are(mine, ann) -> None:
    only = Preferences(topics=("knots",))
    make.change_preferences(ann.pk, only, origin=ORIGIN, now=make.NOON)
    page = mine.get(path()).content.decode()
    assert "topic:knots" not in page and "author:Bo Sample" in page


def test_who_left_is_offered_the_way_back_and_no_changes(mine, ann) -> None:
    subscriptions.unsubscribe(ann.pk, origin=ORIGIN, now=timezone.now())
    page = mine.get(path()).content.decode()
    assert "You have unsubscribed" in page and "Mail me the link" not in page
