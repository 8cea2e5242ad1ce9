"""The public pages. They only read, set no cookie, and are cacheable for a minute."""

from datetime import date

from django.conf import settings
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

from digest.models import Paper
from digest.site import archive
from digest.site.cards import cards
from digest.site.listing import listing
from subscribers.forms import SignUpForm
from subscribers.models import Topic
from subscribers.preferences_form import topic_groups

PAGE_LENGTH = 30
public = cache_control(public=True, max_age=60)


@require_safe
@public
def today(request: HttpRequest) -> HttpResponse:
    """Show the newest day that has papers, and the sign-up form."""
    topics = list(Topic.objects.all())
    newest = archive.newest_day()
    context = day_context(newest, topics) if newest else {}
    form = SignUpForm()
    form.offer(topics, archive.recent_counts())
    context |= {
        "is_current": newest is not None and archive.is_current(newest),
        "form": form,
    }
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
    shown = cards(list(Paper.objects.filter(day=day)), topics)
    return {
        "day": day,
        "cards": shown,
        "listing": listing(shown),
        "neighbours": archive.neighbours(day),
    }


@require_safe
@public
def paper(request: HttpRequest, arxiv_id: str) -> HttpResponse:
    """Show one paper with its whole abstract."""
    found = Paper.objects.filter(arxiv_id=arxiv_id.lower()).first()
    if found is None:
        return render(request, "digest/no_such_paper.html", {"asked": arxiv_id}, status=404)
    (card,) = cards([found], Topic.objects.all())
    return render(request, "digest/paper.html", {"card": card, "paper": found})


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
        return render(request, "digest/no_such_topic.html", {"asked": slug}, status=404)
    context = page_context(request, archive.papers_of_topic(slug), all_topics)
    return render(request, "digest/topic.html", context | {"topic": asked})


def page_context(
    request: HttpRequest, papers: QuerySet[Paper], topics: list[Topic]
) -> dict[str, object]:
    """Return one page of a long list; an invalid page number gives the first or last."""
    page = Paginator(papers, PAGE_LENGTH).get_page(request.GET.get("page"))
    return {"page": page, "cards": cards(list(page.object_list), topics)}


@require_safe
@public
def privacy(request: HttpRequest) -> HttpResponse:
    """Show how the service works, which data it stores and why."""
    context = {"postal_address": settings.POSTAL_ADDRESS}
    return render(request, "digest/privacy.html", context)
