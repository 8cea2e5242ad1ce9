"""Small pictures of mails, to be compared with those kept in `golden/`.

An eighth of the size and softened: what is compared is the layout and the colours, not
how a machine draws its letters. `python -m tests.mail --pictures` takes them anew.
"""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, ImageChops, ImageFilter, ImageStat

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext

GOLDEN = Path(__file__).with_name("golden")
SHOWN = ("Digest, typical", "Digest, right to left", "Single, confirm")
WIDTHS = (360, 700)
SCHEMES = ("light", "dark")
HEIGHT = 1600
SMALLER = 8


def views() -> Iterator[tuple[str, int, str, Path]]:
    """(name of the mail, width, colour scheme, file of the golden picture)."""
    for name in SHOWN:
        for width in WIDTHS:
            for scheme in SCHEMES:
                slug = name.lower().replace(",", "").replace(" ", "-")
                yield name, width, scheme, GOLDEN / f"{slug}-{width}-{scheme}.png"


def taken(browser: "BrowserContext", html: str, *, width: int, scheme: str) -> Image.Image:
    page = browser.new_page()
    page.set_viewport_size({"width": width, "height": HEIGHT})
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.set_content(html)
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    page.close()
    soft = picture.filter(ImageFilter.GaussianBlur(SMALLER / 2))
    return soft.resize((width // SMALLER, HEIGHT // SMALLER), Image.Resampling.BOX)


def difference(one: Image.Image, other: Image.Image) -> float:
    """Of two pictures of one size: mean difference of a channel, 0 to 255."""
    means = ImageStat.Stat(ImageChops.difference(one, other)).mean
    return sum(means) / len(means)
