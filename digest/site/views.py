"""The public pages. They only read, set no cookie, and are cacheable for a minute."""

from collections import Counter
from collections.abc import Sequence
from datetime import date, timedelta
from functools import wraps
from typing import Any

from django.conf import settings
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.templatetags.static import static
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext
from django.views.decorators.cache import cache_control, never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import conditional_page, require_POST, require_safe

from digest import replica
from digest.editions import phrases
from digest.models import Paper
from digest.papers.fullness import newest_state
from digest.ranking.outlook import outlook
from digest.site import archive
from digest.site.archive import Period
from digest.site.cards import cards
from digest.site.citations import FORMATS, bibtex
from digest.site.limits import PREVIEWS, too_often, within_limit
from digest.site.not_found import suggestions
from digest.site.similar import Order, similar_papers
from subscribers.http import View, network
from subscribers.models import Topic
from subscribers.preferences_form import PreferencesForm, topic_groups

PAGE_LENGTH = 30
BEST_SHOWN = 5
WEEKS_SHOWN = 8
TOPIC_WEEKS = 3
WEEK = timedelta(days=7)


def public[**P](view: View[P]) -> View[P]:
    """Wrap a page for everybody: cacheable for a minute, with an ETag to ask again by.

    A cache may give an older one for a minute more while it asks for the new one, and for an
    hour while we do not answer (RFC 5861). It takes no form, so that any other method gets
    405, and not 403 for want of a CSRF token.
    """
    kept = cache_control(
        public=True, max_age=60, stale_while_revalidate=60, stale_if_error=3600
    )
    return csrf_exempt(conditional_page(kept(replica.first(view))))


def feed[**P](view: View[P]) -> View[P]:
    """Wrap what programs read: the same, and readable by scripts of other sites."""

    @wraps(view)
    def answer(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        response = view(request, *args, **kwargs)
        response["Access-Control-Allow-Origin"] = "*"
        return response

    return require_safe(public(answer))


# -- days, weeks, months ----------------------------------------------------------


@require_safe
@public
def today(request: HttpRequest) -> HttpResponse:
    """Show the newest day that has papers, and the first step of the sign-up."""
    topics = list(Topic.objects.all())
    newest = archive.newest_day()
    context: dict[str, object] = {"topics": topics}
    if newest:
        week = archive.week_of(newest)
        context |= day_context(newest, topics)
        context |= {"week": week, "best_of_week": week.papers()[:BEST_SHOWN]}
    context["is_current"] = newest is not None and archive.is_current(newest)
    if newest and context["is_current"]:
        context["state"] = newest_state(timezone.now())
        context["samples"] = Paper.objects.filter(day=newest, is_sample=True).exists()
    return render(request, "digest/today.html", context)


@require_safe
@public
def day(request: HttpRequest, day: date) -> HttpResponse:
    """Show the papers of one day; 404 with the nearest days when it has none."""
    context = day_context(day, list(Topic.objects.all()))
    if not context["cards"]:
        return render(request, "digest/no_such_day.html", context, status=404)
    return render(request, "digest/day.html", context)


def day_context(day: date, topics: list[Topic]) -> dict[str, object]:
    return {
        "day": day,
        "cards": cards(list(Paper.objects.filter(day=day)), topics),
        "neighbours": Period(day, day).around(),
        "calendar": archive.calendar_of(day),
    }


@require_safe
@public
def week(request: HttpRequest, day: date, slug: str = "") -> HttpResponse:
    """Show the best papers of the week of that day, of all topics or of one."""
    period = archive.week_of(day)
    return period_page(request, "week", period, week_name(period), slug)


@require_safe
@public
def month(request: HttpRequest, day: date, slug: str = "") -> HttpResponse:
    """Show the best papers of a month, of all topics or of one, and its calendar."""
    period = archive.month_of(day)
    return period_page(request, "month", period, date_format(day, "F Y"), slug)


def week_name(period: Period) -> str:
    """Return the days of a week in words of the active language."""
    return phrases.dates(period.first, period.last)[0]


def period_page(
    request: HttpRequest, kind: str, period: Period, name: str, slug: str
) -> HttpResponse:
    topics = list(Topic.objects.all())
    asked = next((topic for topic in topics if topic.slug == slug), None)
    if slug and asked is None:
        return no_such_topic(request, slug)
    papers = period.papers(slug)
    counts = Counter[str]() if slug else period.topics()
    context: dict[str, object] = {
        "kind": kind,
        "route": f"topic_{kind}" if slug else kind,
        "period": period,
        "name": name,
        "topic": asked,
        "others": [(topic, counts[topic.slug]) for topic in topics if counts[topic.slug]],
        "count": papers.count(),
        "cards": cards(list(papers[:PAGE_LENGTH]), topics),
        "around": period.around(slug),
        "calendar": archive.calendar_of(period.last),
    }
    status = 200 if context["cards"] else 404
    return render(request, "digest/period.html", context, status=status)


@require_safe
@public
def archive_page(request: HttpRequest) -> HttpResponse:
    """Show all months that have papers, and the calendar of the newest."""
    newest = archive.newest_day()
    context: dict[str, object] = {"years": archive.months(), "newest": newest}
    if newest:
        context["calendar"] = archive.calendar_of(newest)
        weeks = [newest - WEEK * n for n in range(WEEKS_SHOWN)]
        periods = [archive.week_of(day) for day in weeks]
        context["weeks"] = [(period, week_name(period)) for period in periods]
    return render(request, "digest/archive.html", context)


# -- one paper ---------------------------------------------------------------------


@require_safe
@public
def paper(request: HttpRequest, arxiv_id: str) -> HttpResponse:
    """Show one paper with its whole abstract, and similar ones by fit or date."""
    found = Paper.objects.filter(arxiv_id=arxiv_id.lower()).first()
    if found is None:
        context = {"asked": arxiv_id} | suggestions(request.path)
        return render(request, "digest/no_such_paper.html", context, status=404)
    topics = list(Topic.objects.all())
    (card,) = cards([found], topics)
    order: Order = "date" if request.GET.get("similar") == "date" else "fit"
    context = {
        "card": card,
        "paper": found,
        "order": order,
        "similar": cards(similar_papers(found, order=order), topics),
        "bibtex": bibtex([found]),
    }
    return render(request, "digest/paper.html", context)


@require_safe
@public
def cite(request: HttpRequest, arxiv_id: str, ending: str) -> HttpResponse:
    """Give one paper as a file for reference managers."""
    found = get_object_or_404(Paper, arxiv_id=arxiv_id.lower())
    return citations([found], ending, f"arxiv-{found.arxiv_id.replace('/', '-')}")


def citations(papers: list[Paper], ending: str, name: str) -> HttpResponse:
    if ending not in FORMATS:
        raise Http404("Papers can be cited as .bib (BibTeX), .ris (RIS) and .json (CSL).")
    content_type, write = FORMATS[ending]
    response = HttpResponse(write(papers), content_type=f"{content_type}; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}.{ending}"'
    return response


# -- topics, authors, organizations ---------------------------------------------


@require_safe
@public
def topics(request: HttpRequest) -> HttpResponse:
    """Show all topics in their groups, with the number of recent papers."""
    counts = archive.recent_counts()
    groups = [
        (group.name, [(topic, counts[topic.slug]) for topic in group.topics])
        for group in topic_groups(Topic.objects.all())
    ]
    context = {"groups": groups, "days": archive.COUNTED_DAYS}
    return render(request, "digest/topics.html", context)


@require_safe
@public
def topic(request: HttpRequest, slug: str) -> HttpResponse:
    """Show the newest papers of a topic."""
    all_topics = list(Topic.objects.all())
    asked = next((topic for topic in all_topics if topic.slug == slug), None)
    if asked is None:
        return no_such_topic(request, slug)
    context = page_context(request, archive.papers_of_topic(slug), all_topics)
    context |= {"topic": asked}
    if context["page"].number == 1:
        context |= best_until([card.paper.day for card in context["cards"]])
    return render(request, "digest/topic.html", context)


def best_until(days: Sequence[date]) -> dict[str, object]:
    """Return the newest weeks of these days, with their names, and the newest month."""
    weeks = dict.fromkeys(map(archive.week_of, days))
    return {
        "weeks": [(week, week_name(week)) for week in list(weeks)[:TOPIC_WEEKS]],
        "month": archive.month_of(days[0]) if days else None,
    }


def no_such_topic(request: HttpRequest, slug: str) -> HttpResponse:
    context = {"asked": slug} | suggestions(reverse("topic", args=[slug]))
    return render(request, "digest/no_such_topic.html", context, status=404)


@require_safe
@public
def author(request: HttpRequest, name: str) -> HttpResponse:
    """Show the papers of an author, by the exact name."""
    return papers_by(request, "author", name, archive.papers_of_author(name))


@require_safe
@public
def organization(request: HttpRequest, name: str) -> HttpResponse:
    """Show the papers of an organization, by the exact name."""
    return papers_by(request, "organization", name, archive.papers_of_organization(name))


def papers_by(
    request: HttpRequest, kind: str, name: str, papers: QuerySet[Paper]
) -> HttpResponse:
    if "\0" in name:  # PostgreSQL refuses it in text
        raise Http404(gettext("There is no such name."))
    context = page_context(request, papers, list(Topic.objects.all()))
    context |= {"kind": kind, "name": name}
    status = 200 if context["cards"] else 404
    return render(request, "digest/papers_by.html", context, status=status)


@csrf_exempt  # the forms that post here have no session and no cookie; nothing is stored
@require_POST
@never_cache
def preview(request: HttpRequest) -> HttpResponse:
    """Show what the posted preferences would have brought; store nothing."""
    if not within_limit(network(request), PREVIEWS):
        return too_often(request, PREVIEWS)
    form = PreferencesForm(request.POST)
    found = outlook(form.preferences()) if form.is_valid() else None
    context = {"form": form, "outlook": found}
    status = 400 if form.errors else 200
    return render(request, "digest/outlook.html", context, status=status)


def page_context(
    request: HttpRequest, papers: QuerySet[Paper], topics: list[Topic]
) -> dict[str, Any]:
    """Return one page of a long list; an invalid page number gives the first or last."""
    page = Paginator(papers, PAGE_LENGTH).get_page(request.GET.get("page"))
    return {"page": page, "cards": cards(list(page.object_list), topics)}


@require_safe
@public
def privacy(request: HttpRequest) -> HttpResponse:
    """Show how the service works, which data it stores and why."""
    context = {"postal_address": settings.POSTAL_ADDRESS}
    return render(request, "digest/privacy.html", context)


@csrf_exempt
@require_safe
@cache_control(public=True, max_age=3600)
def favicon(request: HttpRequest) -> HttpResponse:
    """Lead programs that read no page, and ask for the icon by its oldest name, to it."""
    return redirect(static("favicon.svg"))
