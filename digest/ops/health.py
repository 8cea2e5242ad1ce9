"""What a supervisor or load balancer asks: is the process up, can it serve?

/healthz needs nothing but the process, so that a database that is down does not get
all web processes killed; a load balancer before them asks it. /readyz is for who watches
the whole: it needs the database with all migrations, and workers that do their work.
What mail can go out without, such as new papers, makes it say "degraded", still with 200.
"""

from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from digest.deliveries import heartbeats, ledger
from digest.papers import source_days
from digest.scrub import scrub
from digest.throttling import circuit_breaker


@require_safe
@never_cache
def healthz(request: HttpRequest) -> HttpResponse:
    """200 while the process answers at all."""
    return plain("ok")


@require_safe
@never_cache
def readyz(request: HttpRequest) -> HttpResponse:
    """Return 200 when mail can go out, else 503; with a line for each thing that is wrong."""
    try:
        missing = migrations_missing()
        wrong = [f"{missing} migrations are not applied"] if missing else unwell()
        lacking = [] if wrong else degraded()
        told = [] if missing else skewed()
    except DatabaseError:
        wrong, lacking, told = ["the database does not answer"], [], []
    if wrong:
        return plain("\n".join([*wrong, *told]), status=503)
    return plain("\n".join(["degraded" if lacking else "ready", *lacking, *told]))


def unwell() -> list[str]:
    """Return what does not run, and why no mail goes out. Raises DatabaseError."""
    now = ledger.database_now()
    rest = circuit_breaker.resting(now)
    far = [
        f"the clock of {name} is {abs(skew):.0f} seconds off: set it"
        for name, skew in heartbeats.skews(now).items()
        if abs(skew) > heartbeats.MOST_SKEW
    ]
    return heartbeats.troubles(now) + ([f"degraded: {rest}"] if rest else []) + far


def degraded() -> list[str]:
    """Return what is wrong while mail can go out. Raises DatabaseError."""
    return source_days.troubles(timezone.now())


def skewed() -> list[str]:
    """Which clocks differ from the database's, though everything works."""
    return [
        f"clock: {name} is {abs(skew):.0f} seconds {'ahead of' if skew > 0 else 'behind'}"
        " the database"
        for name, skew in heartbeats.skews(ledger.database_now()).items()
    ]


def migrations_missing() -> int:
    """How many migrations are not applied. Raises DatabaseError."""
    executor = MigrationExecutor(connection)
    return len(executor.migration_plan(executor.loader.graph.leaf_nodes()))


def plain(text: str, status: int = 200) -> HttpResponse:
    """Answer with the text; a relay's own words in it may name a reader or a password."""
    return HttpResponse(
        f"{scrub(text)}\n", content_type="text/plain; charset=utf-8", status=status
    )
