"""Relays change in mid-edition, and the sender is killed at any system call of it.

Either the relay falls ill and the next one takes over, or the settings name another. What
all relays kept is compared with the ledger: nothing went by two of them.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults import crash_sweep, outside
from tests.faults.crash_sweep import READERS, Found
from tests.faults.figures import Figure, at_least, at_most, nothing_wrong
from tests.faults.outside import Outside, lines
from tests.faults.scene import Scene, scene
from tests.shell import Shell, opened

ONE_BY_ONE = {"SEND_CONNECTIONS": "1", "SUBMIT_GROUP": "1"}
REFUSES = "mail:530 5.7.0 who are you"
# By how it begins: whether the first relay refuses us, and who is named afterwards.
COURSES = {
    "another relay is named": (False, "MAILER_URL={second}"),
    "they change places": (False, "MAILER_URL={second} RELAYS=first={first}"),
    "the next one takes over": (True, ""),
    "the ill one is taken out": (True, "MAILER_URL={second} RELAYS="),
}
FEWEST_POINTS = 100


@dataclass(frozen=True)
class Several(Outside):
    """Some servers as one: what any of them kept, in order."""

    each: list[Outside] = field(default_factory=list)

    def arrived(self) -> list[str]:
        kept = [line for one in self.each for line in lines(one.folder / "journal.jsonl")]
        return [line["rcpt"][0] for line in sorted(kept, key=lambda line: line["at"])]


@dataclass
class Switched(Scene):
    """A scene whose runs after the struck one have other settings."""

    after: Shell | None = None

    def drain(self, sender: Shell, *, runs: int = 9) -> None:
        after = self.after or sender
        after.run("relay", "resume")  # or the new main one would rest for the old one
        super().drain(after, runs=runs)


@contextmanager
def servers(folder: Path) -> Iterator[Several]:
    """Two relays; the settings name both."""
    with ExitStack() as stack:
        each = [stack.enter_context(outside.smtp(folder / name)) for name in ("a", "b")]
        first, second = (one.env["MAILER_URL"] for one in each)
        env = {"MAILER_URL": first, "RELAYS": f"second={second}"} | ONE_BY_ONE
        yield Several("relays", folder, env, each)


def sweep(played: Scene, there: Several, course: str, *, step: int = 1) -> Found:
    """Every point of a course, or every step-th."""
    is_ill, named = COURSES[course]
    first, second = (one.env["MAILER_URL"] for one in there.each)
    words = named.format(first=first, second=second).split()
    env = played.env | dict(word.split("=", 1) for word in words)
    illness = there.each[0].folder / "illness"
    illness.unlink(missing_ok=True)
    if is_ill:
        illness.write_text(REFUSES)
    with opened(played.tree, env, played.log) as after:
        return crash_sweep.sweep(Switched(**vars(played), after=after), there, step=step)


def figures(folder: Path, *, step: int) -> list[Figure]:
    made, wrong, points = [], [], 0
    for number, course in enumerate(COURSES):
        with servers(folder / f"{number}") as there:
            played = scene(folder / f"{number}" / "scene", there.env)
            played.seed(READERS)
            found = sweep(played, there, course, step=step)
        print(f"  {course}: {found.points} points, {found.seconds:.0f} s", flush=True)
        points += found.points
        wrong += [f"{course}: {line}" for line in found.wrong]
        made.append(at_most("relays", f"doubles, {course}", found.twice, 0))
        made.append(at_most("relays", f"lost, {course}", found.lost, 0))
        made.append(at_most("relays", f"unknown, {course}", found.most_unknown, 1))
    made.insert(0, at_least("relays", "points", points, FEWEST_POINTS // step))
    return [*made, nothing_wrong("relays", wrong)]
