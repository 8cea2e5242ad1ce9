"""The web entry point for gunicorn: `gunicorn digest.wsgi`."""

import os

from django.core.wsgi import get_wsgi_application

from digest.bodies import LimitedBodies

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "digest.settings")

application = LimitedBodies(get_wsgi_application())
