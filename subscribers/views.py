"""The pages of a subscription: sign up, confirm, prefer, leave.

GET shows and never changes; POST does. Whoever types an address gets the same answer
whatever we know of it: the difference is only in the mail.
"""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone

from subscribers import links, outbox, subscriptions
from subscribers.forms import (
    AddressForm,
    SignUpForm,
    WishesForm,
    preferences_of,
    topic_groups,
)
from subscribers.models import Link, Subscriber, Topic
from subscribers.pages import action, origin, unlinked
from subscribers.tasks import wake

Purpose = Link.Purpose


def see_other(name: str, *args: str) -> HttpResponse:
    """303: whatever the method was, GET comes next."""
    response = redirect(name, *args)
    response.status_code = 303
    return response


@unlinked
def subscribe(request: HttpRequest) -> HttpResponse:
    form = SignUpForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        subscriptions.subscribe(
            form.request(), origin=origin(request, "/subscribe/"), now=timezone.now()
        )
        wake()
        return see_other("subscribe_done")
    context = {"form": form, "topic_groups": topic_groups(Topic.objects.all())}
    status = 400 if form.is_bound else 200
    return render(request, "subscribers/subscribe.html", context, status=status)


@unlinked
def subscribe_done(request: HttpRequest) -> HttpResponse:
    return render(request, "subscribers/subscribe_done.html")


@unlinked
def confirm(request: HttpRequest, token: str) -> HttpResponse:
    now = timezone.now()
    asked = action(request)
    try:
        link = links.read(token, Purpose.CONFIRM, now=now)
        if request.method == "POST" and asked != "again":
            reader = subscriptions.confirm(
                token, origin=origin(request, "/confirm/"), now=now
            )
            return confirmed(request, reader)
    except links.Expired as expired:
        return offer_again(request, expired.link, asked)
    return show_confirm(request, link)


def show_confirm(request: HttpRequest, link: Link) -> HttpResponse:
    subscriber = link.subscriber
    if subscriber.state in subscriptions.CONFIRMED:
        return confirmed(request, None)
    if subscriber.state == Subscriber.State.UNSUBSCRIBED:
        return offer_again(request, link, "")
    context = {
        "subscriber": subscriber,
        "schedule": subscriber.schedule,
        "topics": list(subscriber.topics.all()),
    }
    return render(request, "subscribers/confirm.html", context)


def confirmed(request: HttpRequest, reader: Subscriber | None) -> HttpResponse:
    """With a link to the preferences for the one who has just confirmed."""
    token = ""
    if reader is not None:
        token = links.make(reader, Purpose.PREFERENCES, now=timezone.now())
    return render(request, "subscribers/confirmed.html", {"preferences_token": token})


def offer_again(request: HttpRequest, link: Link, asked: str) -> HttpResponse:
    """The link is too old: by POST a fresh one goes to the same address."""
    if request.method == "POST" and asked == "again":
        outbox.ask_again(link.subscriber_id, now=timezone.now())
        wake()
        return render(request, "subscribers/link_sent.html")
    return render(request, "subscribers/expired.html", {"link": link}, status=410)


@unlinked
def block(request: HttpRequest, token: str) -> HttpResponse:
    now = timezone.now()
    try:
        link = links.read(token, Purpose.CONFIRM, now=now)
    except links.Expired as expired:
        link = expired.link
    if request.method == "POST":
        subscriptions.block(token, origin=origin(request, "/block/"), now=now)
        return render(request, "subscribers/blocked.html")
    return render(request, "subscribers/block.html", {"subscriber": link.subscriber})


@unlinked
def preferences_link(request: HttpRequest) -> HttpResponse:
    """Ask for the link to the preferences."""
    form = AddressForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        outbox.ask_by_address(form.cleaned_data["email"], now=timezone.now())
        wake()
        return see_other("preferences_sent")
    status = 400 if form.is_bound else 200
    context = {"form": form}
    return render(request, "subscribers/preferences_link.html", context, status=status)


@unlinked
def preferences_sent(request: HttpRequest) -> HttpResponse:
    return render(request, "subscribers/link_sent.html")


@unlinked
def preferences(request: HttpRequest, token: str) -> HttpResponse:
    asked = action(request)
    try:
        link = links.read(token, Purpose.PREFERENCES, now=timezone.now())
    except links.Expired as expired:
        return offer_again(request, expired.link, asked)
    if request.method == "POST":
        return change(request, token, link.subscriber)
    form = WishesForm(initial=preferences_of(link.subscriber))
    return show_preferences(request, link.subscriber, form)


def change(request: HttpRequest, token: str, subscriber: Subscriber) -> HttpResponse:
    """Do what the pressed button says; a form without one saves."""
    came_from = origin(request, "/preferences/")
    now = timezone.now()
    match action(request):
        case "pause":
            subscriptions.pause(subscriber.pk, origin=came_from, now=now)
        case "resume":
            subscriptions.resume(subscriber.pk, origin=came_from, now=now)
        case "unsubscribe":
            subscriptions.unsubscribe(subscriber.pk, origin=came_from, now=now)
        case _:
            form = WishesForm(request.POST)
            if not form.is_valid():
                return show_preferences(request, subscriber, form)
            subscriptions.change_preferences(
                subscriber.pk, form.wishes(), origin=came_from, now=now
            )
    response = see_other("preferences", token)
    response["Location"] += "?saved=1"
    return response


def show_preferences(
    request: HttpRequest, subscriber: Subscriber, form: WishesForm
) -> HttpResponse:
    context = {
        "subscriber": subscriber,
        "reading": subscriber.state in subscriptions.CONFIRMED,
        "paused": subscriber.state == Subscriber.State.PAUSED,
        "saved": "saved" in request.GET,
        "form": form,
        "topic_groups": topic_groups(Topic.objects.all()),
    }
    status = 400 if form.is_bound else 200
    return render(request, "subscribers/preferences.html", context, status=status)


@unlinked
def unsubscribe(request: HttpRequest, token: str) -> HttpResponse:
    """RFC 8058: any POST unsubscribes at once, with 200 and no redirect.

    A token that nobody has gets the same answers as one that somebody has.
    """
    if not links.well_formed(token):
        raise links.Malformed
    if request.method != "POST":
        return render(request, "subscribers/unsubscribe.html")
    asked = action(request)
    found = Subscriber.objects.filter(unsubscribe_token=token).first()
    if found is not None:
        lessen(request, found.pk, asked)
    if asked in {"weekly", "pause", "link", "unsubscribe"}:
        return render(request, "subscribers/unsubscribe_done.html", {"done": asked})
    return HttpResponse("You are unsubscribed.\n", content_type="text/plain")


def lessen(request: HttpRequest, subscriber_id: int, asked: str) -> None:
    came_from = origin(request, "/u/")
    now = timezone.now()
    match asked:
        case "weekly":
            subscriptions.slow_down(subscriber_id, origin=came_from, now=now)
        case "pause":
            subscriptions.pause(subscriber_id, origin=came_from, now=now)
        case "link":
            outbox.ask_again(subscriber_id, now=now)
            wake()
        case _:
            subscriptions.unsubscribe(subscriber_id, origin=came_from, now=now)
