"""Pages that do not exist: a search box, and the nearest thing that may have been meant."""

import re
from datetime import date
from difflib import get_close_matches

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.formats import date_format
from django.utils.translation import get_language_from_path, gettext, gettext_lazy

from digest.models import Paper
from digest.site import archive
from subscribers.http import mended
from subscribers.models import Topic

PAGES = {
    "archive": gettext_lazy("Archive"),
    "topics": gettext_lazy("Topics"),
    "search": gettext_lazy("Search"),
    "saved": gettext_lazy("Saved papers"),
    "subscribe": gettext_lazy("Subscribe"),
    "preferences": gettext_lazy("Your preferences"),
    "privacy": gettext_lazy("Privacy and how it works"),
}
ROUTES = {"preferences": "preferences_link"}
DAY = re.compile(r"(?<!\d)(\d{4})[-/._]?(\d{1,2})[-/._]?(\d{1,2})(?!\d)")
PAPER = re.compile(r"(?<!\d)(\d{4})[.\s_-]?(\d{4,5})(?!\d)")
SEPARATORS = re.compile(r"[/\-_+.,?=&\s]+")
LONGEST = 100
CLOSE = 0.7  # of difflib's ratio
MOST_PAPERS = 3


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Show why, if the view has said it, and what may have been meant.

    A mailed link with something behind it that is no part of it leads to its page.
    """
    if meant := mended(request):
        return redirect(meant)
    told = exception.args[0] if exception.args else ""
    context = {"told": told if isinstance(told, str) else ""}
    return render(request, "404.html", context | suggestions(request.path), status=404)


def suggestions(path: str) -> dict[str, object]:
    """Return the words of a path as a query, and (label, URL) of what it may mean."""
    words = " ".join(SEPARATORS.split(unprefixed(path))).strip()[:LONGEST]
    found = [*days(path), *papers(path), *topics(words), *pages(words)]
    return {"words": words, "nearest": list(dict.fromkeys(found))}


def unprefixed(path: str) -> str:
    """Return the path without its language."""
    found = get_language_from_path(path)
    return path.removeprefix(f"/{found}") if found else path


def days(path: str) -> list[tuple[str, str]]:
    """Return the day in the path if it has papers, else the nearest ones that have."""
    if not (match := DAY.search(path)):
        return []
    try:
        asked = date(*map(int, match.groups()))
    except ValueError:
        return []
    near = archive.Period(asked, asked).around()
    known = Paper.objects.filter(day=asked).exists()
    near_days = [asked] if known else [near.previous, near.next]
    return [
        (
            gettext("Papers of %(day)s") % {"day": date_format(day, gettext("j F Y"))},
            reverse("day", args=[day]),
        )
        for day in near_days
        if day
    ]


def papers(path: str) -> list[tuple[str, str]]:
    """Return papers whose id is written in another way, or begins like it."""
    if not (match := PAPER.search(path)):
        return []
    begins = f"{match[1]}.{match[2]}"
    found = Paper.objects.filter(arxiv_id__startswith=begins) or Paper.objects.filter(
        arxiv_id__startswith=begins[:-1]
    )
    return [
        (paper.title, reverse("paper", args=[paper.arxiv_id]))
        for paper in found[:MOST_PAPERS]
    ]


def topics(words: str) -> list[tuple[str, str]]:
    known = {
        name.lower(): topic
        for topic in Topic.objects.all()
        for name in (topic.slug, topic.slug.replace("-", " "), topic.label, str(topic))
    }
    asked = words.lower().removeprefix("topics ").removeprefix("topic ")
    close = get_close_matches(asked, known, n=3, cutoff=CLOSE)
    return [
        (
            gettext("Topic: %(name)s") % {"name": known[name]},
            reverse("topic", args=[known[name].slug]),
        )
        for name in close
    ]


def pages(words: str) -> list[tuple[str, str]]:
    close = get_close_matches(words.lower(), PAGES, n=1, cutoff=CLOSE)
    return [(str(PAGES[name]), reverse(ROUTES.get(name, name))) for name in close]
