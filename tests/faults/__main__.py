"""The proof that a reader gets each edition at most once and that no mail is lost unseen.

`python -m tests.faults` kills a sender at every system call that leaves the process, on
SQLite and PostgreSQL, with SMTP and with providers over HTTP, and prints what it found.
It needs strace. The exit status is 0 when nothing was wrong.
"""

import argparse
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests import postgres
from tests.faults import crash_sweep, mutants, outside, soak
from tests.faults.crash_sweep import Found
from tests.faults.scene import scene

# Side by side connections die in other places than one with pipelined mails.
OUTSIDES: dict[str, dict[str, str]] = {
    "smtp": {},
    "smtp x1": {"SEND_CONNECTIONS": "1"},
    "postmark": {},
    "resend": {},
}


@dataclass(frozen=True)
class Course:
    """One sweep: on which database, with which server outside."""

    database: str  # "", or the address of an empty one on PostgreSQL
    outside: str

    @property
    def name(self) -> str:
        return f"{'PostgreSQL' if self.database else 'SQLite':10} {self.outside:8}"


def run(course: Course, folder: Path, step: int) -> Found:
    with outside.server(course.outside.split()[0], folder / "outside") as there:
        env = there.env | OUTSIDES[course.outside]
        played = scene(folder, env, database=course.database)
        played.seed(crash_sweep.READERS)
        return crash_sweep.sweep(played, there, step=step)


@contextmanager
def databases(names: list[str]) -> Iterator[list[str]]:
    """That many empty databases on a PostgreSQL server of our own."""
    import psycopg

    with postgres.server() as address:
        with psycopg.connect(address, autocommit=True) as connection:
            for name in names:
                connection.execute(f"CREATE DATABASE {name}".encode())
        yield [address.rpartition("/")[0] + f"/{name}" for name in names]


def sweeps(folder: Path, step: int) -> list[tuple[str, Found]]:
    with databases([f"sweep_{number}" for number in range(len(OUTSIDES))]) as addresses:
        courses = [Course("", name) for name in OUTSIDES]
        courses += [Course(*pair) for pair in zip(addresses, OUTSIDES, strict=True)]
        with ThreadPoolExecutor(2) as pool:
            folders = [folder / str(number) for number in range(len(courses))]
            found = pool.map(run, courses, folders, [step] * len(courses))
            return [(course.name, one) for course, one in zip(courses, found, strict=True)]


def report(found: list[tuple[str, Found]]) -> int:
    """Print a line per sweep and the sum. How many things were wrong."""
    for name, one in found:
        print(
            f"{name}  {one.points:4} kill points  {one.twice} duplicates  {one.lost} lost"
            f"  unknown {one.most_unknown} at most (bound {one.bound})"
            f"  {one.seconds:.0f} s",
            flush=True,
        )
    wrong = [f"{name.strip()}: {line}" for name, one in found for line in one.wrong]
    for line in wrong[:50]:
        print(f"WRONG  {line}")
    points = sum(one.points for _, one in found)
    print(f"\n{points} kill points, {len(wrong)} broken invariants", flush=True)
    return len(wrong)


def report_mutants(found: list[tuple[str, list[str], list[str]]]) -> int:
    """Print what became of each mutant. How many are wrong."""
    wrong = 0
    for name, without, with_it in found:
        caught = bool(with_it) and not without
        wrong += not caught
        words = "; ".join(without or with_it) or "nothing broke"
        print(f"{'caught' if caught else 'MISSED'}  {name}: {words}", flush=True)
    print(f"\n{len(found) - wrong} of {len(found)} mutants caught", flush=True)
    return wrong


def report_soak(found: soak.Soak) -> int:
    """Print what the soak saw. How many things are wrong."""
    kills = Counter(name for _, name in found.kills)
    print(f"seed {found.seed}: {sum(kills.values())} kills in {found.seconds:.0f} s")
    print(", ".join(f"{name} {count}" for name, count in sorted(kills.items())))
    print(f"{found.mails} mails arrived; ledger: {found.states}")
    print(f"unknown {found.states.get('unknown', 0)} (bound {found.bound})")
    print(f"first mail {found.recovery_of_all:.1f} s after all processes were killed")
    for line in found.wrong:
        print(f"WRONG  {line}")
    print(f"\n{len(found.wrong)} broken invariants", flush=True)
    return len(found.wrong)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--short", action="store_true", help="every sixth point only")
    parser.add_argument(
        "--mutants", action="store_true", help="check the proof by six deliberate bugs"
    )
    parser.add_argument(
        "--soak", action="store_true", help="kill all processes at random while they send"
    )
    parser.add_argument("--minutes", type=float, default=10, help="of the soak")
    parser.add_argument("--readers", type=int, default=20_000, help="of the soak")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 10_000)
    options = parser.parse_args()
    if not shutil.which("strace"):
        print("error: strace is not installed: apt-get install strace", file=sys.stderr)
        return 2
    began = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="faults-"))
    try:
        if options.mutants:
            wrong = report_mutants(mutants.check(folder))
        elif options.soak:
            how = {"minutes": options.minutes, "seed": options.seed}
            wrong = report_soak(soak.soak(folder, readers=options.readers, **how))
        else:
            wrong = report(sweeps(folder, 6 if options.short else 1))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{time.monotonic() - began:.0f} s")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
