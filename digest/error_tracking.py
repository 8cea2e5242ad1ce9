"""Errors to Sentry, or a server that speaks its protocol, with all secrets taken out.

Only with SENTRY_DSN. What is sent is an error's type, its scrubbed words and stack, and
the run that it happened in: no local variables, no form, no header, no address.
"""

import re
from collections.abc import Mapping
from typing import Any

from django.conf import settings

from digest.logs import CONTEXT, MASK, scrub

# Of a request only these, and of a URL what is left after scrubbing.
REQUEST = ("method", "url")
# Values under these names are masked, whatever they look like.
SECRET = re.compile(
    "passw|secret|token|key|auth|cookie|session|credential|dsn|e-?mail|address|recipient"
    "|subscriber|interests|keywords|authors",
    re.IGNORECASE,
)
PERSONAL = ("user", "modules", "extra", "breadcrumbs")
DEEPEST = 30


def start() -> None:
    """Report uncaught exceptions and logged errors of this process from now on."""
    import sentry_sdk  # the extra `sentry`: the settings have seen that it is there

    sentry_sdk.init(
        dsn=settings.SENTRY_DSN,
        release=settings.RELEASE,
        before_send=before_send,
        send_default_pii=False,
        include_local_variables=False,
        include_source_context=False,
        max_request_body_size="never",
        max_breadcrumbs=0,
        auto_session_tracking=False,
    )


def before_send(event: Any, hint: Any) -> Any:
    """Return an event without what is personal, scrubbed by name and by shape."""
    kept = {name: part for name, part in event.items() if name not in PERSONAL}
    if request := kept.get("request"):
        kept["request"] = {name: request[name] for name in REQUEST if name in request}
    cleaned: dict[str, Any] = clean(kept)
    run = CONTEXT.get().get("run")
    return cleaned | {"tags": {"run": run}} if run else cleaned


def clean(value: Any, depth: int = 0) -> Any:
    """Return a JSON value with secrets masked; what lies too deep is left out."""
    if depth > DEEPEST:
        return MASK
    if isinstance(value, str):
        return scrub(value)
    if isinstance(value, Mapping):
        return {
            scrub(str(name)): MASK if SECRET.search(str(name)) else clean(one, depth + 1)
            for name, one in value.items()
        }
    if isinstance(value, list | tuple):
        return [clean(one, depth + 1) for one in value]
    return value if isinstance(value, int | float | bool | None) else scrub(str(value))
