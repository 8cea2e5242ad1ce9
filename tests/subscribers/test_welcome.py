"""The welcome: one mail for each confirmation, with the day of the first digest."""

from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from django.test import Client
from pytest_django import Settings

from subscribers import links, subscriptions
from subscribers.models import Link, Notice, Schedule, Subscriber
from subscribers.notices import send
from tests.race import at_once
from tests.sink import Sink
from tests.subscribers.conftest import NOW, ORIGIN, ask, bring_in, mailed_token

pytestmark = pytest.mark.usefixtures("topics")
Cadence = Schedule.Cadence


def subscribe() -> str:
    """Sign ann up and return the token of her link to confirm."""
    asked = ask(timezone="Europe/Berlin", send_hour=9)
    subscriptions.subscribe(*asked, origin=ORIGIN, now=NOW)
    return links.make(Subscriber.objects.get(), Link.Purpose.CONFIRM, now=NOW)


def ann() -> int:
    return Subscriber.objects.get().pk


def act(step: str, token: str) -> str:
    """Take one step of ann's; return the token of her newest link to confirm."""
    match step:
        case "subscribe":
            return subscribe()
        case "confirm":
            subscriptions.confirm(token, origin=ORIGIN, now=NOW)
        case "leave":
            subscriptions.unsubscribe(ann(), origin=ORIGIN, now=NOW)
        case "pause":
            subscriptions.pause(ann(), origin=ORIGIN, now=NOW)
        case "send":
            send.send_open_notices(now=NOW)
    return token


@pytest.mark.parametrize(
    ("steps", "welcomes"),
    [
        ("subscribe send", 0),
        ("subscribe confirm send send", 1),
        ("subscribe confirm confirm send confirm send", 1),
        ("subscribe confirm leave send", 0),
        ("subscribe confirm pause send", 0),
        ("subscribe confirm send leave subscribe confirm send", 2),
        ("subscribe confirm leave subscribe confirm send", 1),
        ("subscribe confirm leave subscribe send", 0),
    ],
)
def test_one_welcome_for_each_confirmation_and_none_to_who_left(
    mailer: Sink, steps: str, welcomes: int
) -> None:
    token = ""
    for step in steps.split():
        token = act(step, token)
    subjects = [str(mail.message["Subject"]) for mail in mailer.mails()]
    assert subjects.count("You are subscribed to Daily Papers") == welcomes


def test_the_operators_own_words_stand_in_the_welcome_as_text(
    mailer: Sink, settings: Settings
) -> None:
    settings.WELCOME_TEXT = "Run by <us> & friends.\nWrite to us."
    subscribe()
    act("send", "")
    token = links.make(Subscriber.objects.get(), Link.Purpose.CONFIRM, now=NOW)
    act("confirm", token)
    act("send", "")
    for mail in mailer.mails():
        bodies = [mail.message.get_body((kind,)) for kind in ("plain", "html")]
        plain, html = [str(body.get_content()) if body else "" for body in bodies]
        is_welcome = str(mail.message["Subject"]).startswith("You are subscribed")
        assert ("Run by <us> & friends." in plain) == is_welcome
        assert ("Run by &lt;us&gt; &amp; friends." in html) == is_welcome
    assert len(mailer.mails()) == 2


@pytest.mark.django_db(transaction=True)
def test_two_clicks_and_four_workers_at_once_make_one_welcome(mailer: Sink) -> None:
    token = subscribe()
    Notice.objects.all().delete()
    confirm = partial(subscriptions.confirm, token, origin=ORIGIN, now=NOW)
    at_once(confirm, confirm)
    at_once(*[partial(send.send_open_notices, now=NOW)] * 4)
    (mail,) = mailer.mails()
    assert mail.message["Subject"] == "You are subscribed to Daily Papers"


@pytest.mark.parametrize(
    ("wishes", "now", "first"),
    [
        ({}, datetime(2026, 4, 17, 6, 59, tzinfo=UTC), "Friday, 17 April at 09:00"),
        ({}, datetime(2026, 4, 17, 7, 0, tzinfo=UTC), "Saturday, 18 April at 09:00"),
        (
            {"cadence": Cadence.WEEKLY, "days": (2,)},
            datetime(2026, 4, 17, 6, 0, tzinfo=UTC),
            "Wednesday, 22 April at 09:00",
        ),
        (
            {"language": "de"},
            datetime(2026, 4, 17, 6, 0, tzinfo=UTC),
            "Freitag, 17. April um 09:00 Uhr",
        ),
    ],
)
def test_it_names_the_first_hour_of_the_schedule_in_the_readers_zone_and_words(
    mailer: Sink, wishes: dict[str, object], now: datetime, first: str
) -> None:
    wishes = {"timezone": "Europe/Berlin", "send_hour": 9} | wishes
    asked = ask(**wishes)  # type: ignore[arg-type]
    subscriptions.subscribe(*asked, origin=ORIGIN, now=now)
    token = links.make(Subscriber.objects.get(), Link.Purpose.CONFIRM, now=now)
    subscriptions.confirm(token, origin=ORIGIN, now=now)
    Notice.objects.exclude(kind=Notice.Kind.WELCOME).delete()
    send.send_open_notices(now=now)
    (mail,) = mailer.mails()
    for part in mail.message.iter_parts():
        words = " ".join(part.get_content().split())
        assert (
            first in words
            and ("(Berlin time)" in words or "(Ortszeit Berlin)" in words)
            and "Graph" in words
        )


def test_its_links_open_the_newest_digest_and_the_preferences(
    client: Client, active
) -> None:
    token = mailed_token()
    assert client.get(f"/preferences/{token}/").status_code == 200
    assert "No papers for you yet" in client.get(f"/preferences/{token}/newest/").text


def test_an_import_welcomes_nobody() -> None:
    bring_in(*ask("bo@example.org"), legal_source="a list")
    assert not Notice.objects.filter(kind=Notice.Kind.WELCOME).exists()


def test_a_late_welcome_is_not_sent(mailer: Sink) -> None:
    subscriptions.confirm(subscribe(), origin=ORIGIN, now=NOW)
    later = NOW + timedelta(hours=49)
    send.sweep(now=later)
    send.send_open_notices(now=later)
    assert mailer.mails() == []
