"""Files of readers, imported by the command: `uv run python -m tests.benchmarks imports`.

On SQLite and on PostgreSQL, each into an empty database: a list of addresses with two topics
and a date, who are asked by mail to confirm; and an export of ours, where nearly nobody wants
what another wants. The export also by the task that takes in what was uploaded in the browser:
it is tried, and then imported.
"""

import csv
import hashlib
import hmac
import random
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests import postgres
from tests.benchmarks.figures import Figure
from tests.benchmarks.machine import describe
from tests.environment import DEPLOYMENT, KEYS, ROOT, bare

type Row = dict[str, object]
ZONES = ["Europe/Berlin", "America/New_York", "Asia/Tokyo"]
WORDS = ["attention", "agents", "diffusion", "retrieval", "reward", "sparse", "video"]
UPLOADED = """
import sys, time
from pathlib import Path
import django
django.setup()
from django.utils import timezone
from subscribers import import_jobs
from subscribers.models import Import
now = timezone.now()
content = Path(sys.argv[1]).read_bytes()
one = Import.objects.create(
    name="export.csv", content=content, who="ann", created_at=now, changed_at=now
)
for before, state in [("new", "checking"), ("checked", "importing")]:
    one.refresh_from_db()
    assert import_jobs.begin(one, state, before=before, now=timezone.now())
    began, place = time.monotonic(), None
    while place := import_jobs.work(seconds=5, place=place):
        pass
    print(time.monotonic() - began)
one.refresh_from_db()
print(one.tally)
"""


def topics() -> list[str]:
    text = (ROOT / "digest" / "papers" / "topics.toml").read_text(encoding="utf-8")
    return [
        topic["slug"] for group in tomllib.loads(text)["group"] for topic in group["topic"]
    ]


def listed(readers: int) -> Iterator[Row]:
    """Two topics, a date and an hour for each address."""
    chance, slugs = random.Random(2026), topics()[:8]
    for number in range(readers):
        yield {
            "email": f"reader{number}@d{number % 977}.example.org",
            "topics": " ".join(chance.sample(slugs, 2)),
            "created_at": f"2025-01-{1 + number % 28:02}",
            "timezone": ZONES[number % len(ZONES)],
            "send_hour": 6 + number % 5,
        }


def exported(readers: int) -> Iterator[Row]:
    """What `subscribers export` writes: one in ten has left, one in fifty bounced."""
    chance, slugs = random.Random(2026), topics()
    key = KEYS["ADDRESS_KEY"].encode()
    fingerprint = hmac.digest(key, b"fingerprint of the key", hashlib.sha256).hex()[:16]
    for number, row in enumerate(listed(readers)):
        at = f"2025-03-{1 + number % 28:02}T{number % 24:02}:{number % 60:02}:07.12{number % 9}+00:00"
        left = number % 10 == 0
        interest = f"how {' '.join(chance.sample(WORDS, 3))} help in {number}"
        yield row | {
            "state": "unsubscribed" if left else "active",
            "topics": " ".join(chance.sample(slugs, 3)),
            "interests": interest if number % 3 == 0 else "",
            "keywords": "\n".join(chance.sample(WORDS, 2)) if number % 4 == 0 else "",
            "watched_authors": f"Ann Author {number % 5000}" if number % 5 == 0 else "",
            "most_papers": 3 + number % 18,
            "cadence": ["daily", "weekdays", "weekly"][number % 3],
            "weekday": number % 7,
            "language": ["en", "de"][number % 2],
            "length": ["titles", "short", "abstracts"][number % 3],
            "trending": number % 3,
            "wants_missed": number % 2 == 0,
            "created_at": at,
            "confirmed_at": at,
            "unsubscribed_at": at if left else "",
            "suppressed": "left" if left else "bounced" if number % 50 == 1 else "",
            "suppressed_at": at if left or number % 50 == 1 else "",
            "address_key": fingerprint,
        }


def write(path: Path, rows: Iterator[Row]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        first = next(rows)
        out = csv.DictWriter(file, list(first))
        out.writeheader()
        out.writerow(first)
        out.writerows(rows)


def told(arguments: list[str], env: dict[str, str]) -> str:
    """Return what a process of its own has printed."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=env | {"DJANGO_SETTINGS_MODULE": "digest.settings"},
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def by_command(path: Path, readers: int, env: dict[str, str]) -> float:
    """Return the seconds, from the start of the process to its end."""
    began = time.monotonic()
    words = told(["manage.py", "subscribers", "import", str(path)], env)
    took = time.monotonic() - began
    assert sum(int(part.split()[0]) for part in words.split(", ")) == readers, words
    assert "refused" not in words, words
    return took


def uploaded(path: Path, readers: int, env: dict[str, str]) -> tuple[float, float]:
    """Return the seconds to try a file and to import it, by the worker's task."""
    trying, importing, words = told(["-c", UPLOADED, str(path)], env).splitlines()
    assert "refused" not in words, words
    return float(trying), float(importing)


def run(*, readers: int = 100_000) -> list[Figure]:
    """Print and return the figures."""
    print(describe())
    limit = 2 + 28 * readers / 100_000  # the process has to start
    found = []
    with tempfile.TemporaryDirectory(prefix="dp-") as name:
        files = {"a list": Path(name) / "list.csv", "an export": Path(name) / "export.csv"}
        write(files["a list"], listed(readers))
        write(files["an export"], exported(readers))
        for vendor in ("SQLite", "PostgreSQL"):
            for kind, path in files.items():
                with database(vendor) as env:
                    took = by_command(path, readers, env)
                what = f"{readers:,} readers of {kind} imported, {vendor}, s"
                found.append(Figure(what, [took], at_most=limit))
            with database(vendor) as env:
                seconds = uploaded(files["an export"], readers, env)
            for doing, took in zip(("tried", "imported"), seconds, strict=True):
                what = f"{readers:,} readers of an uploaded export {doing}, {vendor}, s"
                found.append(Figure(what, [took]))
    return found


@contextmanager
def database(vendor: str) -> Iterator[dict[str, str]]:
    """Yield the environment of a process with an empty database."""
    with tempfile.TemporaryDirectory(prefix="dp-") as folder, ExitStack() as servers:
        env = bare() | KEYS | {"STATE_DIR": folder}
        if vendor == "PostgreSQL":
            url = servers.enter_context(postgres.server(durable=True))
            env |= DEPLOYMENT | {"DATABASE_URL": url}
        told(["manage.py", "migrate", "-v0"], env)
        yield env
