"""The web entry point for gunicorn: `gunicorn digest.wsgi`."""

from django.core.wsgi import get_wsgi_application

from digest.front_end import LimitedBodies
from digest.process import load_settings

load_settings()
application = LimitedBodies(get_wsgi_application())
