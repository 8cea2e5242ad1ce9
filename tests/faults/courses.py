"""The long parts of the proof, each as the figures that it must show."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.environment import ROOT
from tests.faults import broker, crowd, outside
from tests.faults import mutants as bugs
from tests.faults.figures import Figure, at_least, at_most, nothing_wrong
from tests.faults.invariants import broken
from tests.faults.scene import scene
from tests.faults.soak import LONGEST_RECOVERY, Soak, soak
from tests.faults.storm import RATE, storm
from tests.faults.sweeps import databases

GROUP = 10


def senders(folder: Path, count: int) -> list[Figure]:
    """R16 on both databases: side by side senders and connections, one of them killed."""
    made = []
    crowds = [(1, 1), (1, 32), (8, 1), (8, 32)]
    with databases([f"crowd_{place}" for place in range(len(crowds))]) as addresses:
        for place, (many, connections) in enumerate(crowds):
            for database in ("", addresses[place]):
                name = "PostgreSQL" if database else "SQLite"
                where = folder / f"{name}-{place}"
                made += one_crowd(where, database, count, senders=many, each=connections)
    return made


def one_crowd(
    folder: Path, database: str, count: int, *, senders: int, each: int
) -> list[Figure]:
    with outside.smtp(folder / "outside") as there:
        env = {"SEND_CONNECTIONS": str(each), "SUBMIT_GROUP": str(crowd.GROUP)}
        played = scene(folder / "scene", there.env | env, database=database)
        played.seed(crowd.readers(count), "--plan")
        crowd.send(played, there, senders=senders)
        rows, arrived = played.ledger.rows(), there.arrived()
    most = crowd.bound(count, connections=each, kills=1)
    wrong = broken(rows, arrived, readers=played.readers, most_unknown=most)
    name = "PostgreSQL" if database else "SQLite"
    part = f"{senders} senders x {each}, {name}"
    return [nothing_wrong(part, wrong)]


def storms(folder: Path, kills: int) -> list[Figure]:
    with outside.smtp(folder / "outside") as there:
        readers = [f"r{number}@example.org" for number in range(4000)]
        played = scene(folder / "scene", there.env | {"SUBMIT_GROUP": str(GROUP)})
        played.seed(readers, "--plan")
        found = storm(played, folder, kills=kills)
        most = 2 * GROUP * kills
        rows, arrived = played.ledger.rows(), there.arrived()
    wrong = found.wrong + broken(rows, arrived, readers=readers, most_unknown=most)
    answered, part = found.answers[303], "sign-up storm"
    rate = answered / found.seconds
    return [
        at_least(part, "kills, file whole after", found.kills, kills),
        at_least(part, f"sign-ups of {RATE}/s answered", rate, RATE / 2, unit="/s"),
        at_least(part, "sign-ups stored", found.kept, answered),
        at_most(part, "'database is locked' in logs", len(found.locked), 0),
        nothing_wrong(part, wrong),
    ]


def brokers(folder: Path, seconds: float) -> list[Figure]:
    home = Path(tempfile.mkdtemp(prefix="broker-", dir="/tmp"))
    readers = [f"r{number}@example.org" for number in range(700)]
    part = "broker"
    try:
        with outside.smtp(folder / "outside") as there:
            env = there.env | {"REDIS_URL": f"unix://{home / 'redis.sock'}"}
            played = scene(folder / "scene", env)
            played.seed(readers, "--plan")
            broker.hold(played)
            with broker.running(home, played.env, senders=1) as one:
                names = list(one.faults())
                caught = list(broker.suffer(played, one, names, seconds=seconds))
            rows, arrived = played.ledger.rows(), there.arrived()
    finally:
        shutil.rmtree(home, ignore_errors=True)
    made = [
        at_most(
            part, f"caught up, {one.fault}", one.seconds, broker.MOST_SECONDS, unit=" s"
        )
        for one in caught
    ]
    wrong = broken(rows, arrived, readers=readers, most_unknown=0)
    return [*made, nothing_wrong(part, wrong)]


def lives(examples: int) -> list[Figure]:
    """The state machine, by pytest, with more examples than the suite has."""
    with databases(["lives"]) as (address,):
        return [
            lived(examples, name, database)
            for name, database in (("SQLite", ""), ("PostgreSQL", address))
        ]


def lived(examples: int, name: str, database: str) -> Figure:
    ours = {"DATABASE_URL": database, "LIVES": str(examples)}
    env = {key: value for key, value in os.environ.items() if key != "TESTS_FOLDER"} | ours
    command = [sys.executable, "-m", "pytest", "-q", "-n0", "tests/faults/test_life.py"]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    wrong = []
    if done.returncode:
        print((done.stdout + done.stderr)[-4000:], flush=True)
        wrong = [line for line in done.stdout.splitlines() if line.startswith("E ")]
        wrong = wrong or [f"pytest ended with {done.returncode}"]
    return nothing_wrong(f"{examples} lives, {name}", wrong)


def mutants(folder: Path) -> list[Figure]:
    made = []
    for name, without, with_it in bugs.check(folder):
        caught = bool(with_it) and not without
        words = "; ".join(without or with_it) or "nothing broke"
        made.append(Figure("mutants", name, "caught", words[:100], caught))
    count = sum(one.holds for one in made)
    return [*made, at_least("mutants", "caught", count, len(bugs.MUTANTS))]


def soaks(folder: Path, *, readers: int, minutes: float, seed: int) -> list[Figure]:
    """Both databases side by side."""
    names = ["SQLite", "PostgreSQL"]
    with ThreadPoolExecutor(len(names)) as pool:
        running = [
            pool.submit(
                soak,
                folder / name,
                database=name,
                readers=readers,
                minutes=minutes,
                seed=seed,
            )
            for name in names
        ]
        return [figure for one in running for figure in soak_figures(one.result(), minutes)]


def soak_figures(found: Soak, minutes: float) -> list[Figure]:
    part = f"soak, {found.database}"
    kills = Counter(name for _, name in found.kills)
    words = ", ".join(f"{name} {count}" for name, count in sorted(kills.items()))
    print(f"  {part}: seed {found.seed}; killed: {words}; {found.states}", flush=True)
    return [
        at_least(part, "duration", found.seconds / 60, minutes, unit=" min"),
        at_least(part, "kills", len(found.kills), 3 * minutes),
        at_least(part, f"mails of {found.readers}", found.mails, 0.9 * found.readers),
        at_most(part, "duplicates", found.twice, 0),
        at_most(part, "lost", found.lost, 0),
        at_most(part, "unknown", found.unknown, found.bound),
        at_most(
            part,
            "first mail after all were killed",
            found.recovery_of_all,
            LONGEST_RECOVERY,
            unit=" s",
        ),
        nothing_wrong(part, found.wrong),
    ]
