"""URLs of the public pages: days, papers, topics, search."""

from datetime import date

from django.urls import path, register_converter

from digest import privacy
from digest.site import archive, mail_pages, search, views, votes
from subscribers.preference_views import data, preferences
from subscribers.views import subscribe


class DayConverter:
    """A calendar day like 2026-04-17; other text does not match."""

    regex = "[0-9]{4}-[0-9]{2}-[0-9]{2}"

    def to_python(self, value: str) -> date:
        return date.fromisoformat(value)

    def to_url(self, value: date) -> str:
        return value.isoformat()


class PaperConverter:
    """An arXiv id: 2604.01234, or cs/0112017 (until 2007). The version is dropped."""

    regex = r"[\w.\-]+(?:/\w+)?"

    def to_python(self, value: str) -> str:
        head, mark, version = value.rpartition("v")
        return head if mark and version.isdigit() and head[-1:].isdigit() else value

    def to_url(self, value: str) -> str:
        return value


register_converter(DayConverter, "day")
register_converter(PaperConverter, "paper")

# Extra content for the subscribers' pages, which know nothing of papers.
COUNTS = {"counts": archive.recent_counts}
BESIDE = COUNTS | {"more": votes.of_reader}

urlpatterns = [
    path("subscribe/", subscribe, COUNTS, name="subscribe"),
    path("preferences/<str:token>/", preferences, BESIDE, name="preferences"),
    path("preferences/<str:token>/votes/", votes.take_back, name="take_back"),
    path("preferences/<str:token>/newest/", mail_pages.newest, name="newest"),
    path("data/<str:token>/", data, {"more": privacy.personal_data}, name="data"),
    path("", views.today, name="today"),
    path("papers/<day:day>/", views.day, name="day"),
    path("papers/<paper:arxiv_id>/", views.paper, name="paper"),
    path("topics/", views.topics, name="topics"),
    path("topics/<slug:slug>/", views.topic, name="topic"),
    path("search/", search.page, name="search"),
    path("digest/<str:name>", mail_pages.digest, name="digest"),
    path("v/<str:name>/<int:position>", votes.vote, name="vote"),
    path("v/<str:name>/<int:position>/<str:choice>", votes.vote, name="vote_asked"),
    path("editions/<slug:kind>/<day:day>/", mail_pages.edition, name="edition"),
    path("privacy/", views.privacy, name="privacy"),
]
