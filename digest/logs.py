"""All text that leaves a process: logs and the ADMINS' mails, scrubbed.

A log record is scrubbed when it is created, so that the handlers of Django, Celery,
gunicorn and monitoring all get scrubbed records.
"""

import logging
import logging.config
import math
import re
import secrets
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import TracebackType
from typing import Any

from django.conf import settings
from django.core.mail import mail_admins
from django.views.debug import SafeExceptionReporterFilter
from pythonjsonlogger.json import JsonFormatter

logger = logging.getLogger(__name__)

MINUTE = 60  # seconds
RUN_LENGTH = 8  # characters of a run's id
# What a record is about: the run, and the delivery. Records hold nothing personal here.
CONTEXT: ContextVar[Mapping[str, str | int]] = ContextVar("log context", default={})  # noqa: B039


class ScrubbedRecord(logging.LogRecord):
    """A log record without secrets in its message and traceback."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.context = CONTEXT.get()
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


class Json(JsonFormatter):
    """A formatter that writes a record as one line of JSON.

    Only these fields: what else Django and Celery hang on a record may hold a request, a
    form or a task's arguments.
    """

    FIELDS = ("timestamp", "level", "logger", "message", "run", "delivery", "exc_info")

    def add_fields(
        self,
        log_data: dict[str, Any],
        record: logging.LogRecord,
        message_dict: dict[str, Any],
    ) -> None:
        super().add_fields(log_data, record, message_dict)
        log_data |= getattr(record, "context", {})

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        return {name: log_data[name] for name in self.FIELDS if log_data.get(name)}

    def formatException(self, ei: Any) -> str:  # the library's name
        return scrub(str(super().formatException(ei)))


class RouteInsteadOfPath(logging.Filter):
    """A filter that replaces the path in Django's line on a failed request by its route."""

    def filter(self, record: logging.LogRecord) -> bool:
        if getattr(record, "status_code", 500) < 500:
            return False
        match = getattr(getattr(record, "request", None), "resolver_match", None)
        route = getattr(match, "route", "?")
        record.msg, record.args = "server error at /%s", (route,)
        error = record.exc_info[1] if record.exc_info else None
        if getattr(error and error.__cause__, "is_told", False):
            record.exc_info = record.exc_text = None  # many requests fail of it, quickly
        return route != "readyz"  # its 503 is a normal response, every few seconds


class OneLine(logging.Filter):
    """A filter that drops the traceback of a refused request."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.exc_info = record.exc_text = None
        return True


class OneLineAMinute(logging.Filter):
    """Without a broker beat and workers fail every few seconds: one error a minute says so.

    The message may hold a stack, too: its first line names the cause.
    """

    def __init__(self) -> None:
        super().__init__()
        self.said_at = -math.inf

    def filter(self, record: logging.LogRecord) -> bool:
        record.exc_info = record.exc_text = None
        if record.levelno < logging.ERROR:
            return True
        if record.created - self.said_at < MINUTE:
            return False
        self.said_at = record.created
        record.msg, record.args = record.getMessage().partition("\n")[0], None
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
    (ours,) = logging.root.handlers[:1]
    if isinstance(ours.formatter, Json):  # gunicorn has set up its handlers before
        for handler in logging.getLogger("gunicorn.error").handlers:
            handler.setFormatter(ours.formatter)
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


# -- what a record is about --------------------------------------------------------------


def begin_run(name: str = "") -> None:
    """Give all that follows one id: of the tick that asked for it, or a new one.

    Slices carry it in their lease's token, so that a provider's report leads back to it.
    """
    CONTEXT.set({"run": name[:RUN_LENGTH] or secrets.token_hex(RUN_LENGTH // 2)})


def run_id() -> str:
    """Return the id of the current run; a new one outside of any."""
    current = str(CONTEXT.get().get("run", ""))
    return current or secrets.token_hex(RUN_LENGTH // 2)


@contextmanager
def about(*, run: str, delivery: int) -> Iterator[None]:
    """Say in each record within the block which run and delivery it is about."""
    before = CONTEXT.set({"run": run, "delivery": delivery})
    try:
        yield
    finally:
        CONTEXT.reset(before)


# -- what is masked ----------------------------------------------------------------------

# Secrets and personal data are masked by their shape. Matching shapes rather than names or
# values finds a password in an exception's message as well as in a setting, without a list to
# maintain. Each pattern matches a bounded length, so scrubbing takes linear time.


MASK = "***"

# smtp://user:password@host, redis://:password@host, https://key@host: up to the last @
# before a space, as a password that was not percent-encoded may contain one.
CREDENTIALS = re.compile(r"(?<=://)([^\s:/\"'<>]{0,200})(:\S{0,500})?@")
# password=…, "api-key": "…", Authorization: Basic …, key=…
NAMED = re.compile(
    r"""((?:(?:passw(?:or)?d|passphrase|secret|token|api[_-]?key|address_key|authorization)
         \w{0,30}["'\\]{0,4}\s{0,3}[=:]
         # Short names are words of sentences, too: only where = or a quote follows.
         |(?<![A-Za-z])(?:key|pwd|pass|pw)(?:["'\\]{0,4}\s{0,3}=(?!\s{0,3}lambda\b)
         |["'\\]{1,4}\s{0,3}:))
         \s{0,3}(?:(?:basic|bearer|token)\s)?)
        ("[^"\n]{1,500}"|'[^'\n]{1,500}'|["'\\]{0,4}[^\s"'\\,;&)}\]]{1,500})""",
    re.IGNORECASE | re.VERBOSE,
)
# The path of a page behind a link of ours, percent-encoded or not.
LINK = re.compile(
    r"((?:/|%2f)(?:confirm|block|address|preferences|data|feeds(?:/|%2f)mine|u|p)(?:/|%2f))"
    r"[A-Za-z0-9_-]{22}(?![A-Za-z0-9_-])",
    re.IGNORECASE,
)
# A token: 22 characters of base64url that are not an identifier, such as
# ConnectionRefusedError or a name in lower case.
TOKEN = re.compile(
    r"(?<![A-Za-z0-9_-])(?=[A-Za-z0-9_-]{22}(?![A-Za-z0-9_-]))"
    r"(?=[a-z0-9_-]*+[A-Z])(?=[A-Z0-9_-]*+[a-z])"
    r"(?!(?:_*+[A-Z]?[a-z]{2,22}+)++(?![A-Za-z0-9_-]))"
    r"[A-Za-z0-9_-]{22}"
)
# The name of a delivery, in the address of a mail's page or of a vote.
NAME = re.compile(r"\b[1-9a-f][0-9a-f]{0,15}-[0-9a-f]{24}\b")
# With the @ of ASCII, full-width or small, and as URLs, pages and JSON write it.
# The local part excludes the asterisk, or a masked address would match again.
ADDRESS = re.compile(
    r"[\w.!#$%&+/?^`{|}~-]{1,64}(?:[@\uff20\ufe6b]|%40|%ef%bc%a0|%ef%b9%ab|&\#64;|\\{1,8}u0040)"
    r"[\w-]{1,63}(?:[.\u3002\uff0e\uff61][\w-]{1,63}){1,20}",
    re.IGNORECASE,
)
# PostgreSQL repeats the values of a rejected row.
DETAIL = re.compile(r"(?<![A-Z])((?:DETAIL|CONTEXT): ).*")

# What steers a terminal or turns a line around, of somebody else's words.
STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")

MASKS = (
    (STEERING, lambda _: " "),
    (CREDENTIALS, lambda found: f"{found[1]}:{MASK}@" if found[2] else f"{MASK}@"),
    (NAMED, lambda found: found[1] + MASK),
    (DETAIL, lambda found: found[1] + MASK),
    (LINK, lambda found: found[1] + MASK),
    (TOKEN, lambda _: MASK),
    (NAME, lambda _: MASK),
    (ADDRESS, lambda _: f"{MASK}@{MASK}"),
)


def scrub(text: str) -> str:
    """Return the text with every password, token and address masked, and nothing that steers."""
    for pattern, mask in MASKS:
        text = pattern.sub(mask, text)
    return text


# -- telling the operator ----------------------------------------------------------------


logger = logging.getLogger(__name__)


def alert(message: str) -> None:
    """Log the message as an error and mail it to the ADMINS. Never raises."""
    logger.error(message)
    message = scrub(message)
    for mailer in settings.MAILERS:  # that of a relay which is ill may be the first
        try:
            mail_admins(message[:100], message, using=mailer)
        except Exception as error:  # any error of any transport
            failed = type(error).__name__
        else:
            return
    logger.error("the ADMINS could not be alerted: %s", failed)
