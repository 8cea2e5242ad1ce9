"""The whole life of a subscription in a browser: by keyboard, without JavaScript, on a phone."""

import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.utils import timezone
from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from subscribers import links, proof
from subscribers.models import Link, Request, Subscriber
from tests.make import edition, paper, topic
from tests.subscribers.conftest import forget_quota, mailed_token, state_of, work_off

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
PHONE: ViewportSize = {"width": 360, "height": 740}


@pytest.fixture(autouse=True)
def site(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Files served from their source, a day of papers, and time for fast fingers."""
    monkeypatch.setattr(proof, "FASTEST", timedelta(0))
    settings.STORAGES = {
        "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }
    topic("graphs", label="Graphs", position=900)
    edition({paper(1, upvotes=3): {"graphs": 1.0}})
    yield


@pytest.fixture
def plain(chromium: Browser) -> Iterator[BrowserContext]:
    """A phone's browser in which no script runs."""
    context = chromium.new_context(java_script_enabled=False, viewport=PHONE)
    context.set_default_timeout(10_000)
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
    assert heading(page) == "Look into your mailbox"
    page.goto(f"{live_server.url}/confirm/{mailed_token()}/")
    looked_at(page, "2-confirm")
    press(page, "Confirm my subscription")
    assert (heading(page), state_of()) == ("You are subscribed", "active")
    page.goto(f"{live_server.url}/preferences/")
    page.locator("#email").focus()
    page.keyboard.type("ann@example.org")
    press(page, "Mail me the link")
    page.goto(f"{live_server.url}/preferences/{mailed_token()}/")
    looked_at(page, "3-preferences")
    page.locator("#keywords").focus()
    page.keyboard.type("diffusion")
    press(page, "Save")
    assert page.get_by_role("status").inner_text() == "Saved."
    page.locator("#new-email").focus()
    page.keyboard.type("ann@example.com")
    press(page, "Mail the new address a link")
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
    press(page, "That was a mistake: mail me a link to undo it")
    page.goto(f"{live_server.url}/confirm/{mailed_token()}/")
    press(page, "Confirm my subscription")
    assert state_of("ann@example.com") == "active"
    token = links.make(ann, Link.Purpose.DATA, now=timezone.now())
    page.goto(f"{live_server.url}/data/{token}/")
    looked_at(page, "7-data")
    press(page, "Erase everything about me")
    assert heading(page) == "Erased"
    assert not Subscriber.objects.exists()
    assert plain.cookies() == []


def test_a_sign_up_form_brings_its_own_proof_of_work(
    live_server: LiveServer, browser: BrowserContext
) -> None:
    page = browser.new_page()
    page.goto(f"{live_server.url}/")
    page.locator("#email").fill("ann@example.org")
    page.get_by_role("button", name="Subscribe", exact=True).click()
    page.wait_for_url("**/subscribe/done/", timeout=30_000)
    assert Request.objects.get().proof
    work_off()


@pytest.mark.parametrize("width", [360, 1200])
def test_the_readers_pages_are_accessible(
    live_server: LiveServer, browser: BrowserContext, width: int
) -> None:
    from tests.make import reader

    ann = reader("ann@example.org", "graphs")
    now = timezone.now()
    made = {
        purpose: links.make(ann, purpose, now=now, email="ann@example.com")
        for purpose in Link.Purpose
    }
    paths = [f"/{purpose}/{token}/" for purpose, token in made.items()]
    paths += ["/preferences/", "/subscribe/done/", f"/u/{ann.unsubscribe_token}"]
    paths += [f"/block/{made[Link.Purpose.CONFIRM]}/"]
    page = browser.new_page()
    page.set_viewport_size({"width": width, "height": 800})
    for path in paths:
        page.goto(live_server.url + path)
        looked_at(page, f"{width}-{path.split('/')[1]}")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        report = Axe().run(page)
        assert report.violations_count == 0, f"{path}\n{report.generate_report()}"
    forget_quota()
