"""Limits by network of what costs the database most: searches, previews, calls of the API.

They are counted in the memory of each web process, so that they cost nothing themselves.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps

from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from subscribers.http import network
from subscribers.rate_limits import is_global

WINDOW = 60  # seconds
PER_NETWORK = 30  # searches in a window, from one /24 or /48, for each web process
PER_PROXY = 300  # from a network of our own, where all readers may come from


@dataclass(frozen=True)
class Limit:
    """How many requests of one kind a network may make in a window."""

    name: str
    per_network: int
    per_proxy: int


SEARCHES = Limit("search", PER_NETWORK, PER_PROXY)
PREVIEWS = Limit("preview", 2 * PER_NETWORK, PER_PROXY)  # while somebody types
CALLS = Limit("api", 4 * PER_NETWORK, 4 * PER_PROXY)  # of the API, searches included


def limited(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Answer 429 to a network that has searched its share; a page without words is free."""

    @wraps(view)
    def page(request: HttpRequest, **named: str) -> HttpResponse:
        if not request.GET.get("q", "").strip() or within_limit(network(request)):
            return view(request, **named)
        return too_often(request, SEARCHES)

    return page


def too_often(request: HttpRequest, limit: Limit) -> HttpResponse:
    """Answer 429 with a page that says what was asked for too often, and when to go on."""
    answer = render(request, "digest/too_often.html", {"limit": limit}, status=429)
    answer["Retry-After"] = str(WINDOW)
    answer["Cache-Control"] = "no-store"
    return answer


def within_limit(network: str, limit: Limit = SEARCHES) -> bool:
    """Count one request. Return whether it is among those of the window that are allowed."""
    key = f"{limit.name}:{network}:{int(time.time() // WINDOW)}"
    cache.add(key, 0, timeout=2 * WINDOW)
    try:
        count = cache.incr(key)
    except ValueError:  # thrown out meanwhile: so many networks ask
        return True
    return count <= (limit.per_network if is_global(network) else limit.per_proxy)
