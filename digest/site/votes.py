"""More or less like this: the page behind the link beside each paper of a mail.

The link contains the name of the mail's page. A forwarded mail contains it too, so its
recipient can vote for the reader: one vote a paper, of small effect, which the reader can
see and take back in the preferences. To drop a topic or leave out an author takes a browser
that the reader had remembered, or else a link that is mailed to the reader.
"""

from functools import partial
from urllib.parse import urlencode

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext

from digest.models import Vote
from digest.ranking import votes
from digest.ranking.votes import Picked
from digest.site import less
from subscribers import browsers, subscriptions
from subscribers.http import action, origin, preferences_page, see_other, token_page
from subscribers.language import speak
from subscribers.models import Subscriber
from subscribers.notices import outbox
from subscribers.preferences import stored
from subscribers.tasks import wake

CHANGES = {"drop": less.drop, "put back": less.put_back}
VALUES = {"more": Vote.Value.MORE, "less": Vote.Value.LESS}


@token_page
def vote(request: HttpRequest, name: str, position: int, choice: str = "") -> HttpResponse:
    """Show the choice on GET; vote on POST of more, less or back; ignore any other POST.

    `choice` is what the link in the mail asked for: one button confirms it, so that a
    scanner that opens all links votes for nobody.
    """
    if choice and choice not in VALUES:
        raise Http404(gettext("A vote is for more or for less."))
    try:
        pick = votes.picked(name, position)
    except votes.NoSuchPick:
        raise Http404(
            gettext("This mail does not exist, or does not contain this paper.")
        ) from None
    if pick.language:
        speak(pick.language)
    reader = remembered_reader(request, pick)
    if request.method == "POST":
        return pressed(request, pick, reader, see_other("vote", name, str(position)))
    cast = Vote.objects.filter(subscriber=pick.subscriber_id or 0, paper=pick.paper)
    context: dict[str, object] = {"pick": pick, "vote": cast.first(), "reader": reader}
    context |= {
        "for_a_reader": True,
        "choice": choice,
        "name": name,
        "position": position,
        "sent": "sent" in request.GET,
    }
    if reader is not None:
        context["preferences_token"] = browsers.MINE
        offered = less.offered(pick, stored(reader))
        context["authors"] = [one for one in offered if one.kind == "author"]
        context["less"] = [one for one in offered if one.kind != "author"]
        context["dropped"] = less.named(pick, request.GET.get("dropped", ""))
        context["back"] = less.named(pick, request.GET.get("back", ""))
    return render(request, "digest/vote.html", context)


def remembered_reader(request: HttpRequest, pick: Picked) -> Subscriber | None:
    """Return the mail's reader if this is a browser that they had remembered."""
    browser = browsers.read(request, now=timezone.now())
    mine = browser is not None and browser.subscriber_id == pick.subscriber_id
    return browser.subscriber if browser and mine else None


def pressed(
    request: HttpRequest, pick: Picked, reader: Subscriber | None, response: HttpResponse
) -> HttpResponse:
    """Do what the button says; add to the redirect what the page shows then."""
    now = timezone.now()
    asked = action(request)
    if asked in VALUES and pick.subscriber_id is not None:
        votes.cast(pick.subscriber_id, pick.paper, VALUES[asked], now=now)
    elif asked == "back" and pick.subscriber_id is not None:
        votes.take_back(pick.subscriber_id, pick.paper)
    elif asked == "link" and pick.subscriber_id is not None:
        outbox.ask_again(pick.subscriber_id, now=now)
        wake()
        response["Location"] += "?sent=1#less"
    elif asked in CHANGES and reader is not None:
        found = less.named(pick, request.POST.get("what", ""))
        if found is not None:
            change = partial(CHANGES[asked], less=found)
            came_from = origin(request, "/v/")
            now_has = subscriptions.adjust_preferences(
                reader.pk, change, origin=came_from, now=now
            )
            # Twice is once; but a full list may take nothing back.
            if now_has and less.is_dropped(now_has, found) == (asked == "drop"):
                done = "dropped" if asked == "drop" else "back"
                response["Location"] += "?" + urlencode({done: found.key}) + "#less"
    return response


def of_reader(subscriber_id: int, token: str) -> SafeString:
    """Render the votes, if any, for the preferences page."""
    cast = votes.of(subscriber_id)
    return render_to_string("digest/_votes.html", {"votes": cast, "token": token})


@preferences_page
def take_back(request: HttpRequest, reader: Subscriber, token: str) -> HttpResponse:
    """Take back the vote on the arXiv id in `action`; redirect to the preferences."""
    if request.method == "POST":
        asked = action(request)
        for cast in votes.of(reader.pk):
            if cast.paper.arxiv_id == asked:
                votes.take_back(reader.pk, cast.paper)
    return see_other("preferences", token)
