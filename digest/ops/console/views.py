"""The operator's pages behind the admin's login: see, search, and steer.

Every act is a POST by somebody who holds its permission, is done by the same function as the
command of its name, and leaves a LogEntry: who, when, what.
"""

import re
from collections.abc import Callable
from email import message_from_bytes, policy
from typing import cast

from django.conf import settings
from django.contrib import messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.decorators import permission_required
from django.contrib.auth.models import AbstractUser
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import PermissionDenied
from django.db.models import Model, Prefetch, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.csp import CSP
from django.utils.dateparse import parse_datetime
from django.utils.timezone import is_aware
from django.views.decorators.csp import csp_override
from django.views.decorators.http import require_http_methods, require_safe

from digest.deliveries import control, explain, history, ledger, replay
from digest.models import BackOff, Delivery, DeliveryEvent, Edition
from digest.ops import health
from digest.ops.console import figures
from digest.ops.mailbox.views import MAIL_CSP
from digest.papers.search_query import QUERY_LENGTH
from subscribers import subscriptions
from subscribers.addresses import BadAddress, address_hash, canonical
from subscribers.consent import Origin
from subscribers.models import ConsentEvent, Notice, Subscriber, Suppression, Topic
from subscribers.suppression import NotBarred, lift_bar, suppress

PAGE_LENGTH = 50
EDITIONS_LENGTH = 14
LINK = re.compile(r"https?://[^\s\"'<>]+")
HISTORY_LENGTH = 30  # of a reader's newest deliveries
see_editions = permission_required("digest.view_edition", raise_exception=True)
see_readers = permission_required("subscribers.view_subscriber", raise_exception=True)
see_bars = permission_required("subscribers.view_suppression", raise_exception=True)


type Page = Callable[..., HttpResponse]


class CannotAct(ValueError):
    """The act was not done; the message tells the operator why."""


@see_editions
@require_safe
def today(request: HttpRequest) -> HttpResponse:
    """Show what goes out, what waits, what came back, and what is wrong."""
    now = ledger.database_now()
    newest = [
        Edition.objects.filter(kind=kind).order_by("-day").first() for kind in Edition.Kind
    ]
    context = {
        "now": now,
        "editions": figures.of_editions(one for one in newest if one),
        "troubles": health.unwell() + health.degraded(),
        "queue": figures.queue(now),
        "speed": figures.speed(now),
        "reports": figures.reports(now),
        "readers": figures.readers(),
        "resting": BackOff.objects.filter(resting_until__gt=now)[:PAGE_LENGTH],
        "charts": [
            figures.sent_by_minute(now),
            figures.next_hours(now),
            *figures.confirmed_and_left(now),
        ],
    }
    return render(request, "console/today.html", context)


# -- editions ----------------------------------------------------------------------------


@see_editions
@require_safe
def editions(request: HttpRequest) -> HttpResponse:
    """List the newest editions with their counts."""
    newest = Edition.objects.order_by("-day", "kind")[:EDITIONS_LENGTH]
    context = {"editions": figures.of_editions(newest)}
    return render(request, "console/editions.html", context)


@see_editions
@require_http_methods(["GET", "HEAD", "POST"])
def edition(request: HttpRequest, pk: int) -> HttpResponse:
    """Show one edition; POST pauses, resumes, cancels it, or retries what was refused."""
    found = get_object_or_404(Edition, pk=pk)
    if request.method == "POST":
        allow(request, "digest.change_edition")
        act(request, found, EDITION_ACTS)
        return redirect("console_edition", pk=pk)
    (counted,) = figures.of_editions([found])
    context = {
        "figures": counted,
        "edition": found,
        "may_act": request.user.has_perm("digest.change_edition"),
        "acts": acts_on(found),
    }
    return render(request, "console/edition.html", context)


def pause_edition(request: HttpRequest, edition: Edition) -> str:
    reason = why(request)
    if not control.pause(edition, reason):
        raise CannotAct("The edition is already held.")
    return f"Paused: {reason}"


def resume_edition(request: HttpRequest, edition: Edition) -> str:
    if not control.resume(edition, now=ledger.database_now()):
        raise CannotAct("The edition is not paused.")
    return "Resumed"


def cancel_edition(request: HttpRequest, edition: Edition) -> str:
    if request.POST.get("typed", "").strip() != f"{edition.day}":
        raise CannotAct(f"Not cancelled: type {edition.day} to confirm.")
    reason = why(request)
    count = control.cancel(edition, reason, now=ledger.database_now())
    return f"Cancelled, {count} deliveries skipped: {reason}"


def retry_refused(request: HttpRequest, edition: Edition) -> str:
    try:
        since = parse_datetime(request.POST.get("since", "").strip())
    except ValueError:
        since = None
    if since is None or not is_aware(since):
        raise CannotAct("Enter an instant with its zone, such as 2026-04-17T12:00Z.")
    count = control.retry_refused(edition, since, now=ledger.database_now())
    return f"Refused since {since:%Y-%m-%d %H:%M}Z, pending again: {count}"


@see_editions
@see_readers
@require_safe
@csp_override(MAIL_CSP | {"frame-ancestors": [CSP.NONE]})
def preview(request: HttpRequest, pk: int, reader: int) -> HttpResponse:
    """Show an edition as this reader would get it, with links to our pages taken out.

    They hold what only the reader may hold: the power to unsubscribe and to vote.
    """
    found = get_object_or_404(Edition, pk=pk)
    subscriber = get_object_or_404(Subscriber, pk=reader)
    try:
        content = replay.preview(subscriber, found, now=ledger.database_now())
    except replay.NothingToShow as error:
        raise Http404(f"Nothing to show: {error}.") from None
    part = message_from_bytes(content, policy=policy.default).get_body(("html",))
    html = part.get_content() if part else ""
    return HttpResponse(LINK.sub(without_path, html))


@see_editions
@see_readers
@require_safe
def why_paper(request: HttpRequest, pk: int, reader: int) -> HttpResponse:
    """Show why a reader got a paper of an edition, or did not, in the reader's own words."""
    found = get_object_or_404(Edition, pk=pk)
    subscriber = get_object_or_404(Subscriber, pk=reader)
    typed = request.GET.get("paper", "")[:QUERY_LENGTH]
    papers = explain.named_paper(typed, found)
    context = {
        "edition": found,
        "reader": subscriber,
        "typed": typed,
        "papers": papers,
        "explained": explain.explain(subscriber, found, papers[0])
        if len(papers) == 1
        else None,
    }
    return render(request, "console/why.html", context)


def without_path(link: re.Match[str]) -> str:
    """Return a link to our own site without its path, any other as it is."""
    return settings.SITE_URL if link[0].startswith(settings.SITE_URL) else link[0]


# -- readers -----------------------------------------------------------------------------


@see_readers
@require_safe
def readers(request: HttpRequest) -> HttpResponse:
    """List subscribers by address, state and topic, newest first; `before` turns the page."""
    found = Subscriber.objects.select_related("schedule").prefetch_related("topics")
    query = {name: request.GET.get(name, "").strip() for name in ("q", "state", "topic")}
    error = ""
    if query["q"]:
        try:
            found = found.filter(email_hash=address_hash(canonical(query["q"])))
        except BadAddress as bad:
            found, error = found.none(), str(bad)
    if query["state"]:
        found = found.filter(state=query["state"])
    if query["topic"]:
        found = found.filter(topics__slug=query["topic"])
    before = request.GET.get("before", "")
    if before.isdecimal() and len(before) < 19:
        found = found.filter(pk__lt=int(before))
    shown = list(found.order_by("-pk")[: PAGE_LENGTH + 1])
    context = {
        "readers": shown[:PAGE_LENGTH],
        "next": shown[PAGE_LENGTH - 1].pk if len(shown) > PAGE_LENGTH else None,
        "query": query,
        "error": error,
        "states": Subscriber.State.choices,
        "topics": Topic.objects.all(),
    }
    return render(request, "console/readers.html", context)


@see_readers
@require_http_methods(["GET", "HEAD", "POST"])
def reader(request: HttpRequest, pk: int) -> HttpResponse:
    """Show all that is known of one reader; POST pauses, resumes, suppresses or lifts."""
    found = get_object_or_404(Subscriber.objects.select_related("schedule"), pk=pk)
    if request.method == "POST":
        act(request, found, READER_ACTS)
        return redirect("console_reader", pk=pk)
    events = Prefetch("events", DeliveryEvent.objects.order_by("at", "pk"))
    rows = Delivery.objects.of_readers(pk).select_related("edition")
    newest = rows.order_by("-due_at", "-pk").prefetch_related(events)[:HISTORY_LENGTH]
    user = request.user
    context = {
        "reader": found,
        "topics": found.topics.all(),
        "bar": Suppression.objects.filter(email_hash=found.email_hash).first(),
        "deliveries": [(row, history.steps(row)) for row in newest],
        "receipts": ConsentEvent.objects.filter(subscriber=found).order_by("-at", "-pk"),
        "notices": Notice.objects.filter(subscriber=found).order_by("-pk")[:PAGE_LENGTH],
        "reports": DeliveryEvent.objects.filter(
            email_hash=found.email_hash, delivery=None
        ).order_by("-at")[:PAGE_LENGTH],
        "acts": acts_on(found),
        "newest_edition": Edition.objects.order_by("-day", "kind").first(),
        "may_pause": user.has_perm("subscribers.change_subscriber"),
        "may_suppress": user.has_perm("subscribers.add_suppression"),
        "may_lift": user.has_perm("subscribers.delete_suppression"),
        "may_preview": user.has_perm("digest.view_edition"),
    }
    return render(request, "console/reader.html", context)


def pause_reader(request: HttpRequest, reader: Subscriber) -> str:
    allow(request, "subscribers.change_subscriber")
    if reader.state != Subscriber.State.ACTIVE:
        raise CannotAct("The reader is not active.")
    reason, now = why(request), ledger.database_now()
    subscriptions.pause(reader.pk, origin=origin(request), now=now)
    return f"Paused: {reason}"


def resume_reader(request: HttpRequest, reader: Subscriber) -> str:
    allow(request, "subscribers.change_subscriber")
    if reader.state != Subscriber.State.PAUSED:
        raise CannotAct("The reader is not paused.")
    now = ledger.database_now()
    subscriptions.resume(reader.pk, origin=origin(request), now=now)
    return "Resumed"


def suppress_reader(request: HttpRequest, reader: Subscriber) -> str:
    allow(request, "subscribers.add_suppression")
    reason, now = why(request), ledger.database_now()
    if not suppress(reader.email_hash, Suppression.Reason.MANUAL, now=now):
        raise CannotAct("This address is suppressed already.")
    return f"Suppressed: {reason}"


def lift_reader(request: HttpRequest, reader: Subscriber) -> str:
    allow(request, "subscribers.delete_suppression")
    reason, now = why(request), ledger.database_now()
    try:
        lift_bar(reader.email_hash, reason, origin=origin(request), now=now)
    except NotBarred as error:
        raise CannotAct(f"Not lifted: {error}.") from None
    return f"Suppression lifted: {reason}"


# -- suppressions ------------------------------------------------------------------------


@see_bars
@require_safe
def suppressions(request: HttpRequest) -> HttpResponse:
    """Say whether an address is suppressed and why; without one, list the newest.

    The address is hashed on the way and stored nowhere.
    """
    typed, error = request.GET.get("q", "").strip(), ""
    found = Suppression.objects.order_by("-pk")
    if typed:
        try:
            found = found.filter(email_hash=address_hash(canonical(typed)))
        except BadAddress as bad:
            found, error = found.none(), str(bad)
    shown = list(found[:PAGE_LENGTH])
    known = Subscriber.objects.filter(email_hash__in=[bar.email_hash for bar in shown])
    readers = dict(known.values_list("email_hash", "pk"))
    may_see = request.user.has_perm("subscribers.view_subscriber")
    context = {
        "bars": [(bar, readers.get(bar.email_hash) if may_see else None) for bar in shown],
        "typed": typed,
        "error": error,
    }
    return render(request, "console/suppressions.html", context)


# -- acts --------------------------------------------------------------------------------


type Act[M: Model] = Callable[[HttpRequest, M], str]
EDITION_ACTS: dict[str, Act[Edition]] = {
    "pause": pause_edition,
    "resume": resume_edition,
    "cancel": cancel_edition,
    "retry": retry_refused,
}
READER_ACTS: dict[str, Act[Subscriber]] = {
    "pause": pause_reader,
    "resume": resume_reader,
    "suppress": suppress_reader,
    "lift": lift_reader,
}


def act[M: Model](request: HttpRequest, row: M, acts: dict[str, Act[M]]) -> None:
    """Do the act that the form names and log it, or tell why it was not done."""
    chosen = acts.get(request.POST.get("act", ""))
    if chosen is None:
        raise Http404("There is no such act.")
    try:
        done = chosen(request, row)
    except CannotAct as error:
        messages.error(request, str(error))
        return
    LogEntry.objects.create(
        user_id=cast("AbstractUser", request.user).pk,
        content_type=ContentType.objects.get_for_model(row),
        object_id=f"{row.pk}",
        object_repr=f"{row}"[:200],
        action_flag=CHANGE,
        change_message=done,
    )
    messages.success(request, f"{done}.")


def acts_on(row: Model) -> QuerySet[LogEntry]:
    """Return the newest acts on a row; those done in the admin's own lists as well."""
    kind = ContentType.objects.get_for_model(row)
    found = LogEntry.objects.filter(content_type=kind, object_id=f"{row.pk}")
    return found.select_related("user").order_by("-action_time")[:PAGE_LENGTH]


def allow(request: HttpRequest, permission: str) -> None:
    """Raise PermissionDenied unless the user has the permission."""
    if not request.user.has_perm(permission):
        raise PermissionDenied


def why(request: HttpRequest) -> str:
    """Return the reason typed in the form. Raises CannotAct without one."""
    reason = request.POST.get("why", "").strip()[:200]
    if not reason:
        raise CannotAct("Enter a reason.")
    return reason


def origin(request: HttpRequest) -> Origin:
    return Origin(f"admin: {request.user.get_username()}"[:200])
