"""Where a sender's CPU time goes: samples of its stack, by our functions and by modules.

A timer of the process' CPU time looks at the stack some hundred times a second, which
costs nothing that matters; all that a sender does happens in one thread.
"""

import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from tests.benchmarks import world
from tests.benchmarks.figures import Figure
from tests.benchmarks.machine import describe, table
from tests.benchmarks.sinks import fast_sink
from tests.environment import ROOT

MOST = 25
EACH = 0.001  # seconds; the kernel's clock may make it four times as much
OURS = ("digest/", "subscribers/")


def run(*, readers: int = 20_000) -> list[Figure]:
    """Print shares of the sender's CPU time; there is nothing to promise."""
    print(describe())
    inner, innermost = Counter[str](), Counter[str]()
    with world.world(readers) as here, fast_sink() as sink:
        from django.conf import settings
        from django.utils import timezone

        from digest.deliveries.ledger import DatabaseClock
        from digest.deliveries.plan import plan_edition
        from digest.deliveries.send import send_due
        from digest.ranking.loaded import load

        settings.MAILER_URL = sink.url
        plan_edition(here.edition, timezone.now())
        load.cache_clear()
        with sampled(inner, innermost):
            send_due(DatabaseClock())
    print_shares("our function, with what it calls elsewhere", inner)
    print_shares("module", innermost)
    return []


def functions(frame: FrameType | None) -> Iterator[str]:
    """Where the frame stands and where it was called from, inside out."""
    while frame is not None:
        yield f"{place(frame)} {frame.f_code.co_name}"
        frame = frame.f_back


def is_ours(function: str) -> bool:
    return function.startswith(OURS)


@contextmanager
def sampled(inner: Counter[str], innermost: Counter[str]) -> Iterator[None]:
    """Count, while it lasts, the innermost function of ours and the innermost module."""

    def look(number: int, frame: FrameType | None) -> None:
        if frame is None:
            return
        innermost[place(frame)] += 1
        inner[next(filter(is_ours, functions(frame)), "elsewhere")] += 1

    signal.signal(signal.SIGPROF, look)
    signal.setitimer(signal.ITIMER_PROF, EACH, EACH)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def place(frame: FrameType) -> str:
    """From the tree, from the package or from the standard library on."""
    file = frame.f_code.co_filename
    if "site-packages/" in file:
        return file.rpartition("site-packages/")[2]
    path = Path(file)
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else path.name


def print_shares(kind: str, found: Counter[str]) -> None:
    rows = [
        [name, f"{count / found.total():.1%}"] for name, count in found.most_common(MOST)
    ]
    print("\n" + table([kind, f"of {found.total():,} samples"], rows))
