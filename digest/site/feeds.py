"""Feeds in Atom (RFC 4287) and JSON Feed 1.1, the sitemap, and robots.txt.

Django's syndication framework makes both kinds; all addresses are built from SITE_URL.
"""

import json
from collections.abc import Iterable
from datetime import UTC, date, datetime, time
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode, urlsplit

from django.conf import settings
from django.contrib.sitemaps import Sitemap
from django.contrib.sitemaps.views import sitemap
from django.contrib.syndication.views import Feed
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.feedgenerator import Atom1Feed, SyndicationFeed
from django.utils.html import escape
from django.utils.translation import gettext

from digest.models import Paper
from digest.papers.search import newest_hits
from digest.papers.search_query import clean_query
from digest.site import archive
from subscribers.models import Topic

ENTRIES = 60
type Papers = QuerySet[Paper]


class Atom(Atom1Feed):
    """Atom with every author of an entry, which Django's has one of."""

    def latest_post_date(self) -> datetime:
        """Return the newest entry's instant; of an empty feed the day's begin, for its ETag."""
        return (
            super().latest_post_date()
            if self.items
            else datetime.combine(timezone.now().date(), time(), UTC)
        )

    def add_item_elements(self, handler: Any, item: dict[str, Any]) -> None:
        super().add_item_elements(handler, item)
        for name in item["authors"]:
            handler.startElement("author", {})
            handler.addQuickElement("name", name)
            handler.endElement("author")


class JsonFeed(SyndicationFeed):
    """JSON Feed 1.1, https://www.jsonfeed.org/version/1.1/."""

    content_type = "application/feed+json; charset=utf-8"

    def write(self, outfile: Any, encoding: str) -> None:
        feed = {
            "version": "https://jsonfeed.org/version/1.1",
            "title": self.feed["title"],
            "description": self.feed["subtitle"],
            "home_page_url": self.feed["link"],
            "feed_url": self.feed["feed_url"],
            "language": self.feed["language"],
            "items": [self.entry(item) for item in self.items],
        }
        outfile.write(json.dumps(feed, ensure_ascii=False).encode(encoding))

    def entry(self, item: dict[str, Any]) -> dict[str, object]:
        return {
            "id": item["unique_id"],
            "url": item["link"],
            "title": item["title"],
            "content_html": item["description"],
            "date_published": item["pubdate"].isoformat(),
            "authors": [{"name": name} for name in item["authors"]],
            "tags": list(item["categories"]),
        }


KINDS: dict[str, type[SyndicationFeed]] = {"atom": Atom, "json": JsonFeed}


class PapersFeed(Feed):  # type: ignore[type-arg]  # generic for mypy only
    """The newest of some papers, newest day first."""

    author_name = "Daily Papers"  # Atom wants one, and a paper may come without authors

    def __init__(self, kind: str, title: str, page: str, papers: Papers) -> None:
        self.feed_type = KINDS[kind]
        self.title = title
        self.link = absolute(page)
        self.subtitle = self.description = gettext(
            "Trending research papers, newest first."
        )
        self.papers = papers

    def feed_url(self, obj: Any) -> str:
        return str(self.address)

    def __call__(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        self.address = absolute(quote(request.path, safe="/:@"))
        if request.META.get("QUERY_STRING"):
            self.address += f"?{request.META['QUERY_STRING']}"
        response: HttpResponse = super().__call__(request)
        return response

    def feed_guid(self, obj: Any) -> str:
        return str(self.link)

    def items(self, obj: Any) -> Iterable[Paper]:
        return self.papers.order_by("-day", "-upvotes", "arxiv_id")[:ENTRIES]

    def item_title(self, item: Any) -> str:
        return str(item.title)

    def item_description(self, item: Any) -> str:
        return f"<p>{escape(item.abstract)}</p>"

    def item_link(self, item: Paper) -> str:
        return absolute(reverse("paper", args=[item.arxiv_id]))

    def item_guid(self, item: Paper) -> str:
        """Return the paper's address, in whatever language the feed is."""
        with translation.override(settings.LANGUAGE_CODE):
            return self.item_link(item)

    def item_pubdate(self, item: Paper) -> datetime:
        return datetime.combine(item.day, time(), UTC)

    item_updateddate = item_pubdate

    def item_categories(self, item: Paper) -> list[str]:
        return [str(code) for code in item.categories]

    def item_extra_kwargs(self, item: Paper) -> dict[str, Any]:
        return {"authors": [str(name) for name in item.authors]}


def absolute(path: str) -> str:
    return f"{settings.SITE_URL}{path}"


def everything(request: HttpRequest, kind: str) -> HttpResponse:
    """Give the newest of all papers as a feed."""
    page = reverse("today")
    return PapersFeed(kind, "Daily Papers", page, archive.begun())(request)


def topic(request: HttpRequest, slug: str, kind: str) -> HttpResponse:
    """Give the newest papers of a topic as a feed."""
    found = get_object_or_404(Topic, slug=slug)
    papers = archive.papers_of_topic(slug)
    page = reverse("topic", args=[slug])
    return PapersFeed(kind, f"Daily Papers: {found}", page, papers)(request)


def author(request: HttpRequest, name: str, kind: str) -> HttpResponse:
    """Give the papers of an author as a feed; one without papers does not exist."""
    papers = archive.papers_of_author(name) if "\0" not in name else Paper.objects.none()
    if not papers.exists():
        raise Http404(gettext("We have no paper of an author with exactly this name."))
    page = reverse("author", args=[name])
    return PapersFeed(kind, f"Daily Papers: {name}", page, papers)(request)


def searched(request: HttpRequest, kind: str) -> HttpResponse:
    """Give the newest papers that a search finds as a feed: those with every word."""
    text = clean_query(request.GET.get("q", ""))
    if not text:
        raise Http404(gettext("A feed of a search needs its words: ?q=world+models"))
    ids = [
        hit.paper_id
        for hit in newest_hits(text, today=timezone.now().date(), limit=ENTRIES)
    ]
    page = f"{reverse('search')}?{urlencode({'q': text})}"
    title = f"Daily Papers: {text}"
    return PapersFeed(kind, title, page, Paper.objects.filter(pk__in=ids))(request)


# -- for crawlers -----------------------------------------------------------------


class Page(NamedTuple):
    """A page by the name of its route, in every language; `changed` is its newest day."""

    route: str
    args: tuple[Any, ...]
    changed: date | None


class Addresses(Sitemap):  # type: ignore[type-arg]
    """The addresses of some pages, in each language; the pages name one another."""

    protocol = urlsplit(settings.SITE_URL).scheme
    limit = 50_000  # the most that one file may have: some 25,000 papers a week
    i18n = True

    def __init__(self, pages: list[Page]) -> None:
        self.pages = pages

    def get_domain(self, site: Any = None) -> str:
        return urlsplit(settings.SITE_URL).netloc

    def items(self) -> list[Page]:
        return self.pages

    def location(self, item: Page) -> str:
        return reverse(item.route, args=item.args)

    def lastmod(self, item: Page) -> date | None:
        return item.changed


def sitemap_index(request: HttpRequest) -> HttpResponse:
    """Name a file of lists, and one for each week that has papers, with its newest day."""
    days = archive.days()
    files = {reverse("sitemap_of_lists"): max(days, default=None)}
    for day in days:
        week = archive.week_of(day).first
        files.setdefault(reverse("sitemap_of_week", args=[week]), day)
    named = [{"location": absolute(path), "last_mod": day} for path, day in files.items()]
    context = {"sitemaps": named}
    return render(request, "sitemap_index.xml", context, content_type="application/xml")


def sitemap_of_lists(request: HttpRequest) -> HttpResponse:
    newest = archive.newest_day()
    slugs = Topic.objects.values_list("slug", flat=True)
    pages = [Page(name, (), newest) for name in ("today", "archive", "topics")]
    pages += [Page("topic", (slug,), newest) for slug in slugs]
    return sitemap(request, {"lists": Addresses(pages)})


def sitemap_of_week(request: HttpRequest, day: date) -> HttpResponse:
    """Name the days and papers of the week that begins with `day`; 404 without any."""
    week = archive.week_of(day)
    found = archive.begun().filter(day__range=(week.first, week.last))
    found = found.filter(is_sample=False).order_by("-day", "arxiv_id")
    papers = list(found.values_list("arxiv_id", "day"))
    if day != week.first or not papers:
        raise Http404("no papers of a week that begins on this day")
    days = dict.fromkeys(day for _, day in papers)
    pages = [Page("day", (day,), day) for day in days]
    pages += [Page("paper", (arxiv_id,), day) for arxiv_id, day in papers]
    return sitemap(request, {"week": Addresses(pages)})


def robots(request: HttpRequest) -> HttpResponse:
    """Keep crawlers out of pages that have no end, and name the sitemap."""
    lines = ["User-agent: *"]
    for language, _ in settings.LANGUAGES:
        with translation.override(language):
            lines += [f"Disallow: {reverse(name)}" for name in ("search", "saved")]
    lines += ["", f"Sitemap: {absolute(reverse('sitemap'))}", ""]
    return HttpResponse("\n".join(lines), content_type="text/plain; charset=utf-8")
