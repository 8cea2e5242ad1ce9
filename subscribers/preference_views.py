"""The pages behind a link mailed on request: all preferences, and one's data."""

from collections.abc import Callable
from datetime import datetime
from functools import partial

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.safestring import SafeString

from subscribers import browsers, links, privacy, requests, subscriptions
from subscribers.browsers import MINE
from subscribers.forms import AddressForm, LinkForm, PauseForm
from subscribers.http import (
    action,
    origin,
    preferences_page,
    read_link,
    reader_behind,
    see_other,
    see_typed,
    token_page,
    typed,
)
from subscribers.models import Link, Request, Subscriber, Topic
from subscribers.notices import outbox
from subscribers.preferences import stored
from subscribers.preferences_form import (
    PreferencesForm,
    as_shown,
    changed_since,
    initial_of,
    read_shown,
)
from subscribers.tasks import wake
from subscribers.views import Counts, offer_again

Purpose = Link.Purpose
type More = Callable[[Subscriber], privacy.Tables]
type Beside = Callable[[int, str], SafeString]

# Button → what the page says next, as a parameter of its address; all others save.
DONE = {"address": "moved", "data": "asked", "pause": "paused", "resume": "resumed"}
SAID = ("saved", *DONE.values())


@token_page
def preferences_link(request: HttpRequest) -> HttpResponse:
    """Ask for the link to the preferences, or to one's data."""
    form = LinkForm(request.POST if request.method == "POST" else None)
    if form.is_valid() and "step" in request.POST:
        form = LinkForm(initial={"email": form.cleaned_data["email"]})
    elif form.is_valid():
        kinds = {"data": Request.Kind.DATA}
        requests.ask_for(
            kinds.get(action(request), Request.Kind.LINK),
            form.cleaned_data["email"],
            origin=origin(request, "/preferences/"),
            filled=form.filled(),
            now=timezone.now(),
        )
        wake()
        return see_typed("preferences_sent", request)
    status = 400 if form.is_bound else 200
    mine = browsers.read(request, now=timezone.now())
    context: dict[str, object] = {"form": form, "for_a_reader": True}
    context["mine"] = mine.subscriber if mine else None
    return render(request, "subscribers/preferences_link.html", context, status=status)


@token_page
def preferences_sent(request: HttpRequest) -> HttpResponse:
    context = {"typed": typed(request), "for_a_reader": True}
    return render(request, "subscribers/link_sent.html", context)


@token_page
def preferences(
    request: HttpRequest, token: str, *, counts: Counts, more: Beside
) -> HttpResponse:
    """Show and change the preferences behind a link; `counts` as at the sign-up form.

    `more` gives what other rooms show here, of a subscriber id and the page's token.
    """
    asked = action(request)
    now = timezone.now()
    try:
        reader = reader_behind(request, token)
    except links.Expired as expired:
        return offer_again(request, expired.link, asked)
    page = PreferencesPage(reader, now)
    if token == MINE and asked == "address":
        outbox.ask_again(reader.pk, now=now)
        wake()
        return render(request, "subscribers/link_sent.html", {"known": True})
    if request.method == "POST" and page.change(request, asked):
        wake()
        if asked == "unsubscribe":  # the mails' page says so, and offers the way back
            return see_other("unsubscribe", reader.unsubscribe_token)
        response = see_other("preferences", token)
        response["Location"] += f"?{DONE.get(asked, 'saved')}=1"
        return response
    page.preferences.offer(Topic.objects.all(), counts(), fold=True)
    context = page.context() | {
        "done": [] if page.invalid else [done for done in SAID if done in request.GET],
        "more": more(reader.pk, token),
        "mailed": token != MINE,
        "preferences_token": token,
        "browsers": browsers.of_reader(reader.pk, now=now),
        "this_browser": browsers.read(request, now=now),
    }
    status = 400 if page.invalid else 200
    return render(request, "subscribers/preferences.html", context, status=status)


@preferences_page
def change_browsers(request: HttpRequest, reader: Subscriber, token: str) -> HttpResponse:
    """Remember this browser, or forget the one in `action`, or all; back to the preferences."""
    now = timezone.now()
    asked = action(request)
    response = see_other("preferences", token)
    if browsers.is_from_elsewhere(request):
        return response  # or another site could give this browser to a reader of its own
    if request.method == "POST" and asked == "remember":
        response = see_other("preferences", MINE)
        browsers.remember(reader.pk, request, response, now=now)
    elif request.method == "POST":
        browsers.forget(reader.pk, asked)
        if browsers.read(request, now=now) is None:
            browsers.clear(response)
    response["Location"] += "#browsers"
    return response


class PreferencesPage:
    """The forms of the page, each with the stored values; the posted one with what was typed."""

    def __init__(self, subscriber: Subscriber, now: datetime) -> None:
        self.subscriber = subscriber
        self.now = now
        self.today = subscriptions.local_date(subscriber, now)
        self.preferences = PreferencesForm(initial=initial_of(stored(subscriber)))
        self.shown = as_shown(stored(subscriber))
        self.pause = PauseForm(None, today=self.today)
        self.address = AddressForm(auto_id="new-%s")

    @property
    def invalid(self) -> bool:
        forms = (self.preferences, self.pause, self.address)
        return any(form.is_bound and not form.is_valid() for form in forms)

    def change(self, request: HttpRequest, asked: str) -> bool:
        """Do what the pressed button says; a form without one saves. False: a mistake."""
        came_from = origin(request, "/preferences/")
        pk, now = self.subscriber.pk, self.now
        match asked:
            case "pause":
                self.pause = PauseForm(request.POST, today=self.today)
                if self.pause.is_valid():
                    until = self.pause.cleaned_data["until"]
                    subscriptions.pause(pk, until, origin=came_from, now=now)
            case "resume":
                subscriptions.resume(pk, origin=came_from, now=now)
            case "unsubscribe":
                subscriptions.unsubscribe(pk, origin=came_from, now=now)
            case "data":
                outbox.ask_for_data(pk, now=now)
            case "address":
                self.address = AddressForm(request.POST, auto_id="new-%s")
                if self.address.is_valid():
                    email, filled = (
                        self.address.cleaned_data["email"],
                        self.address.filled(),
                    )
                    requests.ask_to_move(
                        pk, email, origin=came_from, filled=filled, now=now
                    )
            case _:
                self.preferences = PreferencesForm(request.POST)
                self.shown = request.POST.get("shown", "")
                if self.preferences.is_valid():
                    shown, wanted = read_shown(self.shown), self.preferences.preferences()
                    change = partial(changed_since, shown, wanted)
                    subscriptions.adjust_preferences(pk, change, origin=came_from, now=now)
        return not self.invalid

    def context(self) -> dict[str, object]:
        return {
            "subscriber": self.subscriber,
            "reading": self.subscriber.state in subscriptions.CONFIRMED,
            "paused": self.subscriber.state == Subscriber.State.PAUSED,
            "form": self.preferences,
            "shown": self.shown,
            "pause_form": self.pause,
            "address_form": self.address,
            "today": self.today,
        }


@token_page
def data(request: HttpRequest, token: str, more: More) -> HttpResponse:
    """Download or erase everything; a download leaves the link for its hour.

    `more` gives what other rooms hold of a subscriber: table name → rows.
    """
    now = timezone.now()
    asked = action(request)
    try:
        link = read_link(token, Purpose.DATA, now=now)
        if request.method == "POST" and asked in {"download", "erase"}:
            if asked == "download":
                return download(link.subscriber, more)
            links.use_up(link, now=now)
            privacy.erase(link.subscriber_id, now=now)
            return render(request, "subscribers/erased.html")
    except links.Expired as expired:
        return offer_again(request, expired.link, asked)
    return render(request, "subscribers/data.html", {"subscriber": link.subscriber})


def download(subscriber: Subscriber, more: More) -> HttpResponse:
    tables = privacy.personal_data(subscriber) | dict(more(subscriber))
    archive = privacy.zipped(tables, language=subscriber.language)
    response = HttpResponse(archive, content_type="application/zip")
    response["Content-Disposition"] = 'attachment; filename="daily-papers-data.zip"'
    return response
