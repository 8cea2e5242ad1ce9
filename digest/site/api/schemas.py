"""What the API answers and takes, as types: the OpenAPI document is made of them."""

import datetime as dt
from typing import Any

from django.conf import settings
from django.urls import reverse
from ninja import Field, Schema

from digest.site.cards import Card, is_web_address

# Fields that are named and filled as in the model.
PLAIN = [
    "title",
    "abstract",
    "summary",
    "authors",
    "organization",
    "submitted_at",
    "comments",
    "keywords",
    "categories",
    "is_sample",
    "abstract_url",
]


class PaperOut(Schema):
    """One arXiv paper, latest version."""

    id: str = Field(
        description="The arXiv id without a version; where it is unknown, `title-` and a name.",
        examples=["2604.01234"],
    )
    title: str
    abstract: str
    summary: str = Field(description="One sentence by a machine, of the source; or empty.")
    authors: list[str]
    author_count: int = Field(description="May be more than the names that are known.")
    organization: str
    date: dt.date = Field(description="The day on which it was first listed, UTC.")
    submitted_at: dt.datetime | None
    upvotes: int | None = Field(description="Null where no source told them.")
    comments: int
    topics: list[str] = Field(description="Slugs of topics, the best first.")
    keywords: list[str]
    categories: list[str] = Field(description="arXiv's codes.")
    url: str = Field(description="Its page here.")
    abstract_url: str
    pdf_url: str | None
    code_url: str | None
    project_url: str | None
    discussion_url: str | None
    is_sample: bool = Field(description="Written for a demonstration; not a real paper.")


class PaperPage(Schema):
    """One page of papers."""

    results: list[PaperOut]
    next: str | None = Field(description="The URL of the next page; null on the last.")
    instead_of: str | None = Field(
        None,
        description="The words as asked, where nothing had them and others were found.",
    )
    suggestion: str | None = Field(
        None, description="Words in another spelling that have many more results."
    )


class Similar(Schema):
    """The papers most like one."""

    results: list[PaperOut]


class Day(Schema):
    """A day that has papers."""

    date: dt.date
    papers: int
    url: str = Field(description="Its page here.")


class DayPage(Schema):
    """One page of days, newest first."""

    results: list[Day]
    next: str | None = Field(description="The URL of the next page; null on the last.")


class TopicOut(Schema):
    """A topic that one can subscribe to."""

    slug: str
    label: str
    group: str
    description: str
    recent_papers: int = Field(description="Papers of the newest thirty days.")
    url: str = Field(description="Its page here.")


class Topics(Schema):
    """All topics."""

    results: list[TopicOut]


class Asked(Schema):
    """The answer to every sign-up, whatever is known of the address."""

    detail: str


class SignUp(Schema):
    """What one asks for; the same as on the form, and all but the address optional."""

    email: str = Field(max_length=320, examples=["ann@example.org"])
    topics: list[str] = Field([], max_length=200, description="Slugs.")
    interests: list[str] = Field([], max_length=30, description="In plain words.")
    keywords: list[str] = Field([], max_length=100)
    timezone: str = Field("UTC", max_length=64, examples=["Europe/Berlin"])
    send_hour: int = Field(7, ge=0, le=23, description="In that time zone.")
    cadence: str = Field("daily", max_length=20, description="daily, weekdays or weekly.")
    language: str = Field(settings.LANGUAGE_CODE, max_length=20)


def paper_out(card: Card) -> dict[str, Any]:
    """Return a paper's fields as the API names them."""
    paper = card.paper
    return {name: getattr(paper, name) for name in PLAIN} | {
        "id": paper.arxiv_id,
        "author_count": card.author_count,
        "upvotes": paper.upvotes if paper.has_votes else None,
        "date": paper.day,
        "topics": [topic.slug for topic in card.topics],
        "url": absolute("paper", paper.arxiv_id),
        "pdf_url": paper.pdf_url or None,
        "discussion_url": paper.discussion_url or None,
        "code_url": paper.code_url if is_web_address(paper.code_url) else None,
        "project_url": paper.project_url if is_web_address(paper.project_url) else None,
    }


def absolute(name: str, *args: object) -> str:
    return f"{settings.SITE_URL}{reverse(name, args=args)}"
