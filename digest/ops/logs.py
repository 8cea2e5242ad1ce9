"""What our log lines must not hold: paths of pages, as paths hold tokens."""

import logging


class RouteInsteadOfPath(logging.Filter):
    """Django's line on a failed request, with the route's pattern for the path."""

    def filter(self, record: logging.LogRecord) -> bool:
        if getattr(record, "status_code", 500) < 500:
            return False
        match = getattr(getattr(record, "request", None), "resolver_match", None)
        route = getattr(match, "route", "?")
        record.msg, record.args = "server error at /%s", (route,)
        return route != "readyz"  # its 503 is an answer, asked for every few seconds
