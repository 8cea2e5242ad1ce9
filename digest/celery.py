"""The Celery app: workers and beat start from here (`celery -A digest worker`).

Tasks carry ids at most. Everything in Redis may be lost at any time: the next tick
finds in the database whatever is to be done.
"""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "digest.settings")

app = Celery("digest")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
