"""The Celery app: workers and beat start from here (`celery -A digest worker`).

Tasks carry ids at most. Everything in Redis may be lost at any time: the next tick finds
its work in the database.
"""

import gc
import os
import time

from celery import Celery, Task
from celery.signals import (
    before_task_publish,
    task_prerun,
    worker_before_create_process,
    worker_shutting_down,
)

from digest import logs, process
from digest.process import load_settings

load_settings()
# Celery would run Django's checks in each worker and not look at what they find. They import
# the whole site: 20 MB of each process.
os.environ.setdefault("CELERY_SKIP_CHECKS", "1")

app = Celery("digest")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@before_task_publish.connect
def stamp(headers: dict[str, object], **_: object) -> None:
    """Say when it was asked for: the worker sees how far beat's clock is off."""
    headers["sent_at"] = time.time()


@task_prerun.connect
def begin(task: "Task[[], None]", **_: object) -> None:
    """Begin a run: a sender that a tick wakes, or another sender, has the tick's id."""
    logs.begin_run(task.request.root_id or task.request.id or "")


@worker_before_create_process.connect
def share(**_: object) -> None:
    """Let the children share what is loaded: the garbage collector would write to all of it."""
    gc.collect()
    gc.freeze()


@worker_shutting_down.connect
def finish(**_: object) -> None:
    """Ask for shutdown; only the parent gets the signal, the children read the mark."""
    process.ask_to_stop()
