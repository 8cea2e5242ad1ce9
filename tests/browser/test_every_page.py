"""Every kind of page in every look: nothing for axe, nothing wider than the screen, no shift.

Each page is opened once and turned through the looks. The suite looks at most of them in a
few (test_pages.py, test_subscriber_life.py); here it is all of them in all.
"""

import os
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.utils import timezone
from playwright.sync_api import Browser, Page
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from digest import signing
from digest.deliveries.plan import plan_edition
from digest.deliveries.send import send_due
from digest.models import Delivery, Paper, PaperWords
from digest.papers import search_index
from subscribers import links
from subscribers.models import Link
from tests import make
from tests.browser.test_pages import LONG_WORD, MISSING, PATHS, SMALL
from tests.sink import Sink

pytestmark = [
    pytest.mark.browser,
    pytest.mark.nightly,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("caught_mail"),
]
type Scheme = Literal["light", "dark"]
LOOKS: list[tuple[Scheme, int]] = [
    (scheme, width) for scheme in ("light", "dark") for width in (320, 390, 1280)
]
# What Lighthouse asks of a page, beside what axe looks at.
ASKED = """async () => {
    let shift = 0;
    new PerformanceObserver(list => list.getEntries().forEach(e => shift += e.value))
        .observe({type: 'layout-shift', buffered: true});
    await new Promise(done => setTimeout(done, 60));
    const about = name => document.querySelector(`meta[name=${name}]`)?.content ?? '';
    return {
        shift,
        title: document.title,
        description: about('description'),
        noindex: about('robots').includes('noindex'),
        viewport: about('viewport'),
        lang: document.documentElement.lang,
        headings: document.querySelectorAll('h1').length,
        unsized: [...document.images].filter(e => !e.width || !e.height).length,
        small: [...document.querySelectorAll('body *')].filter(e => e.checkVisibility()
            && e.childNodes.length && [...e.childNodes].some(n => n.nodeType === 3
            && n.data.trim()) && parseFloat(getComputedStyle(e).fontSize) < 12)
            .map(e => e.outerHTML.slice(0, 60)),
        vague: [...document.links].filter(e => /^(here|more|click here|link|read more)$/i
            .test(e.innerText.trim())).length,
    };
}"""


@pytest.fixture
def papers() -> list[Paper]:
    """Two days of papers in an edition, with what makes a page hard to lay out."""
    make.topic("graphs", label="Graphs", position=900)
    made = [
        make.paper(1, upvotes=41, code_url="https://github.com/some/code", title=LONG_WORD),
        make.paper(
            2, upvotes=1, title="عنوان ورقة بحثية", authors=[LONG_WORD], author_count=1
        ),
        make.paper(3, is_sample=True, organization="Some Institute"),
        make.paper(4, has_votes=False, authors=[], author_count=9),
        make.paper(99, day=make.DAY - timedelta(days=400), is_listed=False),
    ]
    search_index.index(made)
    PaperWords.objects.update(topics="graphs", tags=search_index.topic_word("graphs"))
    return made


@pytest.fixture
def paths(papers: list[Paper], sink: Sink, settings: Settings, tmp_path: Path) -> list[str]:
    """Every page that needs no button: for everybody, and behind links."""
    settings.MAILER_URL = sink.url
    ann = make.reader("ann@example.org", "graphs")
    new = make.reader("new@example.org", "graphs", state="pending")
    others = {
        Link.Purpose.ADDRESS: make.reader("bob@example.org"),
        Link.Purpose.DATA: make.reader("cy@example.org"),
    }
    edition = make.edition({paper: {"graphs": 1.0} for paper in papers[:4]})
    plan_edition(edition, make.NOON)
    send_due(lambda: make.NOON, edition_id=edition.pk)
    name = signing.name(signing.Purpose.PAGE, Delivery.objects.get(subscriber=ann).pk)
    now = timezone.now()
    made = {
        purpose.value: links.make(
            others.get(purpose, ann), purpose, now=now, email="new@example.com"
        )
        for purpose in Link.Purpose
    }
    own = f"/preferences/{made['preferences']}/"
    confirm = links.make(new, Link.Purpose.CONFIRM, now=now)
    old = links.make(ann, Link.Purpose.CONFIRM, now=now - timedelta(days=3))
    (mail,) = (path.stem for path in tmp_path.glob("*.eml"))
    return [
        *PATHS,
        "/search/",
        "/search/?q=paper+topic:graphs",
        "/subscribe/done/",
        "/preferences/",
        "/preferences/sent/",
        "/archive/?page=2",
        f"/mailbox/{mail}/",
        f"/confirm/{confirm}/",
        f"/block/{confirm}/",
        *(f"/{purpose}/{token}/" for purpose, token in made.items()),
        f"/confirm/{old}/",
        f"/confirm/{'A' * 22}/",
        f"/u/{ann.unsubscribe_token}",
        f"/p/{ann.unsubscribe_token}",
        f"/digest/{name}",
        *(f"/v/{name}/0{choice}" for choice in ("", "/more", "/less")),
        *(own + page for page in ("saved/", "newest/", "digests/", "why/")),
    ]


# What stands behind a button: where it is, what is typed before, and its name.
PRESSED: list[tuple[str, dict[str, str], str]] = [
    ("/", {"#email": "eve@example.org"}, "Subscribe"),
    ("/subscribe/", {"#email": "nobody"}, "Subscribe"),
    ("/subscribe/", {"#email": "eve@example.org"}, "Subscribe"),
    ("/confirm/.{22}/", {}, "Confirm my subscription"),
    ("/address/.{22}/", {}, "Use this address"),
    ("/preferences/.{22}/", {"#until": "2020-01-01"}, "Pause my mails"),
    ("/preferences/.{22}/", {"#keywords": "graphs"}, "Save"),
    ("/v/.+", {}, "More like this"),
    ("/u/.+", {}, "Switch to once a week"),
    ("/u/.+", {}, "Unsubscribe"),
    ("/data/.{22}/", {}, "Erase all my data"),
]


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    context = chromium.new_context(viewport={"width": 390, "height": 844})
    context.set_default_timeout(30_000)
    yield context.new_page()
    context.close()


def test_every_page_is_accessible_in_every_look(
    live_server: LiveServer, page: Page, paths: list[str]
) -> None:
    found: list[str] = []
    hosts: set[str] = set()
    page.on("request", lambda request: hosts.add(urlsplit(request.url).netloc))

    def look(path: str) -> None:
        told = page.evaluate(ASKED)
        found.extend(f"{path}: {fault}" for fault in faults(told))
        opened = page.locator("details")
        opened.evaluate_all("all => all.forEach(one => one.open = true)")
        page.evaluate(Axe().axe_script)
        for scheme, width in LOOKS:
            page.set_viewport_size({"width": width, "height": 844})
            page.emulate_media(color_scheme=scheme)
            picture(page, f"{path}-{scheme}-{width}")
            found.extend(f"{path} {scheme} {width}: {fault}" for fault in seen(page, width))
        page.set_viewport_size({"width": 390, "height": 844})

    for path in paths:
        answer = page.goto(live_server.url + path)
        assert answer and answer.status in ({404} if path in MISSING else {200, 404, 410})
        look(path)
    for start, typed, button in PRESSED:
        place = next(path for path in paths if re.fullmatch(start, path))
        page.goto(live_server.url + place)
        page.locator("form").evaluate_all(
            "all => all.forEach(one => one.noValidate = true)"
        )
        page.locator("details").evaluate_all("all => all.forEach(one => one.open = true)")
        for box, text in typed.items():
            page.locator(box).fill(text)
        with page.expect_navigation():
            page.get_by_role("button", name=button, exact=True).first.click()
        look(f"{place} {button}")
    assert found == []
    assert hosts == {urlsplit(live_server.url).netloc}


def faults(told: dict[str, Any]) -> list[str]:
    """Return what Lighthouse would say of a page."""
    wrong = {
        "the layout shifts": told["shift"] > 0,
        "no title": not 10 <= len(told["title"]) <= 200,
        "no description": not told["noindex"] and not 20 <= len(told["description"]) <= 320,
        "no viewport": "width=device-width" not in told["viewport"],
        "no language": told["lang"] not in {"en", "de"},
        "not one heading": told["headings"] != 1,
        "pictures without a size": told["unsized"],
        "small letters": told["small"],
        "vague links": told["vague"],
    }
    return [f"{what} {told}" for what, is_so in wrong.items() if is_so]


def seen(page: Page, width: int) -> list[str]:
    """Return what is wrong with a page in its present look."""
    wrong = [f"too low for a thumb: {each}" for each in page.evaluate(SMALL)]
    if page.evaluate("document.documentElement.scrollWidth") > width:
        wrong.append("wider than the screen")
    report = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return wrong + [
        f"{one['id']}: {[node['html'][:90] for node in one['nodes'][:3]]}"
        for one in report["violations"]
    ]


def picture(page: Page, name: str) -> None:
    """Keep a picture where somebody wants to look at them."""
    if folder := os.environ.get("SCREENSHOTS"):
        plain = re.sub(r"[^\w.-]+", "_", name)[:120]
        page.screenshot(path=Path(folder) / f"{plain}.png", full_page=True)
