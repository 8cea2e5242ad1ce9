"""The search page: hits with their words marked, facets, and help where there are none."""

from dataclasses import dataclass
from urllib.parse import urlencode

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from digest.papers.search import Found
from digest.papers.search_query import QUERY_LENGTH, clean_query, excluded, marked, snippet
from digest.ranking.meaning import search
from digest.site.cards import Card, cards
from digest.site.feeds import KINDS
from digest.site.limits import limited
from digest.site.views import public
from subscribers.models import Topic

PAGE_LENGTH = 30
TOPICS_SHOWN = 8
MARKED = list[tuple[str, bool]]  # parts of a text, and whether each is a hit


@dataclass(frozen=True)
class Hit:
    """A paper with the words that were looked for marked."""

    card: Card
    title: MARKED
    byline: MARKED
    passage: MARKED
    is_first_loose: bool
    is_by_meaning: bool


@dataclass(frozen=True)
class Facet:
    """A link that narrows a search, and the number of hits that remain."""

    label: str
    count: int
    url: str


@require_safe
@limited
@public
def page(request: HttpRequest) -> HttpResponse:
    """Show what fits the query best."""
    text = clean_query(request.GET.get("q", ""))
    context: dict[str, object] = {"query": text, "longest": QUERY_LENGTH}
    if text:
        words = urlencode({"q": text})
        context["feeds"] = {
            kind: f"{reverse('search_feed', args=[kind])}?{words}" for kind in KINDS
        }
        topics = list(Topic.objects.all())
        found = search(text)
        turned = Paginator(range(len(found.hits)), PAGE_LENGTH).get_page(
            request.GET.get("page")
        )
        first = (turned.number - 1) * PAGE_LENGTH
        context |= {
            "found": found,
            "excluded": excluded(text),
            "page": turned,
            "hits": hits(found, first, topics),
            "topics": topic_facets(found, topics),
            "years": year_facets(found),
            "suggestion_url": address(found.suggestion),
        }
    return render(request, "digest/search.html", context)


def hits(found: Found, first: int, topics: list[Topic]) -> list[Hit]:
    """Return one page of hits. Two queries."""
    papers = found.papers(first, first + PAGE_LENGTH)
    return [
        Hit(
            card=card,
            title=marked(card.paper.title, found.query),
            byline=marked(people(card, found), found.query),
            passage=snippet(card.paper.abstract, found.query),
            is_first_loose=place == found.exact,
            is_by_meaning=card.paper.pk in found.by_meaning,
        )
        for place, card in enumerate(cards(papers, topics), first)
    ]


def people(card: Card, found: Found) -> str:
    """Return the byline; where an author further down is a hit, that name after it."""
    shown = {part for part, is_hit in marked(card.byline, found.query) if is_hit}
    others = [
        name
        for name in map(str, card.paper.authors)
        if name not in card.byline
        and len([part for part, is_hit in marked(name, found.query) if is_hit]) > len(shown)
    ]
    return " · ".join([card.byline, *others[:1]]) if card.byline else "".join(others[:1])


def topic_facets(found: Found, topics: list[Topic]) -> list[Facet]:
    labels = {topic.slug: str(topic) for topic in topics}
    text = found.query.text
    facets = [
        Facet(labels[slug], count, address(f"{text} topic:{slug}"))
        for slug, count in found.topics
        if slug in labels and slug not in found.query.topics and count < len(found.hits)
    ]
    return facets[:TOPICS_SHOWN]


def year_facets(found: Found) -> list[Facet]:
    """Return one facet for each year; none where all hits are of one."""
    text = found.query.text
    if len(found.years) < 2 or found.query.after or found.query.before:
        return []
    return [
        Facet(str(year), count, address(f"{text} after:{year} before:{year + 1}"))
        for year, count in found.years
    ]


def address(text: str) -> str:
    return f"{reverse('search')}?{urlencode({'q': text})}"
