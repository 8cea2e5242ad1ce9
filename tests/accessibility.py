"""What axe finds on a page, by all its rules or by those about colours alone."""

from typing import TYPE_CHECKING

from axe_playwright_python.sync_playwright import Axe

if TYPE_CHECKING:
    from playwright.sync_api import Page

# Only what is wrong: the elements that are right make up most of a report.
ALL: dict[str, object] = {"resultTypes": ["violations"]}
COLOURS = ALL | {"runOnly": {"type": "tag", "values": ["cat.color"]}}
# Of these the two that a whole look has, too: the others ask for the contrast of AAA.
CONTRAST = ALL | {
    "runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}
}


def findings(page: "Page", options: dict[str, object] = ALL) -> str:
    """Axe's report; empty when it finds nothing."""
    report = Axe().run(page, options=options)
    return str(report.generate_report()) if report.violations_count else ""
