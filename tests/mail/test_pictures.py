"""How mails look: in Chromium, on a phone and a desk, in light and dark."""

from pathlib import Path

import pytest
from PIL import Image

from tests.accessibility import ALL, COLOURS, findings
from tests.mail import pictures
from tests.mail.conftest import Specimen

pytestmark = [pytest.mark.browser, pytest.mark.embedded]
# Letters drawn otherwise differ by less than 3; a lost rule or colour by more.
TOLERANCE = 3.5
# Rules for whole pages: a mail stands inside the page of a mail program.
PAGE_RULES = ("landmark-one-main", "region")
IN_A_PAGE = ALL | {"rules": {rule: {"enabled": False} for rule in PAGE_RULES}}
# In the dark a mail has other colours, and all else is the same.
LOOKS = {"light": IN_A_PAGE, "dark": COLOURS}


@pytest.mark.parametrize(
    ("name", "width", "scheme", "golden"),
    list(pictures.views()),
    ids=[view[3].stem for view in pictures.views()],
)
def test_a_mail_looks_as_it_did(
    browser,
    specimens: dict[str, Specimen],
    name: str,
    width: int,
    scheme: str,
    golden: Path,
) -> None:
    picture = pictures.taken(browser, specimens[name].html, width=width, scheme=scheme)
    kept = Image.open(golden).convert("RGB")
    assert kept.size == picture.size
    assert pictures.difference(kept, picture) < TOLERANCE


def test_light_and_dark_are_told_apart(browser, specimens) -> None:
    """The comparison sees what it should: the wrong scheme is far beyond tolerance."""
    html = specimens["Digest, typical"].html
    light, dark = (
        pictures.taken(browser, html, width=360, scheme=scheme)
        for scheme in pictures.SCHEMES
    )
    plain = html.replace("border-top: 1px solid", "margin-top: 40px; border-top: 9px solid")
    moved = pictures.taken(browser, plain, width=360, scheme="light")
    assert pictures.difference(light, dark) > 10 * TOLERANCE
    assert pictures.difference(light, moved) > TOLERANCE


@pytest.mark.parametrize("scheme", pictures.SCHEMES)
def test_m20_axe_finds_nothing_and_nothing_is_wider_than_a_phone(
    browser, specimens, scheme
) -> None:
    page = browser.new_page()
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": 360, "height": 800})
    for mail in specimens.values():
        page.set_content(mail.html)
        assert findings(page, LOOKS[scheme]) == "", mail.name
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, mail.name


def test_a_short_digest_is_short(browser, specimens) -> None:
    """Seven papers take three screens of a phone."""
    page = browser.new_page()
    page.set_viewport_size({"width": 390, "height": 800})
    page.set_content(specimens["Digest, seven papers"].html)
    assert page.evaluate("document.documentElement.scrollHeight") <= 2600
    for name, most in (("typical", 30_000), ("abstracts", 45_000), ("titles", 22_000)):
        assert len(specimens[f"Digest, {name}"].raw) <= most


def test_s8_in_a_browser_hostile_papers_run_nothing_and_load_nothing(
    browser, specimens
) -> None:
    page = browser.new_page()
    seen: list[str] = []
    page.on("dialog", lambda dialog: seen.append(dialog.message))
    page.on("request", lambda request: seen.append(request.url))
    page.on("console", lambda message: seen.append(message.text))
    page.set_content(specimens["Digest, hostile"].html)
    page.wait_for_load_state("networkidle")
    assert page.locator("h2").count() == 10
    assert page.evaluate("document.scripts.length + document.images.length") == 0
    assert seen == []
