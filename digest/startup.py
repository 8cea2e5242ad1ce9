"""What worker, beat and web server do first: load the settings, or say why not."""

import os
import sys

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

# Gunicorn's own status of a worker that must not be started again.
CANNOT_START = 3


def load_settings() -> None:
    """Load the settings; end the process with one line where a variable is wrong."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "digest.settings")
    try:
        settings.DEBUG  # noqa: B018  # the first attribute loads them
    except ImproperlyConfigured as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(CANNOT_START) from None
