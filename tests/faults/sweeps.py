"""All courses of the crash sweep: each database with each kind of server outside."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests import postgres
from tests.faults import crash_sweep, outside
from tests.faults.crash_sweep import DISK, KILLED, Found
from tests.faults.figures import Figure, at_least, at_most, nothing_wrong
from tests.faults.scene import scene

# Side by side connections die in other places than one with pipelined mails.
OUTSIDES: dict[str, dict[str, str]] = {
    "smtp": {},
    "smtp x1": {"SEND_CONNECTIONS": "1"},
    "postmark": {},
    "postmark batch": {"PROVIDER_BATCH": "true"},
    "resend": {},
    "brevo": {},
}
FEWEST_POINTS = 200


@dataclass(frozen=True)
class Course:
    """One sweep: on which database, with which server outside, with which faults."""

    database: str  # "", or the address of an empty one on PostgreSQL
    outside: str
    disk: bool = False

    @property
    def name(self) -> str:
        what = " bad disk" if self.disk else ""
        return f"{'PostgreSQL' if self.database else 'SQLite'} {self.outside}{what}"


def run(course: Course, folder: Path, step: int) -> Found:
    with outside.server(course.outside.split()[0], folder / "outside") as there:
        env = there.env | OUTSIDES[course.outside]
        played = scene(folder, env, database=course.database)
        played.seed(crash_sweep.READERS)
        faults = DISK if course.disk else KILLED
        found = crash_sweep.sweep(played, there, step=step, faults=faults)
    print(f"  {course.name}: {found.points} points, {found.seconds:.0f} s", flush=True)
    return found


@contextmanager
def databases(names: list[str]) -> Iterator[list[str]]:
    """That many empty databases on a PostgreSQL server of our own."""
    import psycopg

    with postgres.server() as address:
        with psycopg.connect(address, autocommit=True) as connection:
            for name in names:
                connection.execute(f"CREATE DATABASE {name}".encode())
        yield [address.rpartition("/")[0] + f"/{name}" for name in names]


def sweeps(folder: Path, step: int) -> list[tuple[Course, Found]]:
    """Two at a time: a killed run mostly waits."""
    names = [f"sweep_{number}" for number in range(len(OUTSIDES) + 1)]
    with databases(names) as addresses:
        courses = [Course("", name) for name in OUTSIDES]
        courses += [Course(*pair) for pair in zip(addresses[:-1], OUTSIDES, strict=True)]
        courses += [Course("", "smtp", disk=True), Course(addresses[-1], "smtp", disk=True)]
        with ThreadPoolExecutor(2) as pool:
            folders = [folder / str(number) for number in range(len(courses))]
            found = pool.map(run, courses, folders, [step] * len(courses))
            return list(zip(courses, found, strict=True))


def figures(found: list[tuple[Course, Found]], *, step: int) -> list[Figure]:
    made = []
    for kind in (False, True):
        ones = [(course, one) for course, one in found if course.disk is kind]
        part = "bad disk" if kind else "crash sweep"
        points = sum(one.points for _, one in ones)
        fewest = 20 if kind else FEWEST_POINTS
        made += [
            at_least(part, "points", points, fewest // step),
            at_most(part, "duplicates", sum(one.twice for _, one in ones), 0),
            at_most(part, "lost", sum(one.lost for _, one in ones), 0),
        ]
        for course, one in ones:
            name = f"unknown, {course.name}"
            made.append(at_most(part, name, one.most_unknown, one.bound))
        wrong = [f"{course.name}: {line}" for course, one in ones for line in one.wrong]
        made.append(nothing_wrong(part, wrong))
    return made
