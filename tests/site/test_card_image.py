"""The pictures beside links: of the right size, of the paper, and of any hostile title."""

import io
import re
import time

import pytest
from django.conf import settings
from django.core.cache import cache
from django.test import Client
from PIL import Image

from digest.site import card_image, limits
from tests.site.conftest import MakePaper, html_of

pytestmark = [pytest.mark.django_db, pytest.mark.embedded]
LARGEST = 100_000  # bytes; mobile messengers drop larger ones


@pytest.mark.parametrize("path", ["/", "/papers/2604.00001/", "/topics/"])
def test_a_page_names_its_picture(client: Client, paper: MakePaper, path: str) -> None:
    cache.clear()
    paper(title="Knots & graphs")
    html = html_of(client, path)
    (url,) = re.findall(r'<meta property="og:image" content="([^"]+)">', html)
    assert url.startswith(settings.SITE_URL)
    assert ("/papers/2604.00001/" in url) == ("/papers/2604.00001/" in path)
    answer = client.get(url.removeprefix(settings.SITE_URL))
    assert (answer.status_code, answer["Content-Type"]) == (200, "image/png")
    assert Image.open(io.BytesIO(answer.content)).size == (1200, 630)
    assert answer["Cache-Control"] == "public, max-age=3600"
    again = client.get(
        url.removeprefix(settings.SITE_URL), headers={"if-none-match": answer["ETag"]}
    )
    assert again.status_code == 304


@pytest.mark.parametrize(
    "title",
    [
        "",
        "\N{SNOWMAN}",
        "漢字だけの題",
        "A" * 100_000,
        "a " * 50_000,
        "W" * 40 + " " + "i" * 200,
        "\u202eevil \0 \ud800 \n title",
        "e" + "\u0301" * 5000,
    ],
    ids=lambda title: ascii(title)[:16],
)
def test_any_title_is_drawn_small_and_soon(title: str) -> None:
    start = time.process_time()
    drawn = card_image.png(title, title)
    assert time.process_time() - start < 1
    assert len(drawn) < LARGEST
    assert Image.open(io.BytesIO(drawn)).size == (1200, 630)


@pytest.mark.parametrize(
    ("title", "lines"),
    [
        ("Short", ["Short"]),
        ("Nießner & Müller: ΔΦ of π₀, naïve", None),
        ("word " * 200, None),
        ("x" * 300, None),
    ],
)
def test_lines_stay_inside_the_picture(title: str, lines: list[str] | None) -> None:
    text = card_image.drawable(title)
    size, found = card_image.fitted(text)
    face = card_image.font("Bold", size)
    assert all(face.getlength(line) <= 1200 - 2 * card_image.MARGIN for line in found)
    assert len(found) <= max(card_image.LINES)
    assert lines is None or found == lines
    whole = " ".join(found).rstrip("…")
    assert text.replace(" ", "").startswith(whole.replace(" ", ""))


def test_pictures_are_drawn_so_often_in_a_minute(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.clear()
    monkeypatch.setattr(time, "time", lambda: 1_776_412_800.0)
    for _ in range(limits.CALLS.per_network):
        assert client.get("/card.png", REMOTE_ADDR="203.0.114.9").status_code == 200
    refused = client.get("/card.png", REMOTE_ADDR="203.0.114.9")
    assert (refused.status_code, refused["Retry-After"]) == (429, "60")


def test_a_paper_that_is_none_has_no_picture(client: Client) -> None:
    assert client.get("/papers/9999.99999/card.png").status_code == 404
