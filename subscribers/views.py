"""The pages of a subscription: sign up, confirm, block, leave.

GET shows and never changes; POST does. The answer to a typed address is the same whatever
we know of it: the difference is only in the mail.
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils import timezone

from subscribers import (
    address_change,
    browsers,
    links,
    rate_limits,
    requests,
    subscriptions,
)
from subscribers.addresses import masked
from subscribers.browsers import MINE
from subscribers.forms import SignUpForm
from subscribers.http import (
    action,
    origin,
    read_link,
    see_other,
    see_typed,
    speak_to_holder,
    token_page,
    typed,
    while_open,
)
from subscribers.language import offered, speak, wished
from subscribers.models import Link, Subscriber, Topic
from subscribers.notices import outbox
from subscribers.preferences import bound_to, day_and_hour, next_hour, stored
from subscribers.tasks import wake

Purpose = Link.Purpose
TOKEN_OF_A_LINK = re.compile(rf"({links.TOKEN.pattern})(?:[^A-Za-z0-9].*)?", re.DOTALL)
type Counts = Callable[[], Mapping[str, int]]


@token_page
@while_open
def subscribe(request: HttpRequest, counts: Counts) -> HttpResponse:
    """Show and take the sign-up form; `counts` gives each topic's recent papers, by slug.

    Other pages ask for the address alone: that is the first `step`, after which the whole
    form is shown; another step shows it again to correct a typo. An address of this page may
    name topics to tick, and a search to keep: ?topics=graphs&searches=knots.
    """
    language = wished(request)
    form = SignUpForm(request.POST if request.method == "POST" else None, language=language)
    if request.method != "POST":
        asked = request.GET
        form = SignUpForm(
            initial={
                "topics": asked.getlist("topics"),
                "searches": asked.getlist("searches"),
            },
            language=language,
        )
    elif "step" in request.POST and form.is_valid():
        form = SignUpForm(initial=form.begun(), language=language)
    if form.is_valid():
        take_sign_up(request, form, source="/subscribe/")
        return see_typed("subscribe_done", request)
    form.offer(Topic.objects.all(), counts())
    status = 400 if form.is_bound else 200
    return render(request, "subscribers/subscribe.html", {"form": form}, status=status)


def take_sign_up(request: HttpRequest, form: SignUpForm, *, source: str) -> None:
    """Put a valid form into the inbox; `source` names the page or the API."""
    requests.sign_up(
        form.cleaned_data["email"],
        form.preferences(),
        origin=origin(request, source),
        filled=form.filled(),
        now=timezone.now(),
    )
    wake()


@token_page
@while_open
def subscribe_done(request: HttpRequest) -> HttpResponse:
    context = {"typed": typed(request), "for_a_reader": True}
    return render(request, "subscribers/subscribe_done.html", context)


@token_page
def challenge(request: HttpRequest) -> HttpResponse:
    """Return the challenge that proof.js solves while the form is filled in."""
    return JsonResponse(rate_limits.challenge(timezone.now()))


@token_page
def confirm(request: HttpRequest, token: str) -> HttpResponse:
    now = timezone.now()
    asked = action(request)
    try:
        link = read_link(token, Purpose.CONFIRM, now=now)
        if request.method == "POST" and asked != "again":
            reader = subscriptions.confirm(
                token, origin=origin(request, "/confirm/"), now=now
            )
            wake()
            return confirmed(request, reader)
    except links.Expired as expired:
        return offer_again(request, expired.link, asked)
    return show_confirm(request, link, token)


def show_confirm(request: HttpRequest, link: Link, token: str) -> HttpResponse:
    subscriber = link.subscriber
    if subscriber.state in subscriptions.CONFIRMED:
        return confirmed(request, None)
    if subscriber.state == Subscriber.State.UNSUBSCRIBED:
        return offer_again(request, link, "")
    preferences = bound_to(link, subscriber)
    context = {
        "token": token,
        "subscriber": subscriber,
        "preferences": preferences,
        "topics": list(Topic.objects.filter(slug__in=preferences.topics)),
        "language_name": dict(settings.LANGUAGES)[offered(preferences.language)],
    }
    return render(request, "subscribers/confirm.html", context)


def confirmed(request: HttpRequest, reader: Subscriber | None) -> HttpResponse:
    """Show that it is confirmed; welcome a reader who did it just now."""
    context = welcome(reader, now=timezone.now()) if reader else {}
    return render(request, "subscribers/confirmed.html", context)


def welcome(reader: Subscriber, *, now: datetime) -> dict[str, object]:
    """Return what a new reader is told: what was chosen, when mail comes, how to change it."""
    first = next_hour(reader.schedule, now)
    return {
        "preferences_token": links.make(reader, Purpose.PREFERENCES, now=now),
        "preferences": stored(reader),
        "topics": list(reader.topics.all()),
    } | day_and_hour(first)


def offer_again(request: HttpRequest, link: Link, asked: str) -> HttpResponse:
    """Offer a fresh link where this one is too old: a POST mails it to the same address."""
    if request.method == "POST" and asked == "again":
        now = timezone.now()
        if link.purpose == Purpose.DATA:
            outbox.ask_for_data(link.subscriber_id, now=now)
        elif link.purpose != Purpose.ADDRESS:
            bound = link.preferences
            outbox.ask_again(link.subscriber_id, now=now, preferences=bound)
        wake()
        return render(request, "subscribers/link_sent.html")
    return render(request, "subscribers/expired.html", {"link": link}, status=410)


@token_page
def block(request: HttpRequest, token: str) -> HttpResponse:
    now = timezone.now()
    link = links.read_to_block(token, now=now)
    speak_to_holder(link)
    if request.method == "POST":
        subscriptions.block(token, origin=origin(request, "/block/"), now=now)
        return render(request, "subscribers/blocked.html")
    context = {"address": masked(link.email or link.subscriber.email)}
    return render(request, "subscribers/block.html", context)


@token_page
def address(request: HttpRequest, token: str) -> HttpResponse:
    """Confirm a new address, by the link that was mailed to it."""
    now = timezone.now()
    try:
        link = read_link(token, Purpose.ADDRESS, now=now)
        if request.method == "POST":
            address_change.confirm(token, origin=origin(request, "/address/"), now=now)
            wake()
            return render(request, "subscribers/address_done.html")
    except links.Expired as expired:
        link = expired.link
        reads = link.subscriber.state in subscriptions.CONFIRMED
        if reads and link.used_at and link.subscriber.email == link.email:  # pressed again
            return render(request, "subscribers/address_done.html")
        return render(request, "subscribers/expired.html", {"link": link}, status=410)
    return render(request, "subscribers/address.html", {"link": link, "token": token})


def holder(token: str) -> Subscriber | None:
    """Return the reader whose mails carry this token, or None. Raises Malformed.

    From then on their language is spoken.

    Mail programs and people take what stands after a link for part of it: a dot, a bracket,
    the marks of emphasis, a parameter of their own.
    """
    found = TOKEN_OF_A_LINK.fullmatch(token)
    if found is None:
        raise links.Malformed
    reader = Subscriber.objects.filter(unsubscribe_token=found[1]).first()
    if reader is not None:
        speak(reader.language)
    return reader


@token_page
def door(request: HttpRequest, token: str) -> HttpResponse:
    """From a digest to the preferences: one button mails their link to the reader.

    Not the preferences themselves, as whoever was forwarded the digest holds this token, too;
    but a browser that its reader had remembered goes on to them.
    """
    found = holder(token)
    if request.method != "POST":
        mine = browsers.read(request, now=timezone.now())
        if mine and found == mine.subscriber:
            return see_other("preferences", MINE)
        return render(request, "subscribers/door.html", {"mine": mine})
    if found is not None:
        outbox.ask_again(found.pk, now=timezone.now())
        wake()
    return render(request, "subscribers/door.html", {"sent": True})


@token_page
def unsubscribe(request: HttpRequest, token: str) -> HttpResponse:
    """Unsubscribe by any POST at once, with 200 and no redirect (RFC 8058).

    A token that nobody has gets the same answers as one that somebody has.
    """
    found = holder(token)
    if request.method != "POST":
        left = found is not None and found.state not in subscriptions.CONFIRMED
        return render(request, "subscribers/unsubscribe.html", {"left": left})
    asked = action(request)
    if found is not None:
        act_on_button(request, found.pk, asked)
    if asked in {"weekly", "pause", "link", "undo", "unsubscribe"}:
        return render(request, "subscribers/unsubscribe_done.html", {"done": asked})
    return HttpResponse("You are unsubscribed.\n", content_type="text/plain")


def act_on_button(request: HttpRequest, subscriber_id: int, asked: str) -> None:
    """Do what the pressed button of the unsubscribe page says; none unsubscribes."""
    came_from = origin(request, "/u/")
    now = timezone.now()
    match asked:
        case "weekly":
            subscriptions.slow_down(subscriber_id, origin=came_from, now=now)
        case "pause":
            until = subscriptions.in_a_month(subscriber_id, now=now)
            subscriptions.pause(subscriber_id, until, origin=came_from, now=now)
        case "link":
            outbox.ask_again(subscriber_id, now=now)
            wake()
        case "undo":
            subscriptions.ask_back(subscriber_id, origin=came_from, now=now)
            wake()
        case _:
            subscriptions.unsubscribe(subscriber_id, origin=came_from, now=now)
