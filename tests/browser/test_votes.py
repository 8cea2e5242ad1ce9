"""Votes in a browser: a scanner with scripts votes for nobody, a reader by keyboard does."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.utils import timezone
from playwright.sync_api import Browser, Page
from pytest_django.live_server_helper import LiveServer

from digest import signing
from digest.editions import picks
from digest.editions.compose import Pick, Reader
from digest.models import Delivery, Vote
from digest.ranking.loaded import load
from subscribers import links
from subscribers.models import Link, Subscriber
from tests import make
from tests.accessibility import findings

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
LONG = (
    "Knots: " + "Supercalifragilisticexpialidocious_" * 4 + "<script>alert(1)</script> ‮abc"
)


@pytest.fixture
def ann() -> Subscriber:
    reader = make.reader("ann@example.org", "knots")
    edition = make.edition({make.paper(1, upvotes=3, title=LONG): {"knots": 1.0}})
    encoded = load(edition.pk).encoded
    Delivery.objects.create(
        edition=edition,
        subscriber=reader,
        state=Delivery.State.ACCEPTED,
        picks=picks.format_picks(encoded, Reader(1, reader.email, "t"), [Pick(0, 0)]),
        due_at=make.NOON,
        not_before=make.NOON,
        expires_at=make.NOON,
    )
    return reader


@pytest.fixture(params=[(360, "light"), (1200, "dark")], ids=["phone", "desk"])
def page(request: pytest.FixtureRequest, chromium: Browser) -> Iterator[Page]:
    """A browser with scripts, narrow and light or wide and dark; its name is for pictures."""
    width, scheme = request.param
    context = chromium.new_context(
        viewport={"width": width, "height": 740}, color_scheme=scheme
    )
    context.set_default_timeout(30_000)
    yield context.new_page()
    context.close()


def address(live_server: LiveServer) -> str:
    name = signing.name(signing.Purpose.PAGE, Delivery.objects.get().pk)
    return f"{live_server.url}/v/{name}/0"


def looked_at(page: Page, name: str) -> None:
    """Nothing to scroll sideways, nothing for axe; a picture where somebody wants one."""
    overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(overflow) == 0
    assert findings(page) == ""
    if folder := os.environ.get("SCREENSHOTS"):
        size = page.viewport_size or {"width": 0}
        path = Path(folder) / f"votes-{name}-{size['width']}.png"
        page.screenshot(path=path, full_page=True)


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name).first.focus()
    with page.expect_navigation():
        page.keyboard.press("Enter")


def test_u3_a_page_that_is_rendered_votes_for_nobody(
    live_server: LiveServer, page: Page, ann: Subscriber
) -> None:
    before = bytes(ann.profile)
    page.goto(address(live_server))
    page.wait_for_load_state("networkidle")
    page.mouse.wheel(0, 500)
    looked_at(page, "asked")
    ann.refresh_from_db()
    assert not Vote.objects.exists() and bytes(ann.profile) == before
    assert page.context.cookies() == []


def test_a_vote_by_keyboard_is_shown_listed_and_taken_back(
    live_server: LiveServer, page: Page, ann: Subscriber
) -> None:
    page.goto(address(live_server))
    press(page, "More like this")
    looked_at(page, "voted")
    press(page, "Less like this")
    assert Vote.objects.get().value == -1
    for number in range(11):
        paper = make.paper(100 + number, title=f"An older paper of {number} knots")
        Vote.objects.create(subscriber=ann, paper=paper, value=1, at=make.NOON)
    token = links.make(ann, Link.Purpose.PREFERENCES, now=timezone.now())
    page.goto(f"{live_server.url}/preferences/{token}/")
    page.get_by_text("All 12").click()
    looked_at(page, "listed")
    press(page, "Remove this vote")
    assert set(Vote.objects.values_list("value", flat=True)) == {1}
    assert page.url == f"{live_server.url}/preferences/{token}/"
