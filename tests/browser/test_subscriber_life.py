"""The whole life of a subscription in a browser: by keyboard, without JavaScript, on a phone."""

import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.utils import timezone
from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize, expect
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from subscribers import links, rate_limits
from subscribers.models import Link, Request, Subscriber
from tests.accessibility import ALL, CONTRAST, findings
from tests.make import edition, paper, reader, topic
from tests.subscribers.conftest import mailed_token, state_of, work_off

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
PHONE: ViewportSize = {"width": 360, "height": 740}


@pytest.fixture(autouse=True)
def site(monkeypatch: pytest.MonkeyPatch) -> None:
    """A day of papers, and time for fast fingers."""
    monkeypatch.setattr(rate_limits, "FASTEST", timedelta(0))
    topic("graphs", label="Graphs", position=900)
    edition({paper(1, upvotes=3): {"graphs": 1.0}})


@pytest.fixture
def plain(chromium: Browser) -> Iterator[BrowserContext]:
    """A phone's browser in which no script runs."""
    context = chromium.new_context(java_script_enabled=False, viewport=PHONE)
    context.set_default_timeout(30_000)
    yield context
    context.close()


def looked_at(page: Page, name: str) -> None:
    """Keep a picture where somebody wants to look at them."""
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


def press(page: Page, name: str) -> None:
    """The button, by keyboard."""
    page.get_by_role("button", name=name, exact=True).focus()
    with page.expect_navigation():
        page.keyboard.press("Enter")


def unfold(page: Page, name: str) -> None:
    """Open a section of the preferences, by keyboard."""
    page.locator("summary", has_text=name).focus()
    page.keyboard.press("Enter")


def heading(page: Page) -> str:
    return page.locator("h1").inner_text()


def test_a_whole_life_without_javascript_by_keyboard_on_a_phone(
    live_server: LiveServer, plain: BrowserContext
) -> None:
    page = plain.new_page()
    page.goto(f"{live_server.url}/subscribe/")
    looked_at(page, "1-subscribe")
    page.locator("#email").focus()
    page.keyboard.type("ann@example.org")
    page.locator("input[value=graphs]").focus()
    page.keyboard.press("Space")
    press(page, "Subscribe")
    assert heading(page) == "Check your inbox"
    page.goto(f"{live_server.url}/confirm/{mailed_token()}/")
    looked_at(page, "2-confirm")
    press(page, "Confirm my subscription")
    assert (heading(page), state_of()) == ("You are subscribed", "active")
    page.goto(f"{live_server.url}/preferences/")
    page.locator("#email").focus()
    page.keyboard.type("ann@example")
    press(page, "Mail me the link")
    expect(page.locator("#email_error")).to_be_focused()
    page.locator("#email").fill("ann@example.org")
    press(page, "Mail me the link")
    page.goto(f"{live_server.url}/preferences/{mailed_token()}/")
    looked_at(page, "3-preferences")
    unfold(page, "Words, authors and institutions")
    page.locator("#keywords").focus()
    page.keyboard.type("diffusion")
    press(page, "Save")
    expect(page.get_by_role("status")).to_have_text("Saved.")
    expect(page.get_by_role("status")).to_be_focused()  # so that it is heard
    expect(page.locator("#keywords")).to_be_visible()  # as something is in there now
    unfold(page, "Change your address")
    page.locator("#new-email").focus()
    page.keyboard.type("ann@example.com")
    press(page, "Mail a link to the new address")
    page.goto(f"{live_server.url}/address/{mailed_token()}/")
    looked_at(page, "4-address")
    press(page, "Use this address")
    ann = Subscriber.objects.get(email="ann@example.com")
    assert ann.keywords == ["diffusion"]
    page.goto(f"{live_server.url}/u/{ann.unsubscribe_token}")
    looked_at(page, "5-unsubscribe")
    press(page, "Unsubscribe")
    assert state_of("ann@example.com") == "unsubscribed"
    looked_at(page, "6-unsubscribed")
    press(page, "Mail me a link to undo this")
    page.goto(f"{live_server.url}/confirm/{mailed_token()}/")
    press(page, "Confirm my subscription")
    assert state_of("ann@example.com") == "active"
    token = links.make(ann, Link.Purpose.DATA, now=timezone.now())
    page.goto(f"{live_server.url}/data/{token}/")
    looked_at(page, "7-data")
    press(page, "Erase all my data")
    assert heading(page) == "Your data is erased"
    assert not Subscriber.objects.exists()
    assert {one["name"] for one in plain.cookies()} == {"typed"}  # and no other


def test_a_second_press_on_erase_is_not_sent(
    live_server: LiveServer, chromium: Browser
) -> None:
    """Its answer would be that of a dead link, in place of "Your data is erased"."""
    ann = reader("ann@example.org", "graphs")
    path = f"/data/{links.make(ann, Link.Purpose.DATA, now=timezone.now())}/"
    with chromium.new_context(viewport=PHONE) as context:
        page = context.new_page()
        page.goto(f"{live_server.url}{path}")
        pressed = page.locator("form[data-once]").evaluate("""(form) => {
            const press = () => form.dispatchEvent(new Event("submit", { cancelable: true }));
            const twice = [press(), press()];
            window.dispatchEvent(new Event("pageshow"));  // as by the back button
            return [...twice, press()];
        }""")
        assert pressed == [True, False, True]
        page.reload()
        press(page, "Erase all my data")
        assert heading(page) == "Your data is erased"


def test_from_a_digest_to_changed_topics_without_typing(
    live_server: LiveServer, plain: BrowserContext, settings: Settings
) -> None:
    """Three clicks to the preferences; one in a browser that the reader has remembered."""
    settings.SITE_URL = live_server.url
    ann = reader("ann@example.org", "graphs", "knots")
    page, clicks = plain.new_page(), 0
    digest_link = f"{live_server.url}/p/{ann.unsubscribe_token}"
    page.goto(digest_link)
    clicks += 1
    looked_at(page, "8-door")
    press(page, "Mail me the link")
    clicks += 1
    page.goto(f"{live_server.url}/preferences/{mailed_token()}/")
    clicks += 1
    assert (heading(page), clicks) == ("Your preferences", 3)
    unfold(page, "Browsers that need no link")
    press(page, "This browser is mine")
    looked_at(page, "9-remembered")
    page.goto(digest_link)
    assert page.url == f"{live_server.url}/preferences/mine/"
    page.locator("input[value=knots]").uncheck()
    press(page, "Save")
    assert list(ann.topics.values_list("slug", flat=True)) == ["graphs"]
    page.get_by_role("button", name="Remove it").click()
    page.goto(digest_link)
    assert heading(page) == "Change topics, hour or length"


def test_a_sign_up_form_brings_its_own_proof_of_work(
    live_server: LiveServer, browser: BrowserContext
) -> None:
    page = browser.new_page()
    page.goto(f"{live_server.url}/")
    page.locator("#email").fill("ann@example.org")
    page.get_by_role("button", name="Subscribe", exact=True).click()
    page.wait_for_url("**/subscribe/")
    page.wait_for_load_state()  # before its script runs, a form is sent without a proof
    expect(page.locator("#email")).to_have_value("ann@example.org")
    page.get_by_role("button", name="Subscribe", exact=True).click()
    page.wait_for_url("**/subscribe/done/", timeout=30_000)
    assert Request.objects.get().proof
    work_off()


@pytest.fixture
def pages(live_server: LiveServer) -> dict[str, str]:
    """Every page that a reader can come to, by name."""
    ann = reader("ann@example.org", "graphs")
    new = reader("new@example.org", "graphs", state="pending")
    eve = reader("eve@example.org", "graphs")
    now = timezone.now()
    old = links.make(ann, Link.Purpose.CONFIRM, now=now - timedelta(days=3))
    made = {
        purpose.value: links.make(ann, purpose, now=now, email="ann@example.com")
        for purpose in Link.Purpose
    }
    made["data"] = links.make(eve, Link.Purpose.DATA, now=now)
    confirm = links.make(new, Link.Purpose.CONFIRM, now=now)
    paths = {name: f"/{name}/{token}/" for name, token in made.items()}
    paths |= {"front": "/", "subscribe": "/subscribe/", "sent": "/subscribe/done/"}
    paths |= {"confirm": f"/confirm/{confirm}/", "block": f"/block/{confirm}/"}
    paths |= {"confirmed": f"/confirm/{made['confirm']}/", "expired": f"/confirm/{old}/"}
    paths |= {"ask": "/preferences/", "asked": "/preferences/sent/"}
    paths |= {"unsubscribe": f"/u/{ann.unsubscribe_token}", "privacy": "/privacy/"}
    paths |= {"nothing": f"/confirm/{'A' * 22}/"}
    return {name: live_server.url + path for name, path in paths.items()}


# What is shown after a button: page, what is typed before, the button, a name for it.
PRESSED = [
    ("subscribe", {"#email": "nobody"}, "Subscribe", "mistake"),
    ("preferences", {"#until": "2020-01-01"}, "Pause my mails", "mistake-pause"),
    (
        "preferences",
        {"#new-email": "new@example.com"},
        "Mail a link to the new address",
        "moved",
    ),
    ("address", {}, "Use this address", "address-done"),
    ("block", {}, "Block this address", "blocked"),
    ("unsubscribe", {}, "Switch to once a week", "weekly"),
    ("unsubscribe", {}, "Pause for 30 days", "paused"),
    ("unsubscribe", {}, "Unsubscribe", "unsubscribed"),
    ("data", {}, "Erase all my data", "erased"),
]


@pytest.mark.parametrize(("width", "scheme"), [(360, "light"), (1200, "dark")])
def test_g7_the_readers_pages_are_accessible_and_ask_nobody_else(
    live_server: LiveServer, chromium: Browser, pages: dict[str, str], width: int, scheme
) -> None:
    context = chromium.new_context(
        viewport={"width": width, "height": 800}, color_scheme=scheme
    )
    context.set_default_timeout(30_000)
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))

    def look(name: str) -> None:
        looked_at(page, f"{name}-{width}-{scheme}")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
        # In the dark all but the colours is the same.
        assert findings(page, ALL if scheme == "light" else CONTRAST) == "", name

    def open_all() -> None:
        page.locator("details").evaluate_all("all => all.forEach(one => one.open = true)")

    for name, url in pages.items():
        page.goto(url)
        look(name)
        if name == "preferences":
            assert page.evaluate("document.documentElement.scrollHeight") <= 3500
            open_all()
            look("preferences-open")
    for name, typed, button, shown in PRESSED:
        page.goto(pages[name])
        page.locator("form").evaluate_all(
            "all => all.forEach(one => one.noValidate = true)"
        )
        open_all()
        for field, text in typed.items():
            page.locator(field).fill(text)
        with page.expect_navigation():
            page.get_by_role("button", name=button, exact=True).click()
        if shown.startswith("mistake"):
            expect(page.get_by_role("alert")).to_be_focused()
        look(shown)
    assert {urlsplit(url).netloc for url in asked} == {urlsplit(live_server.url).netloc}
    assert context.cookies() == []
    context.close()


def test_u3_no_script_of_a_mails_page_acts_by_itself(
    browser: BrowserContext, pages: dict[str, str]
) -> None:
    before = list(Subscriber.objects.order_by("pk").values())
    page = browser.new_page()
    page.clock.install()
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.method))
    for name in ("confirm", "block", "preferences", "address", "data", "unsubscribe"):
        page.goto(pages[name])
        page.clock.run_for(30_000)
    assert set(sent) == {"GET"}
    assert list(Subscriber.objects.order_by("pk").values()) == before
    assert not Request.objects.exists()
    assert not Link.objects.exclude(used_at=None).exists()
