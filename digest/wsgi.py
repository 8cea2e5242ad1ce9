"""The web entry point for gunicorn: `gunicorn digest.wsgi`."""

from django.core.wsgi import get_wsgi_application

from digest.startup import load_settings

load_settings()
application = get_wsgi_application()
