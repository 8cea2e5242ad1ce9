"""Shall this process stop? Asked between submit groups, so that a stop takes seconds.

The mark is one byte of memory that a worker shares with the children of its pool, as it
was made before they were forked: Celery tells the parent only that it shall stop.
"""

import mmap

MARK = mmap.mmap(-1, 1)


def ask() -> None:
    """Finish what is in flight, claim nothing new. Safe in a signal handler."""
    MARK[0] = 1


def asked() -> bool:
    return MARK[0] == 1
