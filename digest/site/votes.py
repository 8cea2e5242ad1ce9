"""More or less like this: the page behind the link beside each paper of a mail.

The link contains the name of the mail's page. A forwarded mail contains it too, so its
recipient can vote for the reader: one vote a paper, of small effect, which the reader can
see and take back in the preferences.
"""

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.safestring import SafeString

from digest.models import Vote
from digest.ranking import votes
from subscribers.http import action, preferences_page, see_other, token_page
from subscribers.models import Subscriber

VALUES = {"more": Vote.Value.MORE, "less": Vote.Value.LESS}


@token_page
def vote(request: HttpRequest, name: str, position: int, choice: str = "") -> HttpResponse:
    """Show the choice on GET; vote on POST of more, less or back; ignore any other POST.

    `choice` is what the link in the mail asked for: one button confirms it, so that a
    scanner that opens all links votes for nobody.
    """
    if choice and choice not in VALUES:
        raise Http404("A vote is for more or for less.")
    try:
        pick = votes.picked(name, position)
    except votes.NoSuchPick:
        raise Http404("This mail does not exist, or does not contain this paper.") from None
    if request.method == "POST" and pick.subscriber_id is not None:
        asked = action(request)
        if asked in VALUES:
            now = timezone.now()
            votes.cast(pick.subscriber_id, pick.paper, VALUES[asked], now=now)
        elif asked == "back":
            votes.take_back(pick.subscriber_id, pick.paper)
    if request.method == "POST":
        return see_other("vote", name, str(position))
    cast = Vote.objects.filter(subscriber=pick.subscriber_id or 0, paper=pick.paper)
    shown = {"pick": pick, "vote": cast.first(), "choice": choice}
    context = shown | {"name": name, "position": position}
    return render(request, "digest/vote.html", context)


def of_reader(subscriber_id: int, token: str) -> SafeString:
    """Render the votes, if any, and the way to an explanation, for the preferences page."""
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
