"""Health checks for supervisors and load balancers.

/healthz, for a load balancer, checks the process only, so that a database outage does not
get all web processes killed. /readyz, for monitoring, checks the database, its migrations
and the workers. A fault that does not stop mail, such as missing new papers, is reported
as "degraded" with status 200.
"""

from datetime import UTC, datetime, time, timedelta
from email.utils import parseaddr

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.cache import cache_control, never_cache
from django.views.decorators.http import require_safe

from digest import outgoing, replica
from digest.deliveries import fencing, heartbeats, ledger
from digest.feedback import bounce_mailbox
from digest.logs import scrub
from digest.ops.stack import broker
from digest.papers import source_days
from digest.throttling import circuit_breaker


@require_safe
@never_cache
def healthz(request: HttpRequest) -> HttpResponse:
    """Return 200 while the process responds."""
    return plain("ok")


@require_safe
@never_cache
def readyz(request: HttpRequest) -> HttpResponse:
    """Return 200 if mail can be sent, else 503: a line for each fault, then the release."""
    release = f"release: {settings.RELEASE}"
    try:
        missing = migrations_missing()
        wrong = [f"{missing} migrations are not applied"] if missing else unwell()
        lacking = [] if wrong else degraded()
        told = [] if missing else skewed()
    except DatabaseError:
        wrong, lacking, told = ["the database does not answer"], [], []
    if wrong:
        return plain("\n".join([*wrong, *told, release]), status=503)
    return plain("\n".join(["degraded" if lacking else "ready", *lacking, *told, release]))


def unwell() -> list[str]:
    """Return the faults that stop mail, one line each. Raises DatabaseError."""
    now = ledger.database_now()
    far = [
        f"the clock of {name} is {abs(skew):.0f} seconds off: set it"
        for name, skew in heartbeats.skews(now).items()
        if abs(skew) > heartbeats.MOST_SKEW
    ]
    refused = fencing.refusal()
    return [
        *([f"sending is refused: {refused}"] if refused else []),
        *stalled(now),
        *(f"degraded: {rest}" for rest in circuit_breaker.stopped(now)),
        *far,
    ]


def stalled(now: datetime) -> list[str]:
    """Return the loops that stand still, with their cause where Redis does not answer.

    It is asked only then, as ticks come without this process knowing a Redis.
    """
    loops = heartbeats.troubles(now)
    cause = broker.trouble(settings.REDIS_URL) if loops and settings.REDIS_URL else ""
    return [f"{loop}; {cause}" if cause else loop for loop in loops]


def degraded() -> list[str]:
    """Return the faults that do not stop mail, one line each. Raises DatabaseError."""
    at, now = ledger.database_now(), timezone.now()
    rests = [] if circuit_breaker.stopped(at) else circuit_breaker.rests(at)
    return [
        *(f"{rest}" for rest in rests),  # others take its mail
        *source_days.troubles(now),
        *outgoing.troubles(now),
        *bounce_mailbox.troubles(now),
        *replica_troubles(),
    ]


def replica_troubles() -> list[str]:
    """Return what is wrong with the replica, from which pages are read; in one line."""
    trouble = replica.trouble()
    return [f"the replica {trouble}: pages are read without it"] if trouble else []


def skewed() -> list[str]:
    """Which clocks differ from the database's, though everything works."""
    return [
        f"clock: {name} is {abs(skew):.0f} seconds {'ahead of' if skew > 0 else 'behind'}"
        " the database"
        for name, skew in heartbeats.skews(ledger.database_now()).items()
    ]


def migrations_missing() -> int:
    """Return the number of migrations not applied. Raises DatabaseError."""
    executor = MigrationExecutor(connection)
    return len(executor.migration_plan(executor.loader.graph.leaf_nodes()))


def plain(text: str, status: int = 200) -> HttpResponse:
    """Return a scrubbed response: a relay's reply may contain an address or a password."""
    return HttpResponse(
        f"{scrub(text)}\n", content_type="text/plain; charset=utf-8", status=status
    )


GOOD_FOR = timedelta(days=30)


@require_safe
@cache_control(public=True, max_age=3600)
def security_txt(request: HttpRequest) -> HttpResponse:
    today = datetime.combine(timezone.now().astimezone(UTC), time(), UTC)
    lines = [
        f"Contact: mailto:{parseaddr(settings.FROM_EMAIL)[1]}",
        f"Expires: {(today + GOOD_FOR).isoformat().replace('+00:00', 'Z')}",
        "Preferred-Languages: en, de",
        f"Canonical: {settings.SITE_URL}/.well-known/security.txt",
    ]
    text = "".join(f"{line}\n" for line in lines)
    return HttpResponse(text, content_type="text/plain; charset=utf-8")
