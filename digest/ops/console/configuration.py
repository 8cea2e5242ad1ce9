"""The settings page: each variable with its value and where it comes from; secrets masked."""

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth.decorators import permission_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from digest.settings import variables

# The paths of many webhooks are their secrets. ANYMAIL_…: each provider has its own names for
# its keys, so none of them is shown.
SECRET = re.compile(r"KEY|SECRET|TOKEN|PASSWORD|DSN|POST_URLS|EVENTS_URL|^ANYMAIL_")
LOGIN = re.compile(r"://[^\s/@]*@")
MADE = {"SECRET_KEY", "ADDRESS_KEY"}  # where nobody sets them, in a file of STATE_DIR
see_settings = permission_required("digest.view_edition", raise_exception=True)


@dataclass(frozen=True)
class Row:
    """A variable as a page may show it."""

    name: str
    value: str
    source: str

    @property
    def is_default(self) -> bool:
        return self.source == "the default"


@see_settings
@require_safe
def settings_page(request: HttpRequest) -> HttpResponse:
    """List all variables, those that somebody set first."""
    rows = [row_of(name) for name in variables.known if name != "ENV_FILE"]
    context = {"rows": sorted(rows, key=lambda row: (row.is_default, row.name))}
    return render(request, "console/settings.html", context)


def row_of(name: str) -> Row:
    source = variables.source(name)
    if name in MADE and source == "the default":
        source = "made in STATE_DIR"
    value = getattr(settings, name, None)
    value = variables.text(name) if value is None else value
    if SECRET.search(name):
        return Row(name, "set, not shown" if value else "", source)
    return Row(name, shown(value), source)


def shown(value: object) -> str:
    """Return a value in the words of a .env file, and no password of an address in it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return ",".join(f"{name}={number:g}" for name, number in value.items())
    if isinstance(value, list | tuple):
        return ",".join(map(shown, value))
    text = "" if value is None else str(value)
    if isinstance(value, Path) or "://" not in text:
        return text
    if " " in text:  # words to readers, in which a link may stand
        return LOGIN.sub("://***@", text)
    name, equals, url = text.partition("=")
    if "://" in name:
        name, equals, url = "", "", text
    parts = urlsplit(url)
    login, at, host = parts.netloc.rpartition("@")
    options = "?…" if parts.query else ""
    return f"{name}{equals}{parts.scheme}://{'***@' if login or at else ''}{host}{parts.path}{options}"
