"""Three readers with different topics, hours and zones, in a real browser on a real `up`:
sign up, confirm from the mailbox, change topics, read the digest, leave."""

import json
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.source_server import entry
from tests.stack import Stack

pytestmark = [pytest.mark.browser, pytest.mark.embedded]

DAY = "2026-04-17"
PAPERS = {
    "graphs": ("Message passing on graphs", "Graph neural networks pass messages."),
    "video": (
        "Video generation at length",
        "Text-to-video generation with video diffusion.",
    ),
    "robotics": ("A robot that folds", "Robot manipulation policies for humanoid robots."),
}
READERS = {  # address → topic at sign-up, topic after the change, zone, hour
    "ann@example.org": ("graphs", "video", "Europe/Berlin", "09:00"),
    "bob@example.org": ("video", "robotics", "America/New_York", "07:00"),
    "cho@example.org": ("robotics", "graphs", "Asia/Tokyo", "06:00"),
}


@pytest.fixture
def papers(tmp_path: Path) -> Path:
    entries = [
        entry(number, title=title, summary=summary, upvotes=number, ai_keywords=[])
        for number, (title, summary) in enumerate(PAPERS.values(), start=1)
    ]
    path = tmp_path / "papers.json"
    path.write_text(json.dumps(entries))
    return path


def sign_up(page: Page, stack: Stack, email: str) -> None:
    topic, _, zone, hour = READERS[email]
    page.goto(stack.url + "/")
    page.get_by_label("Email address").fill(email)
    page.get_by_role("button", name="Subscribe").click()
    page.locator(f'input[name="topics"][value="{topic}"]').check()
    page.get_by_label("Time zone").select_option(zone)
    page.get_by_label("At", exact=True).select_option(label=hour)
    page.get_by_role("button", name="Subscribe").click()
    expect(page).to_have_url(re.compile("/subscribe/done/"))


def open_mail(page: Page, stack: Stack, email: str, subject: str) -> None:
    """The newest mail to this address with this subject, once it has come."""
    box = f"/mailbox/?to={email}"
    until = time.monotonic() + 60
    while subject not in stack.ask(box)[2] and time.monotonic() < until:
        time.sleep(0.2)
    page.goto(stack.url + box)
    page.locator("ol.mails a").filter(has_text=subject).first.click()


def follow(page: Page, name: str) -> Page:
    """Click a link inside the mail: it opens in a tab of its own."""
    with page.context.expect_page() as opened:
        page.frame_locator("iframe").get_by_role("link", name=name).first.click()
    return opened.value


def test_three_readers_live_their_life_in_a_browser(
    stacks: Callable[..., Stack], browser: BrowserContext, papers: Path
) -> None:
    stack = stacks().up("--from", str(papers))
    page = browser.new_page()
    for email, (_, second, _, _) in READERS.items():
        sign_up(page, stack, email)
        open_mail(page, stack, email, "confirm")
        tab = follow(page, "Confirm my subscription")
        tab.get_by_role("button", name="Confirm my subscription").click()
        tab.get_by_role("link", name="Change my preferences").click()
        expect(tab.get_by_role("button", name="Save")).to_be_visible()
        tab.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        for box in tab.locator('input[name="topics"]:checked').all():
            box.uncheck()
        tab.locator(f'input[name="topics"][value="{second}"]').check()
        tab.get_by_role("button", name="Save").click()
        expect(tab.get_by_role("status")).to_contain_text("Saved")
        tab.close()

    # Not the one that `up` invents: that had its digest, though the day is long ago.
    stack.wait_for_line("A digest was sent to an invented reader")
    assert " 3 accepted" in stack.manage("deliver", "--day", DAY).stdout
    assert " 0 accepted" in stack.manage("deliver", "--day", DAY).stdout
    page.goto(stack.url + "/mailbox/?to=first.reader@example.com")
    expect(page.locator("ol.mails > li")).to_have_count(1)

    for email, (_, second, _, _) in READERS.items():
        title = PAPERS[second][0]
        open_mail(page, stack, email, title)
        frame = page.frame_locator("iframe")
        expect(frame.get_by_role("heading", name=title)).to_be_visible()
        expect(frame.get_by_role("heading", level=2)).to_have_count(1)

    open_mail(page, stack, "ann@example.org", PAPERS["video"][0])
    for tab_name in ("Plain text", "Source", "Headers"):
        page.get_by_role("link", name=tab_name).click()
        expect(page.locator("article")).to_contain_text(PAPERS["video"][0])
    page.go_back()
    page.go_back()
    page.go_back()
    tab = follow(page, "Unsubscribe")
    tab.get_by_role("button", name="Unsubscribe").click()
    expect(tab.locator("main")).to_contain_text(
        re.compile("unsubscribed|no more mail", re.IGNORECASE)
    )
    assert {one["name"] for one in browser.cookies()} <= {"typed"}
