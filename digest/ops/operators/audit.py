"""The audit log: who did what, when, to which row, and from where.

Rows are named by their ids, and addresses in what was typed are masked.
"""

import os
import pwd
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from digest.logs import scrub
from digest.models import Act
from subscribers import http

SHOWN = 50  # of the newest acts on a row
LOGGED_IN, WRONG_LOGIN, WRONG_CODE = "logged in", "wrong login", "wrong code"


def record(
    who: str, what: str, row: Model | None = None, *, detail: str = "", network: str = ""
) -> None:
    """Append an act, after it was done."""
    kind, key = (row._meta.label_lower, f"{row.pk}") if row is not None else ("", "")
    Act.objects.create(
        at=timezone.now(),
        who=who[:200],
        what=what[:40],
        kind=kind,
        row=key,
        detail=scrub(detail)[:500],
        network=network,
    )


def record_request(
    request: HttpRequest, what: str, row: Model | None = None, *, detail: str = ""
) -> None:
    """Append what the account that is logged in did."""
    who = request.user.get_username()
    record(who, what, row, detail=detail, network=http.network(request))


def record_command(what: str, row: Model | None = None, *, detail: str = "") -> None:
    """Append what somebody did with a command: as whom the system knows the process."""
    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container's user may have no name
        user = f"{os.getuid()}"
    record(f"command line: {user}", what, row, detail=detail)


def acts_on(row: Model) -> QuerySet[Act]:
    """Return the newest acts on a row."""
    found = Act.objects.filter(kind=row._meta.label_lower, row=f"{row.pk}")
    return found.order_by("-pk")[:SHOWN]


def found(query: Mapping[str, str]) -> QuerySet[Act]:
    """Return the acts by who, what and day (UTC)."""
    acts = Act.objects.all()
    if query["who"]:
        acts = acts.filter(who__icontains=query["who"])
    if query["what"]:
        acts = acts.filter(what=query["what"])
    if query["day"]:
        try:
            day = datetime.fromisoformat(query["day"]).replace(tzinfo=UTC)
        except ValueError:
            return acts.none()
        acts = acts.filter(at__gte=day, at__lt=day + timedelta(days=1))
    return acts
