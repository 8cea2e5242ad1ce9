"""An operator's account, the second step of the login, and the audit log."""

from typing import cast

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import logout
from django.contrib.auth.models import User
from django.contrib.auth.views import LogoutView, redirect_to_login
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse, reverse_lazy
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_safe
from django_otp import login as remember

from digest.models import Act
from digest.ops.operators import audit, login, roles, second_factor
from digest.ops.paging import page_of
from subscribers.http import network

WRONG_CODE = (
    "This code is wrong, or was used before. Type the next one that the app shows; if that is"
    " wrong, too, the clock of the phone or of this server is off."
)


def who(request: HttpRequest) -> User | None:
    """Return the account whose password was right, whatever is still owed."""
    user = cast("User", request.user)
    return user if user.is_active and user.is_staff else None


@never_cache
@csrf_protect
@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
def code_page(request: HttpRequest) -> HttpResponse:
    """Ask for a code of the app, or a recovery code: the second step of the login."""
    user = who(request)
    if user is None:
        return redirect_to_login(next_page(request), reverse("admin:login"))
    if login.owed(request) != "console_code":
        return redirect(next_page(request))
    error = ""
    if request.method == "POST":
        error = check_code(request, user, request.POST.get("code", "")[:100])
        if not error:
            audit.record_request(request, audit.LOGGED_IN, detail="with a code")
            request.session.cycle_key()
            return redirect(next_page(request))
    return render(request, "console/code.html", {"error": error})


def check_code(request: HttpRequest, user: User, typed: str) -> str:
    """Take a code; return why it is refused. Tries are counted with the wrong passwords."""
    place, now = network(request), timezone.now()
    with transaction.atomic():
        User.objects.select_for_update().get(pk=user.pk)
        if login.is_shut_for_codes(user.username, now=now):
            return login.TOO_MANY_CODES
        device = second_factor.verify(user, typed, now=now)
        if device is None:
            audit.record(user.username, audit.WRONG_CODE, network=place)
            return WRONG_CODE
        remember(request, device)
    return ""


def next_page(request: HttpRequest) -> str:
    """Return where the login was to lead; never to another site."""
    wanted = request.GET.get("next", "")
    hosts, secure = {request.get_host()}, request.is_secure()
    if url_has_allowed_host_and_scheme(wanted, allowed_hosts=hosts, require_https=secure):
        return wanted
    return reverse("console_today")


# The admin's own is behind its door, and may be wished before the second step.
leave = LogoutView.as_view(next_page=reverse_lazy("admin:login"))


# -- the account -----------------------------------------------------------------------------


@never_cache
@csrf_protect
@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
def account(request: HttpRequest) -> HttpResponse:
    """Show who is logged in; add an app, replace its recovery codes, or remove it."""
    user = who(request)
    if user is None or login.owed(request) == "console_code":
        return redirect_to_login(request.get_full_path(), reverse("admin:login"))
    codes: list[str] = []
    if request.method == "POST":
        codes = change_factor(request, user)
        if not codes:
            return redirect("console_account")
    context = {
        "account": user,
        "role": roles.role_of(user) or "own permissions",
        "device": second_factor.device_of(user),
        "enrolment": second_factor.begun(user),
        "codes": codes,
        "left": user.recovery_codes.filter(used_at=None).count(),
        "required": settings.REQUIRE_SECOND_FACTOR,
        "owed": login.owed(request),
    }
    return render(request, "console/account.html", context)


def change_factor(request: HttpRequest, user: User) -> list[str]:
    """Do what the form asks, and say so. Returns new recovery codes, to be shown once."""
    act = request.POST.get("act", "")
    typed = request.POST.get("code", "")[:100]
    codes: list[str] = []
    if act == "begin":
        begin(request, user)
    elif act == "finish":
        codes = second_factor.finish(user, typed)
        if device := second_factor.device_of(user) if codes else None:
            remember(request, device)
            request.session.cycle_key()
            audit.record_request(request, "second factor added", user)
        elif second_factor.device_of(user):  # the page with the codes was loaded anew
            messages.info(
                request, "The second factor is on. Its recovery codes were shown once."
            )
        else:
            messages.error(request, WRONG_CODE)
    elif act in {"codes", "remove"}:
        if error := check_code(request, user, typed):
            messages.error(request, error)
        elif act == "codes":
            codes = second_factor.new_codes(user)
            audit.record_request(request, "new recovery codes", user)
        else:
            audit.record_request(request, "second factor removed", user)
            logout(request)  # or the session that is ended would be stored again
            second_factor.remove(user)
    return codes


def begin(request: HttpRequest, user: User) -> None:
    """Begin to add an app, for somebody who knows the password: a session may be stolen."""
    place, now = network(request), timezone.now()
    if login.is_shut(user.username, place, now=now):
        messages.error(request, login.TOO_MANY)
    elif second_factor.device_of(user):
        messages.error(request, "The account has a second factor already.")
    elif not user.check_password(request.POST.get("password", "")):
        audit.record(user.username, audit.WRONG_LOGIN, network=place)
        messages.error(request, "This is not the password.")
    else:
        second_factor.begin(user)


# -- the audit log ---------------------------------------------------------------------------


@require_safe
def audit_log(request: HttpRequest) -> HttpResponse:
    """List acts, newest first, by who, what and day; `before` turns the page."""
    if not request.user.has_perm("digest.view_act"):
        raise PermissionDenied
    query = {name: request.GET.get(name, "").strip() for name in ("who", "what", "day")}
    shown, older = page_of(audit.found(query), request.GET.get("before", ""))
    context = {
        "acts": shown,
        "next": older,
        "query": query,
        "named": Act.objects.order_by("what").values_list("what", flat=True).distinct(),
    }
    return render(request, "console/audit.html", context)
