"""Saved papers: a list in the browser, and one that a reader keeps behind their own link.

The first needs no account and never leaves the browser, see site.js. The second is a table,
so that a subscriber has it on each device; a list of the first kind can be handed over to it.
"""

from collections.abc import Iterable
from datetime import datetime
from urllib.parse import unquote

from django.core.paginator import Paginator
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.safestring import SafeString
from django.views.decorators.http import require_safe

from digest.models import Paper, SavedPaper
from digest.papers.records import ARXIV_ID, TITLE_ID
from digest.papers.search_query import PAPER_ID
from digest.site import archive
from digest.site.cards import cards
from digest.site.citations import FORMATS
from digest.site.views import PAGE_LENGTH, citations, public
from subscribers.http import action, preferences_page, see_other
from subscribers.models import Subscriber, Topic
from subscribers.subscriptions import locked

MOST_IN_ADDRESS = 100  # ids
MOST_KEPT = 1_000  # papers of one reader
LONGEST_TEXT = 20_000  # characters, of ids and links

# -- in the browser ------------------------------------------------------------------


@require_safe
@public
def saved(request: HttpRequest) -> HttpResponse:
    """Show the papers in `ids`. A browser keeps its reader's own list, see site.js."""
    ids = asked_ids(request)
    papers = cards(archive.listed(ids), Topic.objects.all())
    context = {"cards": papers, "ids": ",".join(ids), "most": MOST_IN_ADDRESS}
    return render(request, "digest/saved.html", context)


@require_safe
@public
def saved_cited(request: HttpRequest, ending: str) -> HttpResponse:
    """Give the papers in `ids` as a file for reference managers."""
    return citations(archive.listed(asked_ids(request)), ending, "saved-papers")


def asked_ids(request: HttpRequest) -> list[str]:
    """Return the arXiv ids that the address names; anything else is left out."""
    asked = request.GET.get("ids", "").lower().split(",")[:MOST_IN_ADDRESS]
    return [
        arxiv_id
        for arxiv_id in asked
        if ARXIV_ID.fullmatch(arxiv_id) or TITLE_ID.fullmatch(arxiv_id)
    ]


# -- behind a reader's link ------------------------------------------------------------


@preferences_page
def my_papers(request: HttpRequest, reader: Subscriber, token: str) -> HttpResponse:
    """Show a reader's list, or give it as a file; add the posted `ids` or remove a paper."""
    reader_id = reader.pk
    if request.method == "POST":
        return changed(request, reader_id, token)
    ending = request.GET.get("export", "")
    if ending:
        return citations(kept(reader_id), ending, "saved-papers")
    page = Paginator(rows_of(reader_id), PAGE_LENGTH).get_page(request.GET.get("page"))
    context = {
        "preferences_token": token,
        "page": page,
        "cards": cards([row.paper for row in page.object_list], Topic.objects.all()),
        "formats": FORMATS,
        "added": request.GET.get("added"),
        "most": MOST_KEPT,
        "longest": LONGEST_TEXT,
        "is_full": page.paginator.count >= MOST_KEPT,
    }
    return render(request, "digest/my_papers.html", context)


def changed(request: HttpRequest, reader_id: int, token: str) -> HttpResponse:
    """Do what the pressed button says: `add`, or the id of the paper to remove."""
    response = see_other("my_papers", token)
    asked = action(request)
    if asked == "add":
        count = add(reader_id, ids_in(request.POST.get("ids", "")), now=timezone.now())
        response["Location"] += f"?added={count}"
    else:
        SavedPaper.objects.filter(subscriber=reader_id, paper__arxiv_id=asked).delete()
    return response


def ids_in(text: str) -> list[str]:
    """Return the ids in a text: ids, links to papers, or a link to a list."""
    plain = unquote(text[:LONGEST_TEXT]).lower()
    return PAPER_ID.findall(plain) + TITLE_ID.findall(plain)


def kept(reader_id: int) -> list[Paper]:
    """Return the papers of a reader's list, newest in it first."""
    return [row.paper for row in rows_of(reader_id)]


def rows_of(reader_id: int) -> QuerySet[SavedPaper]:
    rows = SavedPaper.objects.filter(subscriber=reader_id).select_related("paper")
    return rows.order_by("-at", "-pk")


@transaction.atomic
def add(reader_id: int, ids: Iterable[str], *, now: datetime) -> int:
    """Put papers before those of the list, at most MOST_KEPT in all; return how many are new.

    Ids that no paper here has are ignored, as is an erased reader.
    """
    reader = locked(reader_id)
    if reader is None:
        return 0
    known = set(
        SavedPaper.objects.filter(subscriber=reader).values_list("paper", flat=True)
    )
    new = [paper for paper in archive.listed(ids) if paper.pk not in known]
    room = new[: MOST_KEPT - len(known)]
    SavedPaper.objects.bulk_create(
        SavedPaper(subscriber=reader, paper=paper, at=now) for paper in reversed(room)
    )
    return len(room)


def section(subscriber_id: int, token: str) -> SafeString:
    """Render the ways to the list and to the digests, for the preferences page."""
    count = SavedPaper.objects.filter(subscriber=subscriber_id).count()
    return render_to_string("digest/_my_papers.html", {"count": count, "token": token})
