"""The API, version 1: papers, days, topics and search to read, and a sign-up.

Paths, parameters and fields are a promise: they may grow, and never change their meaning.
The OpenAPI document is made from the types here, and the page of examples from that.
"""

import datetime as dt
from collections.abc import Sequence
from typing import Annotated, Any, cast
from urllib.parse import urlencode

from django.conf import settings
from django.db.models import Count, Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import URLPattern, re_path
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.views.decorators.http import require_safe
from ninja import NinjaAPI, Query
from pydantic import BeforeValidator

from digest.models import Paper
from digest.papers.search import MOST_HITS
from digest.papers.search_query import QUERY_LENGTH, clean_query
from digest.ranking.meaning import search
from digest.site import archive
from digest.site.api.answers import (
    PROBLEM_JSON,
    ApiView,
    Failed,
    Problem,
    answering,
    catch_errors,
    problem,
)
from digest.site.api.schemas import (
    Asked,
    DayPage,
    PaperOut,
    PaperPage,
    SignUp,
    Similar,
    Topics,
    absolute,
    paper_out,
)
from digest.site.cards import cards
from digest.site.limits import CALLS, SEARCHES, within_limit
from digest.site.similar import Order, similar_papers
from digest.site.views import public
from subscribers.forms import SignUpForm
from subscribers.http import network
from subscribers.models import Topic
from subscribers.views import take_sign_up

PAGE_LENGTH = 30
MOST = 100  # of one page
AN_ID = "The arXiv id, like 2604.01234."
REFUSED = {
    "description": "An error",
    "content": {PROBLEM_JSON: {"schema": Problem.model_json_schema()}},
}
ERRORS = {"responses": {"default": REFUSED}}

api = NinjaAPI(
    title="Daily Papers",
    version="1",
    description="The trending research papers of each day, with their topics.",
    docs_url=None,
    urls_namespace="api",
    servers=[{"url": settings.SITE_URL}],
)
catch_errors(api)


def papers_out(papers: Sequence[Paper], topics: Sequence[Topic]) -> list[dict[str, Any]]:
    return [paper_out(card) for card in cards(papers, topics)]


def next_url(request: HttpRequest, cursor: str) -> str:
    """Return this URL with another cursor."""
    query = [(name, value) for name, value in request.GET.items() if name != "cursor"]
    return f"{settings.SITE_URL}{request.path}?{urlencode([*query, ('cursor', cursor)])}"


# -- papers and search ----------------------------------------------------------------


def as_written(value: object) -> object:
    """Refuse what is a date to pydantic only: seconds since 1970, say. Raises ValueError."""
    if isinstance(value, str) and dt.date.fromisoformat(value).isoformat() != value:
        raise ValueError("a date is written like 2026-04-17")
    return value


Day = Annotated[dt.date, BeforeValidator(as_written)]
Limit = Annotated[int, Query(PAGE_LENGTH, ge=1, le=MOST, description="Results on a page.")]
Cursor = Annotated[
    str, Query("", max_length=60, description="From `next`; it has no other meaning.")
]


@api.get(
    "/papers",
    response=PaperPage,
    operation_id="listPapers",
    openapi_extra=ERRORS,
    summary="List papers",
    description="Return papers: with `q` the best match first, else the newest day first.\n\n"
    "Papers of a day are in the order of their ids, so that no page misses one while votes "
    f"come in. `q` finds the best {MOST_HITS} papers at most.",
)
def papers(
    request: HttpRequest,
    q: Annotated[
        str,
        Query(
            "",
            max_length=QUERY_LENGTH,
            description="A search, as on the search page: words, phrases in quotation "
            "marks, arXiv ids, `author:`, `topic:`, `after:` and `before:`.",
        ),
    ],
    date: Annotated[
        Day | None, Query(None, lt=dt.date.max, description="Of this day only.")
    ],
    topic: Annotated[str, Query("", max_length=100, description="The slug of a topic.")],
    limit: Limit,
    cursor: Cursor,
) -> dict[str, Any]:
    topics = list(Topic.objects.all())
    if topic and topic not in {one.slug for one in topics}:
        raise Http404("There is no such topic.")
    if clean_query(q):
        return found(request, filtered(q, date, topic), topics, limit, cursor)
    rows = archive.papers_of_topic(topic) if topic else archive.begun()
    rows = rows.filter(day=date) if date else rows
    if cursor:
        day, _, last = cursor.partition("~")
        after = parsed_day(day)
        rows = rows.filter(Q(day__lt=after) | Q(day=after, arxiv_id__gt=plain_id(last)))
    page = list(rows.order_by("-day", "arxiv_id")[: limit + 1])
    more = len(page) > limit
    last_shown = page[limit - 1] if more else None
    return {
        "results": papers_out(page[:limit], topics),
        "next": last_shown
        and next_url(request, f"{last_shown.day.isoformat()}~{last_shown.arxiv_id}"),
    }


def filtered(q: str, date: dt.date | None, topic: str) -> str:
    """Return the query with both filters in the words of the search. Raises Failed."""
    parts = [clean_query(q)]
    if topic:
        parts.append(f"topic:{topic}")
    if date:
        parts.append(f"after:{date} before:{date + dt.timedelta(days=1)}")
    text = " ".join(parts)
    if len(text) > QUERY_LENGTH:
        raise Failed(422, f"`q` and filters have {QUERY_LENGTH} characters at most.")
    return text


def found(
    request: HttpRequest, text: str, topics: Sequence[Topic], limit: int, cursor: str
) -> dict[str, Any]:
    """Return one page of a search; its cursor is the place in the list."""
    if cursor and not (cursor.isascii() and cursor.isdigit() and len(cursor) < 5):
        raise Failed(422, "This cursor is of another list.")
    if not within_limit(network(request)):
        raise Failed(429, "Too many searches; try again in a minute.")
    first = int(cursor or 0)
    hits = search(text)
    last = first + limit
    return {
        "results": papers_out(hits.papers(first, last), topics),
        "next": next_url(request, str(last)) if last < len(hits.hits) else None,
        "instead_of": hits.instead_of or None,
        "suggestion": hits.suggestion or None,
    }


def parsed_day(text: str) -> dt.date:
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise Failed(422, "This cursor is of another list.") from None


def plain_id(text: str) -> str:
    """Return an arXiv id that a database takes as text. Raises Failed."""
    if not text.isprintable():
        raise Failed(422, "This cursor is of another list.")
    return text


@api.get(
    "/papers/{paper:arxiv_id}/similar",
    response=Similar,
    operation_id="similarPapers",
    openapi_extra=ERRORS,
    summary="Find similar papers",
)
def similar(
    request: HttpRequest,
    arxiv_id: str,
    order: Annotated[
        Order, Query("fit", description="`fit`: nearest first; `date`: newest first.")
    ],
) -> dict[str, Any]:
    """Return the papers most like one, if any are like it."""
    near = similar_papers(by_id(arxiv_id), order=order)
    return {"results": papers_out(near, list(Topic.objects.all()))}


@api.get(
    "/papers/{paper:arxiv_id}",
    response=PaperOut,
    operation_id="getPaper",
    openapi_extra=ERRORS,
    summary="Get one paper",
)
def paper(request: HttpRequest, arxiv_id: str) -> dict[str, Any]:
    """Return one paper by its arXiv id; a version in it is ignored."""
    (card,) = cards([by_id(arxiv_id)], Topic.objects.all())
    return paper_out(card)


def by_id(arxiv_id: str) -> Paper:
    found = Paper.objects.filter(arxiv_id=arxiv_id.lower()).first()
    if found is None:
        raise Http404("There is no such paper here.")
    return found


# -- days and topics ----------------------------------------------------------------


@api.get(
    "/days",
    response=DayPage,
    operation_id="listDays",
    openapi_extra=ERRORS,
    summary="List days",
)
def days(request: HttpRequest, limit: Limit, cursor: Cursor) -> dict[str, Any]:
    """Return the days that have papers, newest first."""
    rows = archive.begun().order_by("-day").values_list("day").annotate(Count("pk"))
    if cursor:
        rows = rows.filter(day__lt=parsed_day(cursor))
    page = list(rows[: limit + 1])
    last = page[limit - 1][0] if len(page) > limit else None
    return {
        "results": [
            {"date": day, "papers": count, "url": absolute("day", day)}
            for day, count in page[:limit]
        ],
        "next": last and next_url(request, last.isoformat()),
    }


@api.get(
    "/topics",
    response=Topics,
    operation_id="listTopics",
    openapi_extra=ERRORS,
    summary="List topics",
)
def topics(request: HttpRequest) -> dict[str, Any]:
    """Return all topics, in their groups' order."""
    counts = archive.recent_counts()
    return {
        "results": [
            {
                "slug": topic.slug,
                "label": topic.label,
                "group": topic.group,
                "description": topic.description,
                "recent_papers": counts[topic.slug],
                "url": absolute("topic", topic.slug),
            }
            for topic in Topic.objects.all()
        ]
    }


# -- sign-up --------------------------------------------------------------------------


@api.post(
    "/subscribers",
    response={202: Asked},
    operation_id="subscribe",
    openapi_extra=ERRORS,
    summary="Ask to subscribe",
)
def subscribers(request: HttpRequest, payload: SignUp) -> dict[str, str]:
    """Take a sign-up. A mail asks the address to confirm; until then nothing is sent.

    The answer is the same whatever is known of the address. The limits are those of the form.
    """
    if not settings.SIGN_UP_OPEN:
        raise Failed(403, "Sign-up is closed.")
    if request.content_type != "application/json":  # what a form of another site can't send
        raise Failed(415, "Send JSON, as Content-Type: application/json.")
    asked = payload.model_dump()
    lines = {name: "\n".join(asked[name]) for name in ("interests", "keywords")}
    form = SignUpForm(asked | lines)
    if not form.is_valid():
        wrong = [
            {"field": field, "message": str(message)}
            for field, messages in form.errors.items()
            for message in messages
        ]
        raise Failed(422, "Some fields are not valid.", wrong)
    take_sign_up(request, form, source="/api/v1/subscribers")
    return {"detail": "Check the inbox: a mail asks to confirm the subscription."}


# -- the page ---------------------------------------------------------------------------

EXAMPLES = {
    "listPapers": ["papers?q=world+models&limit=3", "papers?topic=reasoning"],
    "similarPapers": ["papers/PAPER/similar?order=date"],
    "getPaper": ["papers/PAPER"],
    "listDays": ["days?limit=7"],
    "listTopics": ["topics"],
    "subscribe": ["subscribers"],
}


def as_html(text: str) -> SafeString:
    """Return a description as HTML: what stands between backticks is code."""
    parts = text.split("`")
    marked = [
        format_html("<code>{}</code>", part) if place % 2 else part
        for place, part in enumerate(parts)
    ]
    return format_html_join("", "{}", ((part,) for part in marked))


@require_safe
@public
def page(request: HttpRequest) -> HttpResponse:
    """Show how to use the API: its operations as the OpenAPI document has them."""
    newest = archive.begun().filter(is_sample=False).first()
    known = newest.arxiv_id if newest else "2604.01234"
    operations = [
        details
        | {
            "method": method.upper(),
            "path": path,
            "paragraphs": [as_html(one) for one in details["description"].split("\n\n")],
            "parameters": [
                (
                    one["name"],
                    one["schema"],
                    as_html(one["schema"].get("description", AN_ID)),
                )
                for one in details.get("parameters", [])
            ],
            "examples": [
                request.path + example.replace("PAPER", known)
                for example in EXAMPLES[details["operationId"]]
            ],
        }
        for path, methods in api.get_openapi_schema()["paths"].items()
        for method, details in methods.items()
    ]
    context = {
        "operations": operations,
        "calls": CALLS.per_network,
        "searches": SEARCHES.per_network,
    }
    return render(request, "digest/api.html", context)


def urls() -> tuple[list[URLPattern], str]:
    """Return the patterns and their namespace; this page stands at their root."""
    found, _, namespace = api.urls
    patterns = [each for each in found if isinstance(each, URLPattern)]
    for pattern in patterns:
        view = cast(ApiView, pattern.callback)
        pattern.callback = page if pattern.name == "api-root" else answering(view)
    # Any address, one with a line end too, which <path:rest> does not match.
    return [*patterns, re_path(r"^(?P<rest>[\s\S]+)\Z", answering(missing))], namespace


def missing(request: HttpRequest, rest: str) -> HttpResponse:
    """Answer an address that the API does not have."""
    return problem(404, "There is no such address in this API.")
