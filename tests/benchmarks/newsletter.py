"""django-newsletter, from its package in an environment of its own: the nearest peer."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.benchmarks.machine import Cost
from tests.benchmarks.sinks import CACHE, Sink

PACKAGE = "django-newsletter==1.2.1"
CHILD = Path(__file__).with_name("newsletter_child.py")


@contextmanager
def installed() -> Iterator[Path]:
    """The environment's Python; made once and kept for the next run."""
    folder = CACHE / "django-newsletter"
    python = folder / "bin" / "python"
    if not python.exists():
        CACHE.mkdir(exist_ok=True)
        here = str(Path(sys.executable).resolve())
        subprocess.run(["uv", "venv", "-q", "--python", here, str(folder)], check=True)
        subprocess.run(
            ["uv", "pip", "install", "-q", "-p", str(python), PACKAGE, "sorl-thumbnail"],
            check=True,
        )
    yield python


def submit(python: Path, sink: Sink, *, mails: int, size: int) -> Cost:
    """One submission to `mails` subscriptions; making them is not counted."""
    command = [str(python), "-P", str(CHILD), str(sink.port), str(mails), str(size)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    wall, cpu = map(float, done.stdout.split()[-2:])
    return Cost(mails, wall, cpu)
