"""The Retry-After header (RFC 9110 section 10.2.3): how long a server asks to wait.

Seconds, or a date in any of HTTP's three forms (section 5.6.7). A date is read by the Date
header beside it (section 6.6.1), so by the server's own clock, whatever ours says.
"""

import re
from collections.abc import Mapping

from django.utils.http import parse_http_date_safe

MOST = 3600.0


def seconds(headers: Mapping[str, str], *, default: float = 0.0) -> float:
    """Return the wait, 0 to 3,600 s; `default` if the header is missing or unreadable."""
    value = str(headers.get("Retry-After", "")).strip()
    if re.fullmatch("[0-9]+", value):
        return min(float(value), MOST)
    until = parse_http_date_safe(value)
    now = parse_http_date_safe(str(headers.get("Date", "")).strip())
    if until is None or now is None:
        return default
    return min(max(float(until - now), 0.0), MOST)
