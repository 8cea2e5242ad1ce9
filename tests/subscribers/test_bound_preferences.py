"""What is confirmed is what the link's own mail and page show, whoever signs up meanwhile."""

import re
from datetime import timedelta

import pytest
import time_machine
from django.core import mail as mailbox
from django.test import Client
from django.utils.html import escape

from subscribers import requests, retention, subscriptions
from subscribers.addresses import canonical
from subscribers.models import ConsentEvent, Link, Notice, Subscriber
from subscribers.notices import outbox, send
from subscribers.preferences import Preferences, stored
from tests.subscribers.conftest import NOW, ORIGIN, TOKEN, ask, work_off

pytestmark = pytest.mark.usefixtures("topics")

HERS: dict[str, object] = {
    "topics": ("graphs",),
    "interests": "graphs that learn",
    "keywords": ("message passing",),
    "watched_authors": ("Ada Lovelace",),
    "muted_authors": ("Charles Babbage",),
    "watched_institutions": ("Analytical Engines",),
    "muted_institutions": ("Difference Engines",),
    "searches": ('author:"Emmy Noether"', "rings"),
    "trending": 2,
    "length": "titles",
    "most_papers": 5,
    "wants_missed": True,
    "language": "en",
    "timezone": "Europe/Berlin",
    "send_hour": 6,
    "cadence": "weekly",
    "days": (3,),
}
STRANGERS: dict[str, object] = {
    "topics": ("vision",),
    "interests": "Win $$ at evil.example",
    "keywords": ("evil",),
    "watched_authors": ("Eve",),
    "muted_authors": ("Ada Lovelace",),
    "watched_institutions": ("Evil Labs",),
    "muted_institutions": ("Analytical Engines",),
    "searches": ("evil",),
    "trending": 0,
    "length": "short",
    "most_papers": 20,
    "wants_missed": False,
    "language": "de",
    "timezone": "Asia/Tokyo",
    "send_hour": 23,
    "cadence": "daily",
    "days": (),
}
QUARTER = timedelta(minutes=16)  # within one, a mailbox gets no second mail of a kind
PAGE = {
    "topics": "Graphs",
    "interests": "graphs that learn",
    "keywords": "message passing",
    "watched_authors": "Ada Lovelace",
    "muted_authors": "Charles Babbage",
    "watched_institutions": "Analytical Engines",
    "muted_institutions": "Difference Engines",
    "searches": "rings",
    "trending": "Half my interests",
    "most_papers": "<dd>5</dd>",
    "wants_missed": "best of what I missed",
    "language": "English",
    "length": "Titles only",
    "timezone": "Berlin time",
    "send_hour": "06:00",
    "cadence": "Once a week, on Thursday",
}


def sign_up(preferences: dict[str, object], *, after: timedelta) -> str:
    """The token of the mail that was sent for it; empty if none was."""
    before = len(mailbox.outbox)
    subscriptions.subscribe(
        *ask("ann@example.org", **preferences), origin=ORIGIN, now=NOW + after
    )
    send.send_open_notices(now=NOW + after)
    return token_of_newest() if len(mailbox.outbox) > before else ""


def token_of_newest() -> str:
    found = TOKEN.search(str(mailbox.outbox[-1].body))
    assert found
    return found[1]


def chosen() -> dict[str, object]:
    return vars(stored(Subscriber.objects.get(email="ann@example.org")))


def page(token: str, *, after: timedelta, method: str = "get") -> str:
    with time_machine.travel(NOW + after, tick=False):
        answer = getattr(Client(), method)(f"/confirm/{token}/")
    return str(answer.content.decode())


@pytest.mark.parametrize("field", PAGE)
def test_the_page_shows_each_preference_that_it_confirms(field: str) -> None:
    token = sign_up(HERS, after=timedelta(0))
    assert PAGE[field] in page(token, after=QUARTER)


@pytest.mark.parametrize("field", HERS)
@pytest.mark.parametrize("after", [timedelta(minutes=1), QUARTER], ids=["no mail", "mail"])
def test_a_strangers_second_sign_up_changes_nothing_that_is_confirmed(
    field: str, after: timedelta
) -> None:
    """One field differs at a time: each must be bound."""
    hers = sign_up(HERS, after=timedelta(0))
    strangers = sign_up(HERS | {field: STRANGERS[field]}, after=after)
    assert bool(strangers) == (after == QUARTER)
    assert chosen() == HERS
    if not strangers:
        assert page(hers, after=after) == page(hers, after=timedelta(0))
    page(hers, after=after, method="post")
    if strangers:  # the newest link wins, so this one has ended and confirms nothing
        assert Subscriber.objects.get().state == "pending"
        button = "Abo bestätigen" if field == "language" else "Confirm my subscription"
        assert button in page(strangers, after=after)
        page(strangers, after=after, method="post")
    confirmed = HERS | ({field: STRANGERS[field]} if strangers else {})
    assert Subscriber.objects.get().state == "active"
    if field not in {"days", "cadence"}:
        assert chosen() == confirmed
    else:
        assert str(stored(Subscriber.objects.get()).schedule) in page_text(confirmed)


def page_text(preferences: dict[str, object]) -> str:
    return str(Preferences(**preferences).schedule)  # type: ignore[arg-type]


def test_a_page_that_is_open_confirms_what_it_shows() -> None:
    """Between her GET and her POST a stranger signs her up."""
    token = sign_up(HERS, after=timedelta(0))
    shown = page(token, after=timedelta(minutes=2))
    sign_up(STRANGERS, after=timedelta(minutes=3))
    page(token, after=timedelta(minutes=4), method="post")
    assert chosen() == HERS
    assert escape(HERS["interests"]) in shown
    receipt = ConsentEvent.objects.get(kind="confirmed")
    assert (receipt.detail["topics"], receipt.detail["send_hour"]) == (["graphs"], 6)


@pytest.mark.parametrize("way", ["the old link", "by address", "reminder"])
def test_each_way_to_a_fresh_link_keeps_what_its_mail_asked_about(way: str) -> None:
    first = sign_up(HERS, after=timedelta(0))
    newest = sign_up(STRANGERS, after=QUARTER)
    later = timedelta(hours=25) if way == "reminder" else timedelta(hours=3)
    reader = Subscriber.objects.get()
    match way:
        case "the old link":
            with time_machine.travel(NOW + later, tick=False):
                Client().post(f"/confirm/{first}/", {"action": "again"})
        case "by address":
            outbox.ask_by_address(canonical("ANN@example.org"), now=NOW + later)
        case "reminder":
            assert retention.remind(NOW + later + QUARTER) == 1
            later += QUARTER
    send.send_open_notices(now=NOW + later)
    token = token_of_newest()
    assert token not in {first, newest}
    page(token, after=later, method="post")
    assert chosen() == (HERS if way == "the old link" else STRANGERS)
    assert Subscriber.objects.get().pk == reader.pk


def test_a_strangers_sign_up_leaves_the_preferences_of_who_has_left() -> None:
    token = sign_up(HERS, after=timedelta(0))
    page(token, after=timedelta(minutes=1), method="post")
    reader = Subscriber.objects.get()
    week = timedelta(days=7, minutes=1)
    left = NOW + timedelta(minutes=2)
    subscriptions.unsubscribe(reader.pk, origin=ORIGIN, now=left)
    for after in (timedelta(hours=1), timedelta(days=40), timedelta(days=80)):
        sign_up(STRANGERS, after=after)
        assert Subscriber.objects.get().state == "pending"
        retention.purge(NOW + after + week)
        reader = Subscriber.objects.get()
        assert reader.state == "unsubscribed"
        assert (reader.unsubscribed_at, reader.changed_at) == (left, left)
        assert chosen() == HERS
    retention.purge(left + retention.LEFT)
    assert not Subscriber.objects.exists()


def test_the_mail_says_what_its_link_confirms_and_no_word_that_was_typed() -> None:
    sign_up(HERS, after=timedelta(0))
    sign_up(STRANGERS, after=QUARTER)
    first, second = (str(message.body) for message in mailbox.outbox)
    assert "Thursday" in first and "- Graphs" in first
    assert "23:00 Uhr (Ortszeit Tokio)" in second and "- Vision" in second
    assert not re.search(r"evil|\bEve\b|learn|Lovelace|message passing", first + second)


def test_once_confirmed_no_mail_and_no_link_keeps_a_copy() -> None:
    sign_up(STRANGERS, after=timedelta(0))
    token = sign_up(HERS, after=QUARTER)
    assert Link.objects.exclude(preferences={}).count() == 2
    page(token, after=QUARTER, method="post")
    assert not Link.objects.exclude(preferences={}).exists()
    assert not Notice.objects.exclude(preferences={}).exists()


def test_a_link_from_before_confirms_what_the_row_says() -> None:
    token = sign_up(HERS, after=timedelta(0))
    Link.objects.update(preferences={})
    page(token, after=timedelta(minutes=1), method="post")
    assert chosen() == HERS


def test_the_whole_way_through_the_forms(client: Client, form) -> None:
    client.post("/subscribe/", form)
    client.post("/subscribe/", form | {"topics": ["vision"], "send_hour": "23"})
    work_off()
    assert len(mailbox.outbox) == 1
    path = f"/confirm/{token_of_newest()}/"
    assert "Graphs" in client.get(path).text and "Vision" not in client.get(path).text
    client.post(path)
    assert chosen()["topics"] == ("graphs",)
    assert requests.handle_open(now=NOW) == 0
