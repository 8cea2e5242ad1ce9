"""What a supervisor or load balancer asks: is the process up, can it serve?

/healthz needs nothing but the process, so that a database that is down does not get
all web processes killed. /readyz needs the database with all migrations.
"""

from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe


@require_safe
@never_cache
def healthz(request: HttpRequest) -> HttpResponse:
    """200 while the process answers at all."""
    return plain("ok")


@require_safe
@never_cache
def readyz(request: HttpRequest) -> HttpResponse:
    """200 when the database answers and is migrated, else 503 with what is wrong."""
    try:
        missing = migrations_missing()
    except DatabaseError:
        return plain("the database does not answer", status=503)
    if missing:
        return plain(f"{missing} migrations are not applied", status=503)
    return plain("ready")


def migrations_missing() -> int:
    """How many migrations are not applied. Raises DatabaseError."""
    executor = MigrationExecutor(connection)
    return len(executor.migration_plan(executor.loader.graph.leaf_nodes()))


def plain(text: str, status: int = 200) -> HttpResponse:
    return HttpResponse(
        f"{text}\n", content_type="text/plain; charset=utf-8", status=status
    )
