"""The public pages in a real browser: accessible, calm, and from nobody else's server."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import pytest
from django.utils import timezone
from playwright.sync_api import Browser, BrowserContext, Page, expect
from pytest_django.live_server_helper import LiveServer

from digest.models import PaperWords
from digest.papers import search_index
from subscribers import links
from subscribers.models import Link, Topic
from tests.accessibility import ALL, CONTRAST, findings
from tests.make import DAY, edition, paper, reader, topic
from tests.site.test_mailbox import Catcher

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

PATHS = ["/", "/papers/2026-04-17/", "/papers/2604.00001/", "/topics/", "/topics/graphs/"]
PATHS += [
    "/search/?q=paper",
    "/privacy/",
    "/subscribe/",
    "/papers/2026-04-18/",
    "/mailbox/",
    "/archive/",
    "/weeks/2026-04-17/",
    "/months/2026-04/",
    "/topics/graphs/weeks/2026-04-17/",
    "/topics/graphs/months/2026-04/",
    "/authors/Ada%20Example/",
    "/saved/",
    "/saved/?ids=2604.00001",
    "/api/v1/",
    "/nothing/here/",
    "/papers/9999.00001/",
    "/topics/grafs/",
    "/editions/daily/2026-04-17/",
    "/search/?q=nothing+of+the+kind",
    "/organizations/Some%20Institute/",
    *(
        f"/de{path}"
        for path in ("/", "/papers/2604.00001/", "/search/?q=paper", "/archive/")
    ),
    "/de/topics/graphs/weeks/2026-04-17/",
    "/de/subscribe/",
    "/de/nothing/here/",
]
MISSING = {"/papers/2026-04-18/", "/nothing/here/", "/papers/9999.00001/", "/topics/grafs/"}
MISSING |= {"/de/nothing/here/"}
LOOKS = [("light", 320), ("dark", 390), ("light", 1280), ("dark", 1280)]
# In the dark all but the colours is the same.
RULES = {LOOKS[0]: ALL, LOOKS[-1]: CONTRAST}
LONG_WORD = "Pneumonoultramicroscopicsilicovolcanoconiosis" * 3
SMALL = """() => [...document.querySelectorAll('nav a, button, summary, .topics label, select')]
    .filter(e => e.checkVisibility() && e.getBoundingClientRect().height < 44)
    .map(e => e.outerHTML.slice(0, 80))"""


@pytest.fixture(autouse=True)
def site(caught_mail: None) -> None:
    """A day of papers."""
    Topic.objects.get_or_create(
        slug="graphs",
        defaults={"label": "Graphs", "group": "Learning methods", "position": 900},
    )
    paper(99, day=DAY - timedelta(days=1))
    papers = [
        paper(1, upvotes=41, code_url="https://github.com/some/code", title=LONG_WORD),
        paper(2, upvotes=1, title="عنوان ورقة بحثية", authors=[LONG_WORD], author_count=1),
        paper(3, is_sample=True, organization="Some Institute"),
    ]
    edition({one: {"graphs": 1.0} for one in papers})
    search_index.index(papers)
    PaperWords.objects.update(topics="graphs", tags=search_index.topic_word("graphs"))


@pytest.fixture
def open_page(live_server: LiveServer, browser: BrowserContext) -> Callable[[str], Page]:
    def open_page(path: str) -> Page:
        page = browser.new_page()
        page.goto(live_server.url + path)
        return page

    return open_page


@pytest.mark.parametrize(("scheme", "width"), LOOKS)
def test_the_pages_are_accessible_and_ask_nobody_else(
    live_server: LiveServer,
    browser: BrowserContext,
    scheme: Literal["light", "dark"],
    width: int,
) -> None:
    page = browser.new_page()
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 800})
    messages: list[str] = []
    hosts: set[str] = set()
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.on("request", lambda request: hosts.add(urlsplit(request.url).netloc))
    for path in PATHS:
        page.goto(live_server.url + path)
        expected = ["404"] if path in MISSING else []
        assert [m for m in messages if not any(e in m for e in expected)] == [], path
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        assert page.evaluate(SMALL) == [], path
        if rules := RULES.get((scheme, width)):
            assert findings(page, rules) == "", path
        messages.clear()  # axe itself is no part of the page
    assert hosts == {urlsplit(live_server.url).netloc}
    assert page.evaluate("document.cookie") == ""


def test_an_abstract_unfolds_by_keyboard(open_page: Callable[[str], Page]) -> None:
    page = open_page("/papers/2026-04-17/")
    abstract = page.get_by_text("What paper 1 finds. It is short.")
    expect(abstract).to_be_hidden()
    page.locator("#paper-2604\\.00001 summary").focus()
    page.keyboard.press("Enter")
    expect(abstract).to_be_visible()


def test_the_first_tab_stop_skips_to_the_content(open_page: Callable[[str], Page]) -> None:
    page = open_page("/")
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_have_text("Skip to the content")
    page.keyboard.press("Enter")
    expect(page.locator(":focus")).to_have_id("content")


def test_a_topic_is_chosen_by_keyboard_and_looks_chosen(
    open_page: Callable[[str], Page],
) -> None:
    page = open_page("/subscribe/")
    chip = page.locator(".topics label", has=page.locator("input[value=graphs]"))
    before = chip.evaluate("e => getComputedStyle(e).backgroundColor")
    page.locator("input[value=graphs]").focus()
    page.keyboard.press("Space")
    expect(page.locator("input[value=graphs]")).to_be_checked()
    expect(chip).not_to_have_css("background-color", before)


def test_the_page_reads_without_javascript_and_without_styles(
    live_server: LiveServer, chromium: Browser
) -> None:
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.route("**/*.css", lambda route: route.abort())
    page.goto(f"{live_server.url}/")
    page.locator("#paper-2604\\.00001 summary").click()
    expect(page.get_by_text("What paper 1 finds. It is short.")).to_be_visible()
    expect(page.locator("form[action='/subscribe/'] input[name=email]")).to_be_visible()
    expect(page.locator("button.save").first).to_be_hidden()
    context.close()


def test_papers_are_saved_in_the_browser_and_listed_and_handed_over_to_a_reader(
    open_page: Callable[[str], Page],
) -> None:
    page = open_page("/papers/2026-04-17/")
    for number in (1, 3):
        page.locator(f"#paper-2604\\.0000{number} button.save").click()
    page.goto(page.url.replace("/papers/2026-04-17/", "/saved/"))
    page.locator(".paper").first.wait_for()
    shown = page.locator(".paper").evaluate_all("list => list.map(e => e.id)")
    assert shown == ["paper-2604.00003", "paper-2604.00001"]
    with page.expect_download() as exported:
        page.get_by_role("link", name="BibTeX").click()
    assert "eprint = {2604.00001}" in exported.value.path().read_text()
    link = links.make(reader("a@example.org"), Link.Purpose.PREFERENCES, now=timezone.now())
    page.goto(page.url.replace("/saved/", f"/preferences/{link}/saved/"))
    with page.expect_navigation():
        page.get_by_role("button", name="Add the papers saved in this browser (2)").click()
    assert page.locator(".paper").evaluate_all("list => list.map(e => e.id)") == shown
    assert findings(page) == ""
    page.locator("#paper-2604\\.00003 button").click()
    expect(page.locator(".paper")).to_have_count(1)
    page.goto(page.url.replace(f"/preferences/{link}/saved/", "/saved/"))
    page.locator("#paper-2604\\.00003 button.save").click()
    page.reload()
    expect(page.locator(".paper")).to_have_count(1)


def test_the_shortcuts_do_what_their_list_says(open_page: Callable[[str], Page]) -> None:
    page = open_page("/papers/2026-04-17/")
    keys = page.keyboard
    shortcuts = page.locator("#shortcuts")
    keys.press("?")
    expect(shortcuts).to_be_visible()
    listed = shortcuts.locator("kbd").all_inner_texts()
    assert listed == ["j", "k", "o", "s", "←", "→", "/", "?"]
    keys.press("Escape")
    expect(shortcuts).to_be_hidden()  # while it is open, letters do nothing behind it
    for key in "jjk":
        keys.press(key)
    expect(page.locator("#paper-2604\\.00001 :focus")).to_be_visible()
    keys.press("o")
    expect(page.get_by_text("What paper 1 finds. It is short.")).to_be_visible()
    keys.press("s")
    pressed = page.locator("#paper-2604\\.00001 button.save")
    expect(pressed).to_have_attribute("aria-pressed", "true")
    keys.press("ArrowLeft")
    page.wait_for_url("**/papers/2026-04-16/")
    keys.press("/")
    page.wait_for_url("**/search/*")


def test_a_shortcut_works_in_the_moment_after_the_list_closes(
    open_page: Callable[[str], Page],
) -> None:
    page = open_page("/papers/2026-04-17/")
    # Until the next frame, the closed dialog's button is what has the focus.
    focused = page.evaluate("""() => {
        const shortcuts = document.getElementById("shortcuts");
        const press = (key) => document.activeElement.dispatchEvent(
            new KeyboardEvent("keydown", { key, bubbles: true }));
        press("?");
        press("j"); // while it is open, letters do nothing behind it
        const behind = document.activeElement.closest(".paper");
        shortcuts.close();
        press("j");
        return [behind, document.activeElement.closest(".paper")?.id];
    }""")
    assert focused == [None, "paper-2604.00001"]


def test_on_a_phone_the_first_hit_of_a_search_is_in_sight(
    open_page: Callable[[str], Page],
) -> None:
    PaperWords.objects.filter(paper__upvotes=1).update(topics=topic("knots").slug)
    page = open_page("/search/?q=paper")
    page.set_viewport_size({"width": 390, "height": 844})
    hit = page.locator(".paper h3").first.bounding_box()
    assert hit and hit["y"] + hit["height"] < 844
    facet = page.locator(".facets a").first
    expect(facet).to_be_hidden()
    page.get_by_text("Narrow the results").click()
    expect(facet).to_be_visible()
    page.set_viewport_size({"width": 1280, "height": 844})
    page.reload()
    expect(facet).to_be_visible()


def test_a_caught_mail_is_read_in_its_frame_and_its_links_open_a_tab(
    open_page: Callable[[str], Page], browser: BrowserContext
) -> None:
    page = open_page("/mailbox/")
    page.get_by_role("link", name="Two papers on Gräphs").click()
    link = page.frame_locator("iframe").get_by_role("link", name="Leave")
    expect(link).to_be_visible()
    browser.route("https://example.org/**", lambda route: route.fulfill(body="left"))
    with browser.expect_page() as opened:
        link.click()
    opened.value.wait_for_url("https://example.org/u/x")
    expect(page.get_by_role("heading", name="Two papers on Gräphs")).to_be_visible()


def test_a_script_in_a_caught_mail_never_runs(
    open_page: Callable[[str], Page], tmp_path: Path
) -> None:
    hostile = (
        b"<script>top.document.title='run'</script><img src=x onerror=\"alert(1)\">seen"
    )
    mail_id = Catcher(tmp_path).store(b"Content-Type: text/html\r\n\r\n" + hostile)
    page = open_page(f"/mailbox/{mail_id}/")
    expect(page.frame_locator("iframe").get_by_text("seen")).to_be_visible()
    assert page.title() != "run"


def test_the_sign_up_shows_what_it_would_bring_while_it_is_filled_in(
    open_page: Callable[[str], Page],
) -> None:
    page = open_page("/subscribe/")
    sent: list[str] = []
    page.on(
        "request",
        lambda one: sent.append(one.post_data or "") if one.method == "POST" else None,
    )
    page.get_by_label("Email address").fill("ann@example.org")
    page.locator("[name=interests]").fill("ropes and knots")
    shown = page.locator("[aria-live]")
    shown.get_by_text("In the newest edition:").wait_for()
    expect(shown.get_by_role("link").first).to_have_attribute("target", "_blank")
    assert sent and not any("ann" in body for body in sent), "the address stays in the form"
    assert findings(page) == ""
