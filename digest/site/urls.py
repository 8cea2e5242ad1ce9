"""URLs of the public pages: days, papers, topics, search."""

from datetime import date

from django.urls import include, path, register_converter
from django.urls.converters import StringConverter
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from digest import privacy
from digest.site import (
    archive,
    card_image,
    feeds,
    mail_pages,
    private_feed,
    saved,
    search,
    views,
    votes,
)
from digest.site.api import v1
from digest.site.limits import limited
from digest.site.past_digests import past_digests
from digest.site.why import why
from subscribers.preference_views import data, preferences
from subscribers.views import subscribe

FIRST_YEAR, LAST_YEAR = 1990, 2200  # arXiv began in 1991


class DayConverter:
    """A day like 2026-04-17 that can have papers and neighbours; other text does not match."""

    regex = "[0-9]{4}-[0-9]{2}-[0-9]{2}"

    def to_python(self, value: str) -> date:
        found = date.fromisoformat(value)
        if not FIRST_YEAR <= found.year <= LAST_YEAR:
            raise ValueError(value)
        return found

    def to_url(self, value: date) -> str:
        return value.isoformat()


class MonthConverter(DayConverter):
    """A month like 2026-04, as its first day."""

    regex = "[0-9]{4}-[0-9]{2}"

    def to_python(self, value: str) -> date:
        return super().to_python(f"{value}-01")

    def to_url(self, value: date) -> str:
        return value.isoformat()[:7]


class FeedConverter(StringConverter):
    """The ending of a feed's address."""

    regex = "|".join(feeds.KINDS)


class PaperConverter:
    """An arXiv id: 2604.01234, or cs/0112017 (until 2007). The version is dropped."""

    regex = r"[\w.\-]+(?:/\w+)?"

    def to_python(self, value: str) -> str:
        head, mark, version = value.rpartition("v")
        return head if mark and version.isdigit() and head[-1:].isdigit() else value

    def to_url(self, value: str) -> str:
        return value


register_converter(DayConverter, "day")
register_converter(FeedConverter, "feed")
register_converter(MonthConverter, "month")
register_converter(PaperConverter, "paper")


def beside(subscriber_id: int, token: str) -> SafeString:
    """Render what this side adds to the preferences page behind a token."""
    sections = (votes.of_reader, saved.section, private_feed.section)
    return format_html_join("", "{}", ((of(subscriber_id, token),) for of in sections))


# Extra content for the subscribers' pages, which know nothing of papers.
COUNTS = {"counts": archive.recent_counts}
BESIDE = COUNTS | {"more": beside}

# With an address for each language.
pages = [
    path("subscribe/", subscribe, COUNTS, name="subscribe"),
    path("", views.today, name="today"),
    path("papers/<day:day>/", views.day, name="day"),
    path("papers/<paper:arxiv_id>/", views.paper, name="paper"),
    path("weeks/<day:day>/", views.week, name="week"),
    path("months/<month:day>/", views.month, name="month"),
    path("archive/", views.archive_page, name="archive"),
    path("authors/<path:name>/", views.author, name="author"),
    path("organizations/<path:name>/", views.organization, name="organization"),
    path("saved/", saved.saved, name="saved"),
    path("topics/", views.topics, name="topics"),
    path("topics/<slug:slug>/", views.topic, name="topic"),
    path("topics/<slug:slug>/weeks/<day:day>/", views.week, name="topic_week"),
    path("topics/<slug:slug>/months/<month:day>/", views.month, name="topic_month"),
    path("feeds/all.<feed:kind>", views.feed(feeds.everything), name="feed"),
    path(
        "feeds/topics/<slug:slug>.<feed:kind>", views.feed(feeds.topic), name="topic_feed"
    ),
    path(
        "feeds/authors/<path:name>.<feed:kind>",
        views.feed(feeds.author),
        name="author_feed",
    ),
    path(
        "feeds/search.<feed:kind>", limited(views.feed(feeds.searched)), name="search_feed"
    ),
    path("search/", search.page, name="search"),
    path("preview/", views.preview, name="preview"),
    path("editions/<slug:kind>/<day:day>/", mail_pages.edition, name="edition"),
    path("privacy/", views.privacy, name="privacy"),
]
urlpatterns = [
    path("preferences/<str:token>/", preferences, BESIDE, name="preferences"),
    path("preferences/<str:token>/votes/", votes.take_back, name="take_back"),
    path("preferences/<str:token>/feed/", private_feed.change_feed, name="change_feed"),
    path("preferences/<str:token>/saved/", saved.my_papers, name="my_papers"),
    path("preferences/<str:token>/newest/", mail_pages.newest, name="newest"),
    path("preferences/<str:token>/digests/", past_digests, name="past_digests"),
    path("preferences/<str:token>/why/", why, name="why"),
    path("data/<str:token>/", data, {"more": privacy.personal_data}, name="data"),
    path("papers/<paper:arxiv_id>/card.png", card_image.of_paper, name="paper_card"),
    path("card.png", card_image.of_site, name="card"),
    path("papers/<paper:arxiv_id>/cite.<str:ending>", views.cite, name="cite"),
    path("saved/papers.<str:ending>", saved.saved_cited, name="saved_cited"),
    path(
        "feeds/mine/<str:token>.<feed:kind>", private_feed.private_feed, name="private_feed"
    ),
    path("favicon.ico", views.favicon, name="favicon"),
    path("robots.txt", views.feed(feeds.robots), name="robots"),
    path("sitemap.xml", views.feed(feeds.sitemap_index), name="sitemap"),
    path("sitemap-lists.xml", views.feed(feeds.sitemap_of_lists), name="sitemap_of_lists"),
    path(
        "sitemap-<day:day>.xml", views.feed(feeds.sitemap_of_week), name="sitemap_of_week"
    ),
    path("digest/<str:name>", mail_pages.digest, name="digest"),
    path("v/<str:name>/<int:position>", votes.vote, name="vote"),
    path("v/<str:name>/<int:position>/<str:choice>", votes.vote, name="vote_asked"),
    path("api/v1/", include(v1.urls())),
]
