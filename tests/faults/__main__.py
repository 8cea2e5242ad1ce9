"""The proof that a reader gets each edition at most once and that no mail is lost unseen.

`python -m tests.faults` runs all of it and prints a table after each part; `python -m
tests.faults sweep mutants` runs these parts only:

  sweep    a sender killed at every system call that leaves the process, on SQLite and
           PostgreSQL, with SMTP and with providers over HTTP; a disk full at every write
  relays   the same while one relay takes over from another, or other settings name another
  senders  one and eight senders, one and 32 connections, with faults and a kill
  storm    SQLite: 50 sign-ups a second while senders and web server are killed 100 times
  broker   Redis killed, emptied, flushed, full, frozen, cut off while readers come due
  life     readers sign up, change, leave, complain, come back … in any order
  adversity  a database set back at a commit, a line that turns slow, an edition that nobody
           planned in time, damaged files, clocks that are apart
  hosts    nine hosts in network namespaces, whose links and hosts fail while people sign up; a
           standby promoted
  mutants  deliberate bugs, each in a copy of the tree, each to be caught
  soak     SQLite and PostgreSQL side by side: all processes killed at random

It needs strace; `hosts` needs root, PostgreSQL's and PgBouncer's programs, and says so. The exit status is 0 when every figure is as wanted.
"""

import argparse
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests import environment  # noqa: F401  # before Django reads its settings
from tests.faults import adversity, courses, hosts, sweeps, switch
from tests.faults.figures import Figure, table


@dataclass(frozen=True)
class Wish:
    """How much of everything. `minutes` and `readers` are the soak's."""

    short: bool
    minutes: float
    readers: int
    seed: int


def sweep(folder: Path, wish: Wish) -> list[Figure]:
    step = 12 if wish.short else 1
    return sweeps.figures(sweeps.sweeps(folder, step), step=step)


def soak(folder: Path, wish: Wish) -> list[Figure]:
    if wish.short:
        return []
    return courses.soaks(folder, readers=wish.readers, minutes=wish.minutes, seed=wish.seed)


PARTS: dict[str, Callable[[Path, Wish], list[Figure]]] = {
    "sweep": sweep,
    "relays": lambda folder, wish: switch.figures(folder, step=12 if wish.short else 6),
    "senders": lambda folder, wish: courses.senders(folder, 100 if wish.short else 1000),
    "storm": lambda folder, wish: courses.storms(folder, 10 if wish.short else 100),
    "broker": lambda folder, wish: courses.brokers(folder, 1 if wish.short else 15),
    "life": lambda folder, wish: courses.lives(5 if wish.short else 200),
    "adversity": lambda folder, wish: adversity.figures(folder, short=wish.short),
    "hosts": lambda folder, wish: hosts.figures(folder, short=wish.short),
    "mutants": lambda folder, _: courses.mutants(folder),
    "soak": soak,
}


def main() -> int:
    how = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults", description=__doc__, formatter_class=how
    )
    parser.add_argument(
        "part", nargs="*", help=f"of {', '.join(PARTS)}; all, if none is named"
    )
    parser.add_argument(
        "--short", action="store_true", help="a few points of each, no soak: ten minutes"
    )
    parser.add_argument("--minutes", type=float, default=10, help="of the soak")
    parser.add_argument("--readers", type=int, default=20_000, help="of the soak")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 10_000)
    options = parser.parse_args()
    if unknown := set(options.part) - PARTS.keys():
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    if not shutil.which("strace"):
        print("error: strace is not installed: apt-get install strace", file=sys.stderr)
        return 2
    wish = Wish(options.short, options.minutes, options.readers, options.seed)
    figures, began = [], time.monotonic()
    for name in options.part or PARTS:
        figures += played(name, wish)
    missed = [one for one in figures if not one.holds]
    if missed:
        print(f"not as wanted:\n\n{table(missed)}\n")
    minutes = (time.monotonic() - began) / 60
    print(f"{len(figures) - len(missed)} of {len(figures)} as wanted, {minutes:.1f} min")
    return 1 if missed else 0


def played(name: str, wish: Wish) -> list[Figure]:
    """One part in a folder of its own, which goes afterwards."""
    print(f"{name} …", flush=True)
    began = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="faults-"))
    try:
        found = PARTS[name](folder, wish)
    except Exception:
        # A harness that fails proves nothing, and must not lose what the others found.
        traceback.print_exc()
        found = [Figure(name, "ran to its end", "yes", "no", holds=False)]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    seconds = time.monotonic() - began
    print(f"\n{table(found)}\n\n{name}: {seconds:.0f} s\n", flush=True)
    return found


if __name__ == "__main__":
    sys.exit(main())
