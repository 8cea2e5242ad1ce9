"""Logging for every process: to stderr, scrubbed before any handler sees a record.

A log record is scrubbed when it is created, so that the handlers of Django, Celery,
gunicorn and monitoring all get scrubbed records.
"""

import logging
import logging.config
import math
import sys
import threading
import traceback
from types import TracebackType
from typing import Any

from django.views.debug import SafeExceptionReporterFilter

from digest.scrub import scrub

logger = logging.getLogger(__name__)

MINUTE = 60  # seconds


class ScrubbedRecord(logging.LogRecord):
    """A log record without secrets in its message and traceback."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        try:
            message = self.getMessage()
        except Exception:  # logging would print the raw message and arguments to stderr
            message = f"{self.msg} (its arguments do not fit)"
        self.msg, self.args = scrub(message), None
        if self.exc_info and self.exc_info[0]:
            # Formatters use this text, if present, as the traceback.
            lines = traceback.format_exception(*self.exc_info)
            self.exc_text = scrub("".join(lines)).rstrip("\n")
        if self.stack_info:
            self.stack_info = scrub(self.stack_info)


class RouteInsteadOfPath(logging.Filter):
    """A filter that replaces the path in Django's line on a failed request by its route."""

    def filter(self, record: logging.LogRecord) -> bool:
        if getattr(record, "status_code", 500) < 500:
            return False
        match = getattr(getattr(record, "request", None), "resolver_match", None)
        route = getattr(match, "route", "?")
        record.msg, record.args = "server error at /%s", (route,)
        return route != "readyz"  # its 503 is a normal response, every few seconds


class OneLine(logging.Filter):
    """A filter that drops the traceback of a refused request."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.exc_info = record.exc_text = None
        return True


class OneLineAMinute(logging.Filter):
    """Without a broker beat fails every few seconds: one of its errors a minute says so.

    Its message holds a stack, too: the first line names the cause.
    """

    def __init__(self) -> None:
        super().__init__()
        self.said_at = -math.inf

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.ERROR:
            return True
        if record.created - self.said_at < MINUTE:
            return False
        self.said_at = record.created
        record.msg, record.args = record.getMessage().partition("\n")[0], None
        record.exc_info = record.exc_text = None
        return True


class ScrubbedPage(SafeExceptionReporterFilter):
    """A filter that scrubs the settings on the error page of DEBUG."""

    def cleanse_setting(self, key: Any, value: Any) -> Any:
        cleansed = super().cleanse_setting(key, value)
        return scrub(cleansed) if isinstance(cleansed, str) else cleansed


def configure(config: dict[str, Any]) -> None:
    """Set up logging (settings.LOGGING_CONFIG), and scrub uncaught exceptions."""
    logging.config.dictConfig(config)
    logging.setLogRecordFactory(ScrubbedRecord)
    if sys.excepthook is sys.__excepthook__:
        sys.excepthook = uncaught
    if threading.excepthook is threading.__excepthook__:
        threading.excepthook = uncaught_in_thread


def uncaught(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Print the traceback of an exception that ends the process, scrubbed."""
    lines = traceback.format_exception(kind, error, trace)
    print(scrub("".join(lines)), end="", file=sys.stderr)


def uncaught_in_thread(caught: threading.ExceptHookArgs) -> None:
    """Log an exception that ends a thread."""
    if caught.exc_value and not isinstance(caught.exc_value, SystemExit):
        name = caught.thread.name if caught.thread else "?"
        logger.error("thread %s died", name, exc_info=caught.exc_value)
