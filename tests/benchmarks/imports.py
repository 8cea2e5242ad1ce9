"""A file of readers, imported by the command: `uv run python -m tests.benchmarks imports`.

Each reader has two topics and a date, and is asked by mail to confirm, which is the most that
a row can cost. On SQLite and on PostgreSQL.
"""

import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests import postgres
from tests.benchmarks.figures import Figure
from tests.benchmarks.machine import describe
from tests.environment import DEPLOYMENT, KEYS, ROOT, bare

TOPICS = ["rl", "agents", "video", "code", "reasoning", "data", "graphs", "robotics"]
ZONES = ["Europe/Berlin", "America/New_York", "Asia/Tokyo"]


def write(path: Path, readers: int) -> None:
    chance = random.Random(2026)
    with path.open("w", encoding="utf-8") as file:
        file.write("email,topics,created_at,timezone,send_hour\n")
        for number in range(readers):
            topics, day = " ".join(chance.sample(TOPICS, 2)), 1 + number % 28
            zone, hour = ZONES[number % len(ZONES)], 6 + number % 5
            address = f"reader{number}@d{number % 977}.example.org"
            file.write(f"{address},{topics},2025-01-{day:02},{zone},{hour}\n")


def seconds_to_import(path: Path, readers: int, env: dict[str, str]) -> float:
    manage = [sys.executable, "manage.py"]
    subprocess.run([*manage, "migrate", "-v0"], cwd=ROOT, env=env, check=True)
    began = time.monotonic()
    done = subprocess.run(
        [*manage, "subscribers", "import", str(path)],
        cwd=ROOT,
        env=env,
        check=True,
        capture_output=True,
        text=True,
    )
    took = time.monotonic() - began
    assert f"{readers} asked by mail to confirm" in done.stdout, done.stdout
    return took


def run(*, readers: int = 100_000) -> list[Figure]:
    """Print and return the figures."""
    print(describe())
    limit = 30 * readers / 100_000
    with tempfile.TemporaryDirectory(prefix="dp-") as name, postgres.server() as database:
        path = Path(name) / "readers.csv"
        write(path, readers)
        on = {
            "SQLite": bare() | KEYS | {"STATE_DIR": name},
            "PostgreSQL": bare()
            | DEPLOYMENT
            | KEYS
            | {"STATE_DIR": name, "DATABASE_URL": database},
        }
        return [
            Figure(
                f"{readers:,} readers imported, {vendor}, s",
                [seconds_to_import(path, readers, env)],
                at_most=limit,
            )
            for vendor, env in on.items()
        ]
