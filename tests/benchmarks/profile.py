"""Where a sender's own time goes: one sender under cProfile, by module and by function.

The profiler makes calls dearer than they are; the shares matter, not the seconds.
"""

import cProfile
import pstats
from collections import defaultdict
from pathlib import Path

from tests.benchmarks import world
from tests.benchmarks.figures import Figure
from tests.benchmarks.machine import describe, table
from tests.benchmarks.sinks import fast_sink
from tests.environment import ROOT

MOST = 25


def run(*, readers: int = 10_000) -> list[Figure]:
    """Print shares of own time; there is nothing to promise."""
    print(describe())
    with world.world(readers), fast_sink() as sink:
        from django.conf import settings
        from django.utils import timezone

        from digest.deliveries import ledger
        from digest.deliveries.plan import plan
        from digest.deliveries.send import send_due

        settings.MAILER_URL = sink.url
        plan(timezone.now())
        profiler = cProfile.Profile()
        tally = profiler.runcall(send_due, ledger.database_now)
    entries = pstats.Stats(profiler).stats  # type: ignore[attr-defined]
    mails = tally.total()
    modules: dict[str, float] = defaultdict(float)
    functions: dict[str, tuple[float, int]] = {}
    for (file, line, name), (_, calls, own, *_) in entries.items():
        place = short(file)
        modules[place] += own
        functions[f"{place}:{line} {name}" if line else name] = (own, calls)
    whole = sum(modules.values())
    print_shares("module", {name: (own, 0) for name, own in modules.items()}, whole, mails)
    print_shares("function", functions, whole, mails)
    return []


def short(file: str) -> str:
    """digest/…, site-packages' own name, or the built-ins."""
    if file == "~":
        return "built in"
    place = file.rpartition("site-packages/")[2]
    path = Path(place)
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


def print_shares(
    kind: str, found: dict[str, tuple[float, int]], whole: float, mails: int
) -> None:
    largest = sorted(found.items(), key=lambda item: -item[1][0])[:MOST]
    rows = [
        [name, f"{own / whole:.1%}", f"{calls / mails:.2f}" if calls else ""]
        for name, (own, calls) in largest
    ]
    print("\n" + table([kind, "own time", "calls a mail"], rows))
