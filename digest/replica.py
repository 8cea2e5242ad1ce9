"""Read what everybody may see from a streaming replica of the database, where there is one.

While such a page is made, the replica stands in the place of Django's default connection, for
its thread alone. So all that the page asks, by models or in SQL, is read there, and nothing
can be written, as a standby takes no write. Nobody sees what is wrong with the replica: the
page is made from the database itself, and the replica is left alone for a while. One that is
silent is given up soon, see digest/postgresql/base.py.
"""

import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Concatenate

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, Error, connections
from django.http import Http404, HttpRequest, HttpResponse

from digest.rest import Rest

logger = logging.getLogger(__name__)

ALIAS = "replica"
MOST_BEHIND = 60.0  # seconds; as old as a page may be in a cache
LOOK_AGAIN = 5.0  # seconds between two looks at how far behind it is
REST = 10.0  # seconds for which a replica that failed is not asked
# A standby's newest commit; a worker's heartbeat makes one each ten seconds at least.
BEHIND = """SELECT extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())
WHERE pg_is_in_recovery()"""

# Of this process.
rest = Rest(REST)
looked_until = 0.0  # monotonic seconds

type View[**P] = Callable[Concatenate[HttpRequest, P], HttpResponse]


class Unfit(Exception):
    """The replica answers, but not with what the database holds; the message says how."""


def first[**P](view: View[P]) -> View[P]:
    """Wrap a page for everybody, which only reads: from the replica, else from the database.

    What is not found there is looked for once more: it may be on its way.
    """

    @wraps(view)
    def page(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        if is_configured() and rest.may_be_asked():
            try:
                with standing_in():
                    response = view(request, *args, **kwargs)
                note_answer()
                if response.status_code != 404:
                    return response
            except Http404:
                note_answer()
            except Unfit as failed:
                leave_alone(failed)
            except Error as failed:  # of the page alone, if the replica is well
                leave_alone(failed) if trouble() else note_answer()
        return view(request, *args, **kwargs)

    return page


def is_configured() -> bool:
    return ALIAS in settings.DATABASES


@contextmanager
def standing_in() -> Iterator[None]:
    """Put the replica in the database's place. Raises Error or Unfit."""
    global looked_until
    if time.monotonic() >= looked_until:
        check_fitness()
        looked_until = time.monotonic() + LOOK_AGAIN
    database = connections[DEFAULT_DB_ALIAS]
    connections[DEFAULT_DB_ALIAS] = connections[ALIAS]
    try:
        yield
    finally:
        connections[DEFAULT_DB_ALIAS] = database


def check_fitness() -> float:
    """Return by how many seconds the replica is behind. Raises Error or Unfit."""
    with connections[ALIAS].cursor() as cursor:
        cursor.execute(BEHIND)
        found = cursor.fetchone()
    if found is None:
        raise Unfit("is no standby")
    if found[0] is None:
        raise Unfit("has replayed nothing yet")
    if found[0] > MOST_BEHIND:
        raise Unfit(f"is {found[0]:,.0f} seconds behind")
    return max(0.0, float(found[0]))


def leave_alone(failed: Exception) -> None:
    global looked_until
    looked_until = 0.0
    if rest.begin():
        logger.warning("the replica %s: pages are read without it", in_words(failed))


def note_answer() -> None:
    if rest.end():
        logger.info("pages are read from the replica again")


def in_words(failed: Exception) -> str:
    """Return what the replica does, to follow its name; a driver's words may name a host."""
    return str(failed) if isinstance(failed, Unfit) else f"fails ({type(failed).__name__})"


def lag() -> float:
    """Return by how many seconds the replica is behind; infinity for one that is not read."""
    try:
        return check_fitness()
    except (Error, Unfit):
        return math.inf


def trouble() -> str:
    """Return why pages cannot be read from the replica, to follow its name.

    Empty if they can, or if there is none.
    """
    try:
        if is_configured():
            check_fitness()
    except (Error, Unfit) as failed:
        return in_words(failed)
    return ""
