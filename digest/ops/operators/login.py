"""How operators log in: a limit on wrong tries, then the second factor of those who have one."""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import wraps
from typing import Any, cast

from django.conf import settings
from django.contrib.admin import AdminSite
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.crypto import salted_hmac

from digest.models import Act
from digest.ops.operators import audit, roles, second_factor
from subscribers.http import network
from subscribers.rate_limits import is_global

WINDOW = timedelta(minutes=15)
PER_ACCOUNT = 5  # wrong logins in a window, into one account from one network
PER_NETWORK = 20  # into all accounts
PER_PROXY = 200  # from a network of our own, where everybody may come from
ANYWHERE = 50  # into one account from networks where it never logged in: many machines try
KNOWN_FOR = timedelta(days=90)
# What was typed may be a password, so twelve bits of its keyed hash are kept.
NOBODY = "unknown account"
TOO_MANY = "Too many wrong logins. Wait a quarter of an hour, or try from another network."
TOO_MANY_CODES = "Too many wrong codes. Wait a quarter of an hour."


def is_shut(who: str, place: str, *, now: datetime, own: int = 0) -> bool:
    """Return whether no more logins into this account are tried from this network for now.

    `own` is how many wrong ones are the asker's, and not counted.

    Nothing stays shut: wrong logins count for WINDOW, and a login that is refused here is
    not counted. Wherever an operator has logged in lately, others cannot shut them out.
    """
    wrong = Act.objects.filter(what=audit.WRONG_LOGIN, at__gt=now - WINDOW)
    counts = wrong.aggregate(
        near=Count("pk", filter=Q(network=place)),
        both=Count("pk", filter=Q(network=place, who=who)),
        all=Count("pk", filter=Q(who=who)),
    )
    counts = {name: count - own for name, count in counts.items()}
    if counts["near"] >= (PER_NETWORK if is_global(place) else PER_PROXY):
        return True
    if counts["both"] >= PER_ACCOUNT:
        return True
    known = Act.objects.filter(
        what=audit.LOGGED_IN, at__gt=now - KNOWN_FOR, who=who, network=place
    )
    return counts["all"] >= ANYWHERE and not known.exists()


def is_shut_for_codes(who: str, *, now: datetime) -> bool:
    """Return whether no more codes are tried: who tries them knows the password."""
    wrong = Act.objects.filter(what=audit.WRONG_CODE, who=who, at__gt=now - WINDOW)
    return wrong.count() >= PER_ACCOUNT


def nobody(typed: str) -> str:
    """Return whom the wrong logins of a name count for that no account has.

    It is shut after as many as an account is, or the limit would tell who has one.
    """
    made = salted_hmac(NOBODY, typed, algorithm="sha256")
    return f"{NOBODY} {made.hexdigest()[:3]}"


def refuse_if_shut(who: str, place: str, *, own: int = 0) -> None:
    """Raise ValidationError if no more is tried; before a password is looked at, and after.

    It takes long to look, so many that come at once are all let in. The answer depends on
    those that were found wrong meanwhile, so only so many are told whether theirs is right.
    """
    if is_shut(who, place, now=timezone.now(), own=own):
        raise ValidationError(TOO_MANY, code="too_many")


class LoginForm(AdminAuthenticationForm):
    """Name and password; wrong ones are counted and logged."""

    def clean(self) -> dict[str, Any]:
        request = cast("HttpRequest", self.request)
        typed = str(self.cleaned_data.get("username", ""))
        exists = User.objects.filter(username=typed).exists()
        who, place = typed if exists else nobody(typed), network(request)
        refuse_if_shut(who, place)
        try:
            cleaned: dict[str, Any] = super().clean()
        except ValidationError:
            audit.record(who, audit.WRONG_LOGIN, network=place)
            refuse_if_shut(who, place, own=1)
            raise
        refuse_if_shut(who, place)
        if self.user_cache is None:  # a field was empty
            return cleaned
        audit.record(who, audit.LOGGED_IN, detail="with the password", network=place)
        return cleaned


class OperatorsSite(AdminSite):
    """The admin, and the door of the operator's pages."""

    site_header, site_title, index_title = "Daily Papers", "Daily Papers", "All tables"
    login_form = LoginForm
    login_template = "console/login.html"

    def has_permission(self, request: HttpRequest) -> bool:
        return super().has_permission(request) and not owed(request)

    def login(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Ask for name and password, then for what is still owed; lead to Today, not the tables."""
        index = reverse("admin:index")
        if request.method == "GET" and request.GET.get("next", index) == index:
            query = {"next": reverse("console_today")}
            return redirect(reverse("admin:login", query=query))
        if super().has_permission(request) and (page := owed(request)):
            return redirect(reverse(page, query={"next": request.GET.get("next", "")}))
        return super().login(request, extra_context)

    def admin_view(  # type: ignore[override]
        self, view: Callable[..., HttpResponseBase], cacheable: bool = False
    ) -> Callable[..., HttpResponseBase]:
        """Wrap a page of the tables: what is changed there is logged."""

        def logged(request: HttpRequest, *args: Any, **named: Any) -> HttpResponseBase:
            begun = timezone.now()
            response = view(request, *args, **named)
            if request.method == "POST" and request.user.is_authenticated:  # no logout
                log_change(request, begun, ended=response.status_code == 302)
            return response

        return super().admin_view(logged, cacheable)

    def page(self, view: Callable[..., HttpResponse]) -> Callable[..., HttpResponseBase]:
        """Wrap one of the operator's own pages, whose acts log themselves."""

        @wraps(view)  # admin_view reads there whether the page looks at the token itself
        def allowed(request: HttpRequest, *args: Any, **named: Any) -> HttpResponse:
            try:
                return view(request, *args, **named)
            except PermissionDenied:  # the readers' page for it leads away from here
                context = {"role": roles.role_of(cast("User", request.user))}
                return render(request, "console/not_allowed.html", context, status=403)

        return super().admin_view(allowed)


def owed(request: HttpRequest) -> str:
    """Return the name of the page where the account has to show its second factor, or get one.

    Empty if nothing is owed.
    """
    user = cast("User", request.user)
    if user.is_verified():  # type: ignore[attr-defined]
        return ""
    if second_factor.device_of(user):
        return "console_code"
    return "console_account" if settings.REQUIRE_SECOND_FACTOR else ""


def log_change(request: HttpRequest, begun: datetime, *, ended: bool) -> None:
    """Log what was changed in a table, in the admin's words.

    A form in a window of its own answers with a page; `ended` is an answer that leads on.
    """
    match = request.resolver_match
    page = match.url_name if match else ""
    user = cast("User", request.user)
    entries = LogEntry.objects.filter(user=user, action_time__gte=begun)
    for entry in entries.order_by("pk"):
        kind, row = entry.content_type, entry.object_id
        words = f"{kind.model if kind else ''} {row}: {entry.get_change_message()}"
        audit.record_request(request, f"{page}", detail=words)
    if ended and not entries:
        chosen = ", ".join(request.POST.getlist("_selected_action")[:20])
        words = f"{request.POST.get('action', '')} {chosen}".strip()
        audit.record_request(request, f"{page}", detail=words)
