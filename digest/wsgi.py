"""The web entry point for gunicorn: `gunicorn digest.wsgi`."""

from django.conf import settings
from django.core.wsgi import get_wsgi_application

from digest.front_end import LimitedBodies
from digest.process import load_settings
from digest.site.answer_cache import CachedAnswers

load_settings()
application = LimitedBodies(CachedAnswers(get_wsgi_application(), but=settings.STATIC_URL))
