"""The operator's pages of mail on its way: relays and domains, unknown hand-overs, notices."""

from collections.abc import Sequence
from datetime import datetime
from urllib.parse import urlencode

from django.conf import settings
from django.contrib.auth.decorators import permission_required
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from digest import endpoints
from digest.deliveries import control, fencing, ledger
from digest.models import BackOff, Bucket, WarmUpDay
from digest.ops.console import acts
from digest.ops.paging import PAGE_LENGTH, page_of, row_id
from digest.throttling import circuit_breaker, rate
from digest.transport import relays
from subscribers.addresses import BadAddress, canonical, counting_key
from subscribers.models import Notice

WARM_UP_SHOWN = 14  # days
TLS = {
    endpoints.Tls.NONE: "without TLS",
    endpoints.Tls.STARTTLS: "with STARTTLS",
    endpoints.Tls.IMPLICIT: "with TLS",
}
State = Notice.State
see_mail = permission_required("digest.view_delivery", raise_exception=True)
see_notices = permission_required("subscribers.view_notice", raise_exception=True)


# -- relays and domains ----------------------------------------------------------------------


@see_mail
@require_http_methods(["GET", "HEAD", "POST"])
def relays_page(request: HttpRequest) -> HttpResponse:
    """Show what takes our mail, what rests and why, the routes, limits, and warm-up."""
    if request.method == "POST":
        acts.act(request, request.POST.get("name", "")[:255], acts.RELAY_ACTS)
        return redirect("console_relays")
    now = ledger.database_now()
    known = BackOff.objects.order_by("-resting_until", "name")
    domains = known.exclude(name__startswith=BackOff.PROVIDER)
    context = {
        "now": now,
        "relays": [RelayShown(name, now) for name in relays.configured()],
        "several": relays.several(),
        "routes": routes(),
        "domains": domains[:PAGE_LENGTH],
        "limits": limits(now),
        "warm_up": warm_up(now),
        "may_steer": request.user.has_perm(acts.STEER),
    }
    return render(request, "console/relays.html", context)


class RelayShown:
    """A relay as the page shows it: where it is, without a login, and how it is."""

    def __init__(self, name: str, now: datetime) -> None:
        self.name = name
        found = relays.configured()[name]
        self.words = f"{getattr(found, 'name', '')}, by its API"
        if isinstance(found, endpoints.SmtpServer):
            self.words = f"{found.host}, port {found.port}, {TLS[found.tls]}"
        row = BackOff.objects.filter(pk=circuit_breaker.key(name)).first()
        self.rest = row if row and row.rests_at(now) else None
        self.failing = row if row and row.failures else None


def routes() -> list[tuple[str, str]]:
    """Return each route: the domain, and who serves it; none where there is no choice."""
    if not relays.several():
        return []
    known = {domain: ", then ".join(by) for domain, by in relays.by_domain().items()}
    others = known.pop(relays.OTHERS)
    return [*sorted(known.items()), ("all others", others)]


def limits(now: datetime) -> list[tuple[str, str, datetime | None]]:
    """Return each limit: of whom, mails a second, and until when mails stand in its line."""
    lines = dict(Bucket.objects.filter(name__startswith="line ").values_list())
    found = [(f"by {name}", rate) for name, rate in settings.RELAY_RATES.items()]
    found += [(f"to {name}", rate) for name, rate in settings.DOMAIN_RATES.items()]
    rows: list[tuple[str, str, datetime | None]] = []
    for name, number in found:
        until = lines.get(f"line {name}")
        rows.append((name, f"{number:g}", until if until and until > now else None))
    if settings.SEND_RATE:
        rows.insert(0, ("all mail", f"{settings.SEND_RATE:g}", None))
    return rows


def warm_up(now: datetime) -> dict[str, object] | None:
    """Return the warm-up's day, today's cap and the last days; None once it is over."""
    first, most = settings.WARM_UP_FROM, rate.cap(now)
    if first is None or most is None:
        return None
    day = max((now.date() - first).days, 0)
    days = WarmUpDay.objects.order_by("-day")[:WARM_UP_SHOWN]
    return {"day": day + 1, "of": rate.WARM_UP_DAYS, "most": most, "days": days}


# -- unknown hand-overs ----------------------------------------------------------------------


@see_mail
@require_http_methods(["GET", "HEAD", "POST"])
def unknown(request: HttpRequest) -> HttpResponse:
    """List the mails of which nobody knows whether they went out; POST decides on some."""
    if request.method == "POST":
        acts.act(request, ticked(request), acts.UNKNOWN_ACTS)
        return redirect("console_unknown")
    rows = control.unknown().select_related("subscriber")
    context = {
        "rows": rows[:PAGE_LENGTH],
        "count": rows.order_by().count(),
        "refusal": fencing.refusal(),
        "may_steer": request.user.has_perm(acts.STEER),
        "may_see_readers": request.user.has_perm("subscribers.view_subscriber"),
    }
    return render(request, "console/unknown.html", context)


def ticked(request: HttpRequest) -> Sequence[int]:
    """Return the ids that the form names: those ticked, or all that are unknown."""
    if request.POST.get("all"):
        return list(control.unknown().values_list("pk", flat=True)[: acts.MOST_AT_ONCE + 1])
    named = map(row_id, request.POST.getlist("id"))
    return [one for one in named if one is not None][:PAGE_LENGTH]


# -- single mails ----------------------------------------------------------------------------

FAILED = Q(state__in=[State.REFUSED, State.UNKNOWN])
STATES = {
    "due": Q(state__in=[State.PENDING, State.SUBMITTING]),
    "failed": FAILED,
    "sent": Q(state=State.ACCEPTED),
}


@see_notices
@require_safe
def notices(request: HttpRequest) -> HttpResponse:
    """List confirmations, links and reminders, newest first; `before` turns the page."""
    query = {name: request.GET.get(name, "").strip() for name in ("q", "state")}
    found, error = Notice.objects.select_related("subscriber"), ""
    if query["q"]:
        try:
            found = found.filter(mailbox=counting_key(canonical(query["q"])))
        except BadAddress as bad:
            found, error = found.none(), str(bad)
    if query["state"]:
        found = found if query["state"] == "sent" else found.not_accepted()
        found = found.filter(STATES.get(query["state"], Q(pk=None)))
    shown, older = page_of(found, request.GET.get("before", ""))
    context = {
        "notices": shown,
        "older": urlencode(query | {"before": older}) if older else "",
        "query": query,
        "error": error,
        "states": list(STATES),
        "now": timezone.now(),
        "may_see_readers": request.user.has_perm("subscribers.view_subscriber"),
    }
    return render(request, "console/notices.html", context)
