"""The operator's pages behind the admin's login: see, search, and steer.

What they do to editions and readers is in acts.py.
"""

import re
from collections.abc import Callable
from datetime import datetime

from django.contrib.auth.decorators import permission_required
from django.db.models import Prefetch, prefetch_related_objects
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from digest.deliveries import counts, explain, history, ledger
from digest.feedback import domain_reports
from digest.models import BackOff, Delivery, DeliveryEvent, Edition, ReportedCount, folded
from digest.ops import health
from digest.ops.console import acts, charts, figures
from digest.ops.operators import audit
from digest.ops.paging import PAGE_LENGTH, page_of
from digest.papers.search_query import QUERY_LENGTH
from digest.throttling import circuit_breaker
from digest.transport import relays
from subscribers.addresses import BadAddress, address_hash, canonical
from subscribers.models import (
    ConsentEvent,
    Import,
    Notice,
    Subscriber,
    Suppression,
    Topic,
)

EDITIONS_LENGTH = 14
MOST_SELECTORS = 5  # of DKIM, as typed
MOST_OF_A_MAIL = 1024 * 1024  # bytes; ours have a tenth
IMPORT = re.compile(r"import (\d{1,18}), ")  # as a bar names one of the browser's
HISTORY_LENGTH = 30  # of a reader's newest deliveries
see_editions = permission_required("digest.view_edition", raise_exception=True)
SEE_READERS, SEE_BARS = "subscribers.view_subscriber", "subscribers.view_suppression"
see_readers = permission_required(SEE_READERS, raise_exception=True)
see_reports = permission_required("digest.view_reportedcount", raise_exception=True)
see_bars = permission_required(SEE_BARS, raise_exception=True)


type Page = Callable[..., HttpResponse]


@see_editions
@require_safe
def today(request: HttpRequest) -> HttpResponse:
    """Show what goes out, what waits, what came back, and what is wrong."""
    now = ledger.database_now()
    newest = [
        Edition.objects.filter(kind=kind).order_by("-day").first() for kind in Edition.Kind
    ]
    readers = counts.readers()
    context = {
        "now": now,
        "editions": figures.of_editions(one for one in newest if one),
        "troubles": health.unwell() + health.degraded(),
        "queue": figures.queue(now),
        "speed": figures.speed(now),
        "reports": figures.reports(now),
        "readers": figures.readers(readers),
        "readers_counted_at": readers.at,
        "resting": resting(now),
        "charts": [
            charts.sent_by_minute(now),
            charts.next_hours(now, readers),
            *charts.confirmed_and_left(now),
        ],
    }
    return render(request, "console/today.html", context)


def resting(now: datetime) -> list[tuple[str, BackOff]]:
    """Return which relays and domains rest, each with how to speak of it."""
    rows = BackOff.objects.filter(resting_until__gt=now)[:PAGE_LENGTH]
    known = [(circuit_breaker.relay_of(row.name), row) for row in rows]
    return [
        (relays.called(relay).capitalize() if relay else row.name, row)
        for relay, row in known
    ]


@see_editions
@see_readers
@require_safe
def charts_page(request: HttpRequest) -> HttpResponse:
    """Show what became of the last days' deliveries, and who the readers are."""
    now = ledger.database_now()
    newest = Edition.objects.order_by("-day", "kind")[: counts.NEWEST]
    readers = counts.readers()
    context = {
        "charts": [
            charts.by_day({one.edition: one.states for one in figures.of_editions(newest)}),
            *charts.confirmed_and_left(now, days=60),
            charts.by_hour(readers),
        ],
        "rankings": [
            charts.by_topic(counts.readers("topics")),
            charts.by_domain(counts.readers("domains")),
            charts.by_zone(readers),
        ],
    }
    return render(request, "console/charts.html", context)


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
        acts.act(request, found, acts.EDITION_ACTS)
        return redirect("console_edition", pk=pk)
    (counted,) = figures.of_editions([found])
    context = {
        "figures": counted,
        "edition": found,
        "may_steer": request.user.has_perm(acts.STEER),
        "may_test": request.user.has_perm("digest.test_edition")
        and found.kind != Edition.Kind.ANNOUNCEMENT,  # which has a test on its own page
        "acts": audit.acts_on(found),
    }
    return render(request, "console/edition.html", context)


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


# -- readers -----------------------------------------------------------------------------


@see_readers
@require_safe
def readers(request: HttpRequest) -> HttpResponse:
    """List subscribers by address, state and topic, newest first; `before` turns the page."""
    found = Subscriber.objects.select_related("schedule").prefetch_related("topics")
    query = {name: request.GET.get(name, "").strip() for name in ("q", "state", "topic")}
    error, bar = "", None
    if query["q"]:
        try:
            email_hash = address_hash(canonical(query["q"]))
            found = found.filter(email_hash=email_hash)
            if request.user.has_perm(SEE_BARS):
                bar = Suppression.objects.filter(email_hash=email_hash).first()
        except BadAddress as bad:
            found, error = found.none(), str(bad)
    if query["state"]:
        found = found.filter(state=query["state"])
    topics = list(Topic.objects.all())
    if query["topic"]:
        # By its id: an index has a topic's readers in this order.
        chosen = [one.pk for one in topics if one.slug == query["topic"]]
        found = found.filter(subscription__topic__in=chosen[:1])
    shown, older = page_of(found, request.GET.get("before", ""))
    context = {
        "readers": shown,
        "next": older,
        "query": query,
        "bar": bar,
        "error": error,
        "states": Subscriber.State.choices,
        "topics": topics,
    }
    return render(request, "console/readers.html", context)


@see_readers
@require_http_methods(["GET", "HEAD", "POST"])
def reader(request: HttpRequest, pk: int) -> HttpResponse:
    """Show all that is known of one reader; POST does what its button says."""
    found = get_object_or_404(Subscriber.objects.select_related("schedule"), pk=pk)
    if request.method == "POST":
        if request.POST.get("act") == "export":
            return acts.export(request, found)
        acts.act(request, found, acts.READER_ACTS)
        if not Subscriber.objects.filter(pk=pk).exists():
            return redirect("console_readers")
        return redirect("console_reader", pk=pk)
    events = Prefetch("events", DeliveryEvent.objects.order_by("at", "pk"))
    rows = Delivery.objects.of_readers(pk).select_related("edition")
    newest = [*rows.order_by("-due_at", "-pk")[:HISTORY_LENGTH], *folded.of_readers(pk)]
    newest = sorted(newest, key=lambda row: (row.due_at, row.pk), reverse=True)
    del newest[HISTORY_LENGTH:]
    prefetch_related_objects(newest, events)
    user = request.user
    context = {
        "reader": found,
        "topics": found.topics.all(),
        "bar": Suppression.objects.filter(email_hash=found.email_hash).first(),
        "deliveries": [(row, history.steps(row), history.came_back(row)) for row in newest],
        "receipts": ConsentEvent.objects.filter(subscriber=found).order_by("-at", "-pk"),
        "notices": Notice.objects.filter(subscriber=found).order_by("-pk")[:PAGE_LENGTH],
        "reports": DeliveryEvent.objects.filter(
            email_hash=found.email_hash, delivery=None
        ).order_by("-at")[:PAGE_LENGTH],
        "acts": audit.acts_on(found),
        "newest_edition": Edition.objects.of_papers().order_by("-day", "kind").first(),
        "may_pause": user.has_perm(acts.HELP),
        "may_export": user.has_perm("subscribers.export_subscriber"),
        "may_suppress": user.has_perm("subscribers.add_suppression"),
        "may_lift": user.has_perm("subscribers.delete_suppression"),
        "may_erase": user.has_perm("subscribers.delete_subscriber"),
        "may_preview": user.has_perm("digest.view_edition"),
    }
    return render(request, "console/reader.html", context)


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
    may_see = request.user.has_perm(SEE_READERS)
    context = {
        "bars": [(bar, readers.get(bar.email_hash) if may_see else None) for bar in shown],
        "typed": typed,
        "error": error,
    }
    return render(request, "console/suppressions.html", context)


@see_bars
@require_http_methods(["GET", "HEAD", "POST"])
def suppression(request: HttpRequest, pk: int) -> HttpResponse:
    """Show why an address that is known by its hash gets no mail; POST lifts that."""
    bar = get_object_or_404(Suppression, pk=pk)
    if request.method == "POST":
        acts.act(request, bar, acts.SUPPRESSION_ACTS)
        if not Suppression.objects.filter(pk=pk).exists():
            return redirect("console_suppressions")
        return redirect("console_suppression", pk=pk)
    same = {"email_hash": bar.email_hash}
    named = IMPORT.match(bar.taken_from)
    context: dict[str, object] = {
        "bar": bar,
        "import": Import.objects.filter(pk=named[1]).only("pk").first() if named else None,
        "may_lift": request.user.has_perm("subscribers.delete_suppression"),
        "acts": audit.acts_on(bar),
    }
    if request.user.has_perm(SEE_READERS):
        context |= {
            "reader": Subscriber.objects.filter(**same).first(),
            "receipts": ConsentEvent.objects.filter(**same).order_by("-at", "-pk"),
            "reports": DeliveryEvent.objects.filter(**same).order_by("-at")[:PAGE_LENGTH],
        }
    return render(request, "console/suppression.html", context)


# -- reports -----------------------------------------------------------------------------


@see_reports
@require_http_methods(["GET", "HEAD", "POST"])
def reports(request: HttpRequest) -> HttpResponse:
    """Show what providers reported of mail in our name, and of TLS; POST takes a report in."""
    if request.method == "POST":
        acts.act(request, None, acts.REPORT_ACTS)
        return redirect("console_reports")
    since = timezone.now().date() - domain_reports.LATELY
    found = {
        kind: domain_reports.sources(kind, since=since, most=PAGE_LENGTH)
        for kind in ReportedCount.Kind
    }
    dmarc, tls = found[ReportedCount.Kind.DMARC], found[ReportedCount.Kind.TLS]
    context = {
        "days": domain_reports.LATELY.days,
        "may_upload": request.user.has_perm(acts.STEER),
        "tables": [
            (
                "Mail in our name (DMARC)",
                "Sent from",
                "Mails",
                dmarc,
                "No DMARC report yet.",
            ),
            ("TLS to our mail servers", "Server", "Sessions", tls, "No TLS report yet."),
        ],
    }
    return render(request, "console/reports.html", context)


# -- doctor ------------------------------------------------------------------------------


@see_editions
@require_http_methods(["GET", "HEAD", "POST"])
def doctor_page(request: HttpRequest) -> HttpResponse:
    """Run all checks on a POST, which asks name servers and hosts for some seconds."""
    # Here, as a client of name servers takes a third of the time that every process of ours
    # needs to start: each of them loads the URLs.
    from digest.ops.doctor import doctor
    from digest.ops.doctor.network import Network

    selectors = request.POST.get("selectors", "").split()[:MOST_SELECTORS]
    context = {"asked": request.method == "POST", "selectors": " ".join(selectors)}
    context["may_run"] = request.user.has_perm(acts.STEER)
    if request.method == "POST":
        acts.allow(request, acts.STEER)
        mail = received_mail(request)
        found = doctor.examine(
            doctor.configured_sender(selectors=selectors),
            Network(),
            now=timezone.now(),
            blocklists=bool(request.POST.get("blocklists")),
            received=mail or None,
        )
        faults = sum(one.is_fault for one in found)
        context |= {"found": found, "faults": faults, "judged": bool(mail)}
    return render(request, "console/doctor.html", context)


def received_mail(request: HttpRequest) -> bytes:
    """Return the mail of the form, from its file or as pasted; it is stored nowhere."""
    if file := request.FILES.get("file"):
        return bytes(file.read(MOST_OF_A_MAIL))
    return request.POST.get("mail", "").strip().encode()[:MOST_OF_A_MAIL]
