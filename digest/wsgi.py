"""The web entry point for gunicorn: `gunicorn digest.wsgi`."""

import gc
from importlib import import_module

from django.conf import settings
from django.core.wsgi import get_wsgi_application

from digest.front_end import LimitedBodies
from digest.process import load_settings
from digest.site.answer_cache import CachedAnswers

load_settings()
settings.DATABASES["default"].update(settings.DATABASE_FOR_VISITORS)
application = LimitedBodies(CachedAnswers(get_wsgi_application(), but=settings.STATIC_URL))
# Else the first request of each worker loads all views.
import_module(settings.ROOT_URLCONF)
# All of this stays: to look through it again would hold up a request for a tenth of a second
# and unshare the memory of workers that were forked off.
gc.collect()
gc.freeze()
