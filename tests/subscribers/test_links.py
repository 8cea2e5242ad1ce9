"""Tokens: one purpose, one lifetime, never in clear."""

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from subscribers import links, subscriptions
from subscribers.models import Link, Subscriber
from tests.subscribers.conftest import NOW, ORIGIN, ask

Purpose = Link.Purpose
MALFORMED = [
    "",
    "x",
    "a" * 21,
    "a" * 23,
    "a" * 21 + "/",
    "a" * 21 + "=",
    "é" * 22,
    "a" * 22 + "\n",
]


@pytest.fixture
def reader(topics: None) -> Subscriber:
    subscriptions.subscribe(*ask(), origin=ORIGIN, now=NOW)
    return Subscriber.objects.get()


@pytest.mark.parametrize("made", Purpose)
@pytest.mark.parametrize("used", Purpose)
def test_s11_a_token_serves_its_own_purpose_only(
    reader: Subscriber, made: Purpose, used: Purpose
) -> None:
    token = links.make(reader, made, now=NOW)
    if made == used:
        assert links.read(token, used, now=NOW).subscriber == reader
    else:
        with pytest.raises(links.Unknown):
            links.read(token, used, now=NOW)


@pytest.mark.parametrize("purpose", Purpose)
def test_the_token_to_unsubscribe_opens_nothing_else(
    reader: Subscriber, purpose: Purpose
) -> None:
    with pytest.raises(links.Unknown):
        links.read(reader.unsubscribe_token, purpose, now=NOW)


@pytest.mark.parametrize(("purpose", "hours"), [("confirm", 48), ("preferences", 24)])
def test_s11_a_token_ends_after_its_lifetime(
    reader: Subscriber, purpose: str, hours: int
) -> None:
    wanted = Purpose(purpose)
    token = links.make(reader, wanted, now=NOW)
    end = NOW + timedelta(hours=hours)
    assert links.read(token, wanted, now=end - timedelta(seconds=1)).subscriber == reader
    with pytest.raises(links.Expired) as expired:
        links.read(token, wanted, now=end)
    assert expired.value.link.subscriber == reader


def test_a_reminder_leaves_the_first_link_its_48_hours(reader: Subscriber) -> None:
    first = links.make(reader, Purpose.CONFIRM, now=NOW)
    later = NOW + timedelta(hours=24)
    second = links.make(reader, Purpose.CONFIRM, now=later, beside=True)
    for token in (first, second):
        assert links.read(token, Purpose.CONFIRM, now=later).subscriber == reader
    with pytest.raises(links.Expired):
        links.read(first, Purpose.CONFIRM, now=NOW + timedelta(hours=48))


def test_u8_of_links_to_confirm_the_newest_wins(reader: Subscriber) -> None:
    old = links.make(reader, Purpose.CONFIRM, now=NOW)
    new = links.make(reader, Purpose.CONFIRM, now=NOW)
    assert links.read(new, Purpose.CONFIRM, now=NOW).subscriber == reader
    with pytest.raises(links.Expired):
        links.read(old, Purpose.CONFIRM, now=NOW)


def test_links_to_the_preferences_stand_side_by_side(reader: Subscriber) -> None:
    old = links.make(reader, Purpose.PREFERENCES, now=NOW)
    links.make(reader, Purpose.PREFERENCES, now=NOW)
    assert links.read(old, Purpose.PREFERENCES, now=NOW).subscriber == reader


@pytest.mark.parametrize("token", MALFORMED)
def test_what_is_no_token_is_told_apart(reader: Subscriber, token: str) -> None:
    with pytest.raises(links.Malformed):
        links.read(token, Purpose.CONFIRM, now=NOW)


def test_s11_the_database_holds_no_token_in_clear(reader: Subscriber) -> None:
    token = links.make(reader, Purpose.CONFIRM, now=NOW)
    assert token not in str(list(Link.objects.values()))


def test_addresses_are_built_from_the_site_url(settings) -> None:
    settings.SITE_URL = "https://papers.example.org"
    token = "a" * 22
    assert links.url("confirm", token) == f"https://papers.example.org/confirm/{token}/"
    assert links.unsubscribe_url(token) == f"https://papers.example.org/u/{token}"
    for name in links.PATHS:
        path = reverse(name, args=[token])
        assert links.url(name, token) == f"https://papers.example.org{path}"


def test_s11_no_token_stands_in_a_log_not_even_of_a_fault(
    reader: Subscriber, settings, caplog
) -> None:
    caplog.set_level("DEBUG")
    browser = Client(raise_request_exception=False)
    token = links.make(reader, Purpose.CONFIRM, now=timezone.now())
    paths = [f"/confirm/{token}/", f"/preferences/{token}/", f"/confirm/{token}"]
    paths += [f"/u/{reader.unsubscribe_token}", f"/u/{reader.unsubscribe_token}/x"]
    whole = [browser.get(path).status_code for path in paths]
    settings.TEMPLATES = [
        engine | {"DIRS": ["/nonexistent"], "APP_DIRS": False}
        for engine in settings.TEMPLATES
    ]
    broken = [browser.get(path).status_code for path in paths]
    assert (whole[0], whole[1], broken[0]) == (200, 404, 500)
    assert "server error at /confirm/<str:token>/" in caplog.text
    assert token not in caplog.text
    assert reader.unsubscribe_token not in caplog.text
