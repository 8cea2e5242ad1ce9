"""A reader's own archive: every digest that went to them, behind their preferences link."""

from collections.abc import Sequence
from typing import NamedTuple

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from digest import signing
from digest.deliveries.explain import day_of
from digest.editions.picks import parse_picks
from digest.models import Block, Delivery, folded
from digest.papers.search_query import QUERY_LENGTH, clean_query
from digest.papers.words import tokens
from subscribers.http import preferences_page
from subscribers.models import Subscriber

PAGE_LENGTH = 20


class PastDigest(NamedTuple):
    """A digest that went out; `titles` are its papers', or those that were looked for."""

    day: str
    kind: str  # of its edition
    name: str  # of the mail's page
    titles: Sequence[str]


@preferences_page
def past_digests(request: HttpRequest, reader: Subscriber, token: str) -> HttpResponse:
    """Show a reader's digests, newest first; with `q`, those with a title of these words."""
    query = clean_query(request.GET.get("q", ""))
    found = digests_of(reader.pk, query)
    page = Paginator(found, PAGE_LENGTH).get_page(request.GET.get("page"))
    context = {
        "preferences_token": token,
        "query": query,
        "longest": QUERY_LENGTH,
        "page": page,
    }
    return render(request, "digest/past_digests.html", context)


def digests_of(subscriber_id: int, query: str = "") -> list[PastDigest]:
    """Return the digests accepted for this reader: as many as the ledger keeps, a quarter's.

    Five queries at most, however many digests.
    """
    rows = Delivery.objects.of_readers(subscriber_id).filter(state=Delivery.State.ACCEPTED)
    rows = rows.select_related("edition").order_by("-edition__day", "edition__kind")
    # The ledger first: what is folded between the two is found twice rather than not at all.
    kept = {row.pk: row for row in [*rows, *folded.of_readers(subscriber_id)]}
    accepted = [row for row in kept.values() if row.state == Delivery.State.ACCEPTED]
    accepted.sort(key=lambda row: (-row.edition.day.toordinal(), row.edition.kind))
    sent = [(row, was) for row in accepted if (was := parse_picks(row.picks))]
    titles = titles_of(
        {(row.edition_id, pick.position) for row, was in sent for pick in was.picks}
    )
    words = set(tokens(query))
    found = []
    for row, was in sent:
        own = [titles[row.edition_id, pick.position] for pick in was.picks]
        shown = [title for title in own if words <= set(tokens(title))]
        if shown:
            edition, name = row.edition, signing.name(signing.Purpose.PAGE, row.pk)
            found.append(PastDigest(day_of(edition), edition.kind, name, shown))
    return found


def titles_of(places: set[tuple[int, int]]) -> dict[tuple[int, int], str]:
    """Return (edition id, position) → title."""
    editions, positions = {one for one, _ in places}, {place for _, place in places}
    blocks = Block.objects.filter(edition__in=editions, position__in=positions)
    rows = blocks.order_by().values_list("edition_id", "position", "title")
    return {(edition, place): title for edition, place, title in rows}
