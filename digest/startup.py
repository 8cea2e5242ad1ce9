"""The start of worker, beat and web server: load the settings, or exit with one line."""

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
