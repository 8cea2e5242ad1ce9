"""Races: threads that begin at the same moment, each with a database connection."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from django.db import connections


def at_once[T](*works: Callable[[], T]) -> list[T]:
    """What each returns, in their order. Raises the first one's error, after all ended."""
    start = threading.Barrier(len(works))

    def run(work: Callable[[], T]) -> T:
        try:
            start.wait(10)
            return work()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(works)) as threads:
        return list(threads.map(run, works))
