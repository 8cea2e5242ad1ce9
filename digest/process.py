"""The start and the stop of worker, beat and web server."""

import mmap
import os
import sys

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

# Gunicorn does not restart a worker with this exit status.
CANNOT_START = 3


def load_settings() -> None:
    """Load the settings; exit with one line on stderr if a variable is invalid."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "digest.settings")
    try:
        settings.DEBUG  # noqa: B018  # the first attribute loads them
    except ImproperlyConfigured as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(CANNOT_START) from None


# One byte of memory that a worker shares with the children of its pool, as it was made before
# they were forked: Celery tells the parent only that it shall stop.
MARK = mmap.mmap(-1, 1)


def ask_to_stop() -> None:
    """Ask to finish what is in flight and claim nothing new. Safe in a signal handler."""
    MARK[0] = 1


def is_stopping() -> bool:
    """Return whether to stop; asked between submit groups, so that a stop takes seconds."""
    return MARK[0] == 1
