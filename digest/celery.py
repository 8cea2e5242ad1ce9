"""The Celery app: workers and beat start from here (`celery -A digest worker`).

Tasks carry ids at most. Everything in Redis may be lost at any time: the next tick finds
its work in the database.
"""

from celery import Celery
from celery.signals import worker_shutting_down

from digest.deliveries import shutdown
from digest.startup import load_settings

load_settings()

app = Celery("digest")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@worker_shutting_down.connect
def finish(**_: object) -> None:
    """Ask for shutdown; only the parent gets the signal, the children read the mark."""
    shutdown.ask()
