"""`python -m tests.pictures`: the README's pictures, taken of a running demonstration.

It starts `manage.py up --demo` on ports of its own, and Chromium takes the site, a digest and
the operator's page, light and dark, into docs/pictures/. It needs an emoji font.
"""

import os
import re
import signal
import subprocess
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from tests.conftest import installed_chromium
from tests.environment import ROOT
from tests.stack import Stack

FOLDER = ROOT / "docs" / "pictures"
NAME, PASSWORD = "operator", "of-the-demonstration"


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        stack = Stack(Path(folder) / "state").up("--demo")
        try:
            found = re.search(rf"{stack.url}/digest/\S+", stack.output())
            assert found
            add_operator(stack)
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(
                    executable_path=installed_chromium(), args=["--no-sandbox"]
                )
                for scheme in ("light", "dark"):
                    take(browser, stack.url, found[0], scheme)
                browser.close()
        finally:
            stack.end(signal.SIGINT)
            stack.clean_up()


def add_operator(stack: Stack) -> None:
    subprocess.run(
        [
            stack.python,
            "manage.py",
            "createsuperuser",
            "--noinput",
            "--email=o@example.com",
        ],
        cwd=stack.root,
        env=stack.env
        | {"DJANGO_SUPERUSER_USERNAME": NAME, "DJANGO_SUPERUSER_PASSWORD": PASSWORD},
        check=True,
    )


def take(browser: Browser, site: str, digest: str, scheme: str) -> None:
    page = browser.new_page(
        color_scheme=scheme,  # type: ignore[arg-type]
        viewport={"width": 1120, "height": 840},
        device_scale_factor=1,
    )
    shot(page, f"{site}/", f"site-{scheme}")
    page.set_viewport_size({"width": 680, "height": 840})
    shot(page, digest, f"digest-{scheme}")
    page.set_viewport_size({"width": 1120, "height": 840})
    page.goto(f"{site}/admin/login/?next=/admin/today/")
    page.fill("#id_username", NAME)
    page.fill("#id_password", PASSWORD)
    page.get_by_role("button", name="Log in").click()
    shot(page, f"{site}/admin/today/", f"operator-{scheme}")
    page.context.close()


def shot(page: Page, url: str, name: str) -> None:
    page.goto(url)
    page.screenshot(path=FOLDER / f"{name}.png")


if __name__ == "__main__":
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    main()
