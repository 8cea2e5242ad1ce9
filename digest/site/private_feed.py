"""A feed of what one reader's digests hold, for who reads feeds instead of mail.

Its address has a random token that can do nothing but read this feed. The reader makes it in
their preferences, and there ends it or replaces it by a new one.
"""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils.html import escape
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.views.decorators.cache import cache_control
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import conditional_page, require_safe

from digest.deliveries.replay import NothingToShow, ShownPick, rebuild, shown_to
from digest.editions import phrases
from digest.models import Edition, Paper, folded
from digest.ranking.sent_before import HANDED_OVER
from digest.site.feeds import PapersFeed
from digest.site.mail_pages import newest_editions
from subscribers import links, subscriptions
from subscribers.http import action, preferences_page, see_other
from subscribers.language import speak
from subscribers.models import Subscriber

EDITIONS = 5  # the newest, so that who looks once a week misses no working day


class DigestFeed(PapersFeed):
    """The papers of a reader's newest digests, each with its reason."""

    def __init__(self, kind: str, reader: Subscriber) -> None:
        super().__init__(kind, gettext("Your Daily Papers"), "/", Paper.objects.none())
        self.subtitle = self.description = gettext(
            "The papers of your digests, with the reasons."
        )
        self.reader = reader
        self.reasons: dict[int, str] = {}

    def feed_guid(self, obj: Any) -> str:
        return str(self.address)

    def items(self, obj: Any) -> list[Paper]:
        papers: dict[int, Paper] = {}
        for edition in newest_editions(self.reader, EDITIONS):
            for pick in digest_of(self.reader, edition):
                paper = pick.block.paper
                if paper.pk not in papers:
                    papers[paper.pk] = paper
                    self.reasons[paper.pk] = phrases.reason(pick.label, pick.reasons)
        return list(papers.values())

    def item_description(self, item: Paper) -> str:
        reason = f"<p><em>{escape(self.reasons[item.pk])}</em></p>"
        return reason + super().item_description(item)


def digest_of(reader: Subscriber, edition: Edition) -> Iterator[ShownPick]:
    """Return the papers of the mail if there was one, else those that it would have now."""
    sent = folded.of(edition, reader.pk)
    if sent and sent.state in HANDED_OVER:
        with suppress(NothingToShow):
            return iter(rebuild(sent).shown())
    return iter(shown_to(reader.pk, edition))


@csrf_exempt
@require_safe
@conditional_page
@cache_control(private=True, max_age=300)
def private_feed(request: HttpRequest, token: str, kind: str) -> HttpResponse:
    """Give a reader's own feed; 404 for a token that was ended, or of one who left."""
    if not links.well_formed(token):
        raise Http404("There is no such feed.")
    readers = Subscriber.objects.select_related("schedule")
    reader = readers.filter(feed_token=token, state__in=subscriptions.CONFIRMED).first()
    if reader is None:
        raise Http404("There is no such feed; its reader may have ended it.")
    speak(reader.language)
    response = DigestFeed(kind, reader)(request)
    response["X-Robots-Tag"] = "noindex, nofollow"
    response["Referrer-Policy"] = "no-referrer"
    return response


def section(subscriber_id: int, token: str) -> SafeString:
    """Render the feed's part of the preferences page behind that token."""
    reader = Subscriber.objects.get(pk=subscriber_id)
    context = {"feed_token": reader.feed_token, "token": token}
    context["site_url"] = settings.SITE_URL
    return render_to_string("digest/_private_feed.html", context)


@preferences_page
def change_feed(request: HttpRequest, reader: Subscriber, token: str) -> HttpResponse:
    """Make, replace or end the feed, as `action` says; redirect to the preferences."""
    if request.method == "POST" and action(request) in {"make", "end"}:
        subscriptions.change_feed(reader.pk, ends=action(request) == "end")
    response = see_other("preferences", token)
    response["Location"] += "#private-feed"
    return response
