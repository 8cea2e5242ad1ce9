"""Draw the picture that other sites show beside a link: 1200 × 630, the title on the site's paper.

A picture follows from its words alone. The last ones are kept in the process, as a link that is
shared is fetched by many at once.
"""

import io
import unicodedata
from functools import lru_cache
from pathlib import Path

import font_source_serif_pro
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.views.decorators.cache import cache_control
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import conditional_page, require_safe
from PIL import Image, ImageDraw, ImageFont

from digest import replica
from digest.models import Paper
from digest.site import archive
from digest.site.cards import Card
from digest.site.limits import CALLS, WINDOW, within_limit
from subscribers.http import network

WIDTH, HEIGHT, MARGIN = 1200, 630, 80
PAPER, INK, MUTED, ACCENT = "#faf8f4", "#1f1c18", "#635b50", "#9a3412"
LONGEST = 300  # characters; what is longer would not fit
SIZES = (68, 58, 50)  # of the title, until it fits into as many lines
LINES = (3, 4, 5)
KEPT = 64  # pictures of about 30 kB


@lru_cache(maxsize=16)
def font(style: str, size: int) -> ImageFont.FreeTypeFont:
    path = Path(font_source_serif_pro.font_directory) / f"SourceSerifPro-{style}.ttf"
    return ImageFont.truetype(str(path), size, layout_engine=ImageFont.Layout.BASIC)


@lru_cache(maxsize=4096)
def has_glyph(character: str) -> bool:
    """Return whether the font can draw a character."""
    face = font("Bold", SIZES[-1])
    return bytes(face.getmask(character)) != bytes(face.getmask("\uffff"))


def drawable(text: str) -> str:
    """Return what the font can draw of a text, on one line."""
    plain = unicodedata.normalize("NFKC", text[:LONGEST])
    return " ".join("".join(c if has_glyph(c) else " " for c in plain).split())


@lru_cache(maxsize=KEPT)
def png(title: str, below: str) -> bytes:
    """Return the picture of a title and a line below it."""
    picture = Image.new("RGB", (WIDTH, HEIGHT), PAPER)
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, 0, WIDTH, 14), fill=ACCENT)
    draw.text((MARGIN, 60), "Daily Papers", font=font("Bold", 40), fill=ACCENT)
    size, lines = fitted(drawable(title))
    for place, line in enumerate(lines):
        top = 150 + place * round(size * 1.22)
        draw.text((MARGIN, top), line, font=font("Bold", size), fill=INK)
    small = font("Regular", 34)
    (line,) = wrapped(drawable(below), small, 1) or [""]
    draw.text((MARGIN, HEIGHT - 100), line, font=small, fill=MUTED)
    out = io.BytesIO()
    picture.quantize(32).save(out, "PNG", optimize=True)
    return out.getvalue()


def fitted(text: str) -> tuple[int, list[str]]:
    """Return the greatest size at which the text fits, and its lines; cut at the smallest."""
    for size, most in zip(SIZES, LINES, strict=True):
        lines = wrapped(text, font("Bold", size), most + 1)
        if len(lines) <= most:
            return size, lines
    return size, wrapped(text, font("Bold", size), most)


def wrapped(text: str, face: ImageFont.FreeTypeFont, most: int) -> list[str]:
    """Return the text in lines of the picture's width, the last one with … if cut."""
    room = WIDTH - 2 * MARGIN
    lines: list[str] = []
    left = text
    while left and len(lines) < most:
        end = fitting(left, face, room)
        lines.append(left[:end].strip())
        left = left[end:].strip()
    if left:
        cut = lines[-1]
        while cut and face.getlength(f"{cut}…") > room:
            cut = cut[:-1]
        lines[-1] = f"{cut.rstrip()}…"
    return lines


def fitting(text: str, face: ImageFont.FreeTypeFont, room: int) -> int:
    """Return how many characters fit, to the end of a word unless it alone is too wide."""
    end = 1
    while end < len(text) and face.getlength(text[: end + 1]) <= room:
        end += 1
    if end == len(text) or text[end] == " ":
        return end
    space = text.rfind(" ", 0, end)
    return space if space > 0 else end


def pictured(request: HttpRequest, title: str, below: str) -> HttpResponse:
    if not within_limit(network(request), CALLS):
        answer = HttpResponse(status=429)
        answer["Retry-After"] = str(WINDOW)
        return answer
    return HttpResponse(png(title, below), content_type="image/png")


@csrf_exempt
@require_safe
@conditional_page
@cache_control(public=True, max_age=3600)
@replica.first
def of_paper(request: HttpRequest, arxiv_id: str) -> HttpResponse:
    """Draw the picture of one paper."""
    paper = get_object_or_404(Paper, arxiv_id=arxiv_id.lower())
    title = drawable(paper.title) or f"arXiv {paper.arxiv_id}"
    return pictured(request, title, Card(paper, ()).byline)


@csrf_exempt
@require_safe
@conditional_page
@cache_control(public=True, max_age=3600)
@replica.first
def of_site(request: HttpRequest) -> HttpResponse:
    """Draw the picture of the site, with its newest day."""
    day = archive.newest_day() or timezone.now().date()
    below = f"{day:%A}, {day.day} {day:%B %Y}"
    return pictured(request, "The trending research papers of the day, by mail", below)
