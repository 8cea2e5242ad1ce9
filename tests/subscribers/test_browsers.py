"""A remembered browser opens its reader's preferences; nothing else opens them by its cookie."""

from collections.abc import Callable
from datetime import timedelta

import pytest
import time_machine
from django.core import signing
from django.test import Client
from django.utils import timezone

from subscribers import address_change, browsers, links, privacy, retention, subscriptions
from subscribers.models import Browser, Link, Notice, Subscriber
from tests import make
from tests.subscribers.conftest import ORIGIN

pytestmark = [pytest.mark.django_db, pytest.mark.embedded]
PHONE = "Mozilla/5.0 (Android 15; Mobile; rv:145.0) Gecko/145.0 Firefox/145.0"
MINE = "/preferences/mine/"


@pytest.fixture
def ann() -> Subscriber:
    return make.reader("ann@example.org", "graphs", "vision")


def remember(client: Client, reader: Subscriber, **headers: str) -> str:
    """Press the button behind a mailed link; return the link's page."""
    token = links.make(reader, Link.Purpose.PREFERENCES, now=timezone.now())
    page = f"/preferences/{token}/"
    pressed = client.post(f"{page}browsers/", {"action": "remember"}, headers=headers)
    assert pressed["Location"] == f"{MINE}#browsers"
    return page


def door(reader: Subscriber) -> str:
    return f"/p/{reader.unsubscribe_token}"


def opens(client: Client, path: str = MINE, **headers: str) -> bool:
    """Whether this leads to preferences, after one redirect at most."""
    response = client.get(path, headers=headers)
    if response.status_code == 303 and response["Location"] == MINE:
        response = client.get(MINE, headers=headers)
    return response.status_code == 200 and b'name="send_hour"' in response.content


def test_the_link_of_a_digest_opens_the_preferences_in_a_remembered_browser(client, ann):
    assert not opens(client, door(ann)) and not client.cookies
    remember(client, ann, User_Agent=PHONE)
    cookie = client.cookies["browser"]
    assert cookie["httponly"] and cookie["samesite"] == "Lax" and cookie["path"] == "/"
    assert cookie["max-age"] == 30 * 24 * 3600
    row = Browser.objects.values().get()
    assert row["name"] == "Firefox, Android" and row["secret_hash"] not in cookie.value
    assert opens(client, door(ann)) and opens(client)
    page = client.get(MINE).content.decode()
    assert "Firefox, Android" in page and "this one" in page and "ann@" not in page
    for beside in ("votes", "feed", "newest", "digests", "why"):
        assert client.get(f"{MINE}{beside}/").status_code in (200, 303), beside
    form = {"topics": ["graphs"], "timezone": "UTC", "send_hour": "5"}
    assert client.post(MINE, form)["Location"] == f"{MINE}?saved=1"
    assert Subscriber.objects.get().schedule.send_hour == 5


@pytest.mark.parametrize("action", ["remember", "all"])
def test_another_sites_form_gives_this_browser_to_nobody_and_ends_none(client, ann, action):
    remember(client, ann)
    bob = links.make(
        make.reader("bob@example.org", "graphs"),
        Link.Purpose.PREFERENCES,
        now=timezone.now(),
    )
    elsewhere = {"Sec-Fetch-Site": "cross-site"}
    page = f"/preferences/{bob}/browsers/"
    client.post(page, {"action": action}, headers=elsewhere)
    assert opens(client, door(ann)) and Browser.objects.get().subscriber == ann


def test_the_page_says_saved_after_a_change_only(client, ann):
    remember(client, ann)
    form = {"topics": ["graphs"], "timezone": "UTC", "send_hour": "5"}
    assert "Saved." not in client.get(MINE).text
    assert "Saved." in client.post(MINE, form, follow=True).text


def test_over_tls_the_cookie_is_bound_to_this_host(client, ann, settings):
    settings.HTTPS, settings.COOKIE_PREFIX = True, "__Host-"
    remember(client, ann)
    cookie = client.cookies["__Host-browser"]
    assert (cookie["secure"], cookie["path"], cookie["domain"]) == (True, "/", "")
    assert opens(client, door(ann))


def of_another_reader(client: Client, ann: Subscriber) -> None:
    client.cookies.clear()
    remember(client, make.reader("bob@example.org", "graphs"))


def forged(client: Client, ann: Subscriber) -> None:
    value = client.cookies["browser"].value
    client.cookies["browser"] = ("A" if value[0] != "A" else "B") + value[1:]


def signed_for_something_else(client: Client, ann: Subscriber) -> None:
    secret = client.cookies["browser"].value.rpartition(":")[0]
    client.cookies["browser"] = signing.Signer(salt="typed").sign(secret)


def signed_by_us_but_unknown(client: Client, ann: Subscriber) -> None:
    client.cookies["browser"] = browsers.signer().sign("A" * 22)


def the_hash_from_a_copy_of_the_database(client: Client, ann: Subscriber) -> None:
    client.cookies["browser"] = browsers.signer().sign(Browser.objects.get().secret_hash)


def forgotten_elsewhere(client: Client, ann: Subscriber) -> None:
    other = Client()
    page = remember(other, ann)
    first = Browser.objects.order_by("pk")[0]
    other.post(f"{page}browsers/", {"action": str(first.pk)})
    assert opens(other)


def all_forgotten(client: Client, ann: Subscriber) -> None:
    page = remember(Client(), ann)
    client.post(f"{page}browsers/", {"action": "all"})
    assert not Browser.objects.exists()


def left_and_came_back(client: Client, ann: Subscriber) -> None:
    subscriptions.unsubscribe(ann.pk, origin=ORIGIN, now=timezone.now())
    Subscriber.objects.update(state="active")


def left_from_the_page(client: Client, ann: Subscriber) -> None:
    gone = client.post(MINE, {"action": "unsubscribe"})
    assert "You have unsubscribed" in client.get(gone["Location"]).content.decode()


def moved_to_another_address(client: Client, ann: Subscriber) -> None:
    now = timezone.now()
    token = links.make(ann, Link.Purpose.ADDRESS, now=now, email="ann@example.com")
    address_change.confirm(token, origin=ORIGIN, now=now)


def erased(client: Client, ann: Subscriber) -> None:
    privacy.erase(ann.pk, now=timezone.now())
    assert not Browser.objects.exists()


def suspended(client: Client, ann: Subscriber) -> None:
    Subscriber.objects.update(state="pending")


@pytest.mark.parametrize(
    "happens",
    [
        of_another_reader,
        forged,
        signed_for_something_else,
        signed_by_us_but_unknown,
        the_hash_from_a_copy_of_the_database,
        forgotten_elsewhere,
        all_forgotten,
        left_and_came_back,
        left_from_the_page,
        moved_to_another_address,
        erased,
        suspended,
    ],
)
def test_no_other_browser_opens_them(
    client: Client, ann: Subscriber, happens: Callable[[Client, Subscriber], None]
) -> None:
    remember(client, ann)
    assert opens(client, door(ann))
    happens(client, ann)
    assert not opens(client, door(ann))
    if happens is not of_another_reader:
        assert not opens(client)


def test_a_browser_is_forgotten_after_thirty_days(client, ann):
    with time_machine.travel(begun := timezone.now(), tick=False):
        remember(client, ann)
    for age, works in ((timedelta(days=29, hours=23), True), (timedelta(days=30), False)):
        with time_machine.travel(begun + age, tick=False):
            assert opens(client, door(ann)) is works
            retention.purge(begun + age)
            assert Browser.objects.exists() is works


@pytest.mark.parametrize(
    ("headers", "counts"),
    [
        ({}, True),
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({"Sec-Fetch-Site": "none"}, True),
        ({"Sec-Fetch-Site": "same-site"}, False),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Origin": "http://testserver"}, True),
        ({"Origin": "http://evil.testserver"}, False),
        ({"Origin": "http://testserver:81"}, False),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "null"}, True),
    ],
)
def test_s14_a_form_of_another_site_is_not_the_readers(client, ann, headers, counts):
    remember(client, ann)
    form = {"topics": ["graphs"], "timezone": "UTC", "send_hour": "5"}
    response = client.post(MINE, form, headers=headers)
    assert response["Location"] == (f"{MINE}?saved=1" if counts else "/preferences/")
    assert (Subscriber.objects.get().schedule.send_hour == 5) is counts


def test_u3_looking_changes_nothing(client, ann):
    page = remember(client, ann)

    def rows() -> list[object]:
        return [
            list(table.objects.values()) for table in (Browser, Link, Subscriber, Notice)
        ]

    before = rows()
    for path in (MINE, door(ann), f"{MINE}browsers/", f"{page}browsers/?action=all", page):
        for method in ("get", "head", "options"):
            assert not getattr(client, method)(path).cookies
    assert rows() == before


def test_a_stolen_cookie_moves_no_mail_to_another_address(client, ann):
    remember(client, ann)
    page = client.get(MINE).content.decode()
    assert 'name="email"' not in page
    client.post(MINE, {"action": "address", "email": "eve@example.com"})
    assert list(Notice.objects.values_list("kind", "email")) == [("preferences", "")]


def test_a_reader_has_ten_browsers_at_most_and_this_one_once(client, ann):
    for _ in range(browsers.MOST + 1):
        remember(Client(), ann)
    assert Browser.objects.count() == browsers.MOST
    for _ in range(2):
        remember(client, ann)
    assert Browser.objects.count() == browsers.MOST
    stranger = make.reader("bob@example.org", "graphs")
    page = remember(Client(), stranger)
    client.post(
        f"{page}browsers/", {"action": str(Browser.objects.filter(subscriber=ann)[0].pk)}
    )
    client.post(f"{page}browsers/", {"action": "9" * 400})
    client.post(f"{page}browsers/", {"action": "²"})
    assert Browser.objects.filter(subscriber=ann).count() == browsers.MOST


def test_whoever_has_left_is_not_remembered(client, ann):
    token = links.make(ann, Link.Purpose.PREFERENCES, now=timezone.now())
    subscriptions.unsubscribe(ann.pk, origin=ORIGIN, now=timezone.now())
    client.post(f"/preferences/{token}/browsers/", {"action": "remember"})
    assert not Browser.objects.exists() and not client.cookies


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        (PHONE, "Firefox, Android"),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
            "Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0",
            "Edge, Windows",
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 "
            "(KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1",
            "Safari, iPhone",
        ),
        ("<script>alert(1)</script> ann@example.org", ""),
        ("", ""),
        ("x" * 100_000 + " Linux", "Linux"),
    ],
)
def test_a_browser_is_named_by_words_of_ours(agent, name):
    assert browsers.name_of(agent) == name


def test_the_readers_own_copy_names_browsers_without_their_secrets(client, ann):
    remember(client, ann, User_Agent=PHONE)
    (row,) = privacy.personal_data(ann)["browsers"]
    assert row["name"] == "Firefox, Android" and "secret_hash" not in row
