"""Faults that first users met, each as a scenario on a tree: which invariants broke.

A database set back at a commit of intents, a line that turns slow in the middle of a submit
group, an edition that nobody planned in time, damaged files in STATE_DIR, clocks apart.
"""

import json
import shutil
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests import embedded_redis
from tests.damage import DAMAGE
from tests.environment import ROOT
from tests.faults import clocks, outside
from tests.faults.clocks import Off
from tests.faults.figures import Figure, nothing_wrong
from tests.faults.invariants import broken
from tests.faults.scene import Scene, scene

ONE_BY_ONE = {"SEND_CONNECTIONS": "1", "SUBMIT_GROUP": "1"}
COUNT = 5
BEHIND = Off(beat=-60)


def set_back(tree: Path, folder: Path, *, at: int = 2, redis_url: str = "") -> list[str]:
    """A backup of when the mail `at` is under way is put back when all have gone.

    The sender is killed at the last, in the same slice. With a Redis the others are on a
    machine that has never sent.
    """
    faults = {at: "+dot-waitx1", COUNT - 1: "+dot-keep-killx1"}
    readers = [f"r{number}{faults.get(number, '')}@example.org" for number in range(COUNT)]
    with outside.smtp(folder / "outside") as there:
        env = {"REDIS_URL": redis_url} if redis_url else {}
        played = scene(folder, there.env | ONE_BY_ONE | env, tree=tree)
        played.seed(readers, "--plan")
        backup = folder / "backup.sqlite3"
        with played.sender() as sender:
            pid = sender.start("deliver", "--day", played.day)
            (there.folder / "victim").write_text(f"{pid}")
            assert clocks.until((there.folder / "waiting").exists), "no mail came"
            played.ledger.ask("VACUUM INTO ?", [str(backup)])
            (there.folder / "go").touch()
            sender.wait(pid)
            put_back(played, backup)
            if redis_url:
                (Path(played.env["STATE_DIR"]) / "high-water").unlink()
            played.ledger.pass_time()
            played.drain(sender)
        sent = there.arrived()
        wrong = [] if len(sent) == len(set(sent)) else ["I1 arrived more than once"]
        if "quarantine --since" not in played.log.read_text():
            wrong.append("R30 nobody noticed that the database was set back")
    return wrong


def set_back_elsewhere(tree: Path, folder: Path) -> list[str]:
    """The same, and only Redis remembers."""
    home = Path(tempfile.mkdtemp(prefix="redis-", dir="/tmp"))
    try:
        with embedded_redis.server(home) as (url, _):
            return set_back(tree, folder, redis_url=url)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def put_back(played: Scene, backup: Path) -> None:
    assert isinstance(played.ledger.place, Path)
    for suffix in ("-wal", "-shm"):
        Path(f"{played.ledger.place}{suffix}").unlink(missing_ok=True)
    shutil.copy(backup, played.ledger.place)


def turned_slow(tree: Path, folder: Path) -> list[str]:
    """All leave when the line turns slow in the middle of a submit group."""
    readers, connections, after = 60, 2, 10
    env = {"SEND_CONNECTIONS": f"{connections}", "SUBMIT_GROUP": f"{readers}"}
    with outside.smtp(folder / "outside") as there:
        (there.folder / "pace").write_text(f"{after} 0.3")
        played = scene(folder, there.env | env, tree=tree)
        played.seed([f"r{number}@example.org" for number in range(readers)], "--plan")
        with played.sender() as sender:
            pid = sender.start("deliver", "--day", played.day)
            assert clocks.until(lambda: len(there.arrived()) >= after), "no mail came"
            played.ledger.ask("UPDATE subscribers_subscriber SET state = 'unsubscribed'")
            left = time.time()
            sender.wait(pid)
        lines = (there.folder / "begun.jsonl").read_text().splitlines()
        late = [entry for entry in map(json.loads, lines) if entry["at"] > left + 0.2]
    if len(late) > connections:
        return [f"P3a {len(late)} hand-overs begun after the readers had left"]
    return []


def not_planned_in_time(tree: Path, folder: Path) -> list[str]:
    """Nobody planned while a newer edition came due: everybody has a row for both."""
    with outside.smtp(folder / "outside") as there:
        played = scene(folder, there.env, tree=tree)
        played.seed([f"r{number}@example.org" for number in range(COUNT)])
        played.python("-m", "tests.faults.seed", "--newer")
        played.manage("deliver")
        rows, arrived = played.ledger.rows(), there.arrived()
    wrong = [] if len(set(arrived)) == len(arrived) == COUNT else ["P1 not one mail each"]
    if len(rows) != 2 * COUNT:
        wrong.append(f"T30 {len(rows)} rows for {COUNT} readers and two editions")
    return wrong


def damaged(tree: Path, folder: Path) -> list[str]:
    """Each kind of damage to each small file, and then a delivery."""
    with outside.smtp(folder / "outside") as there:
        played = scene(folder, there.env, tree=tree)
        played.seed([f"r{number}@example.org" for number in range(COUNT)], "--plan")
        state = Path(played.env["STATE_DIR"])
        (state / "outcomes").mkdir()
        for place, damage in enumerate(DAMAGE):
            kept = (f"outcomes/{place}.json", "high-water", "sent-until")
            for path in (state / name for name in kept):
                if path.is_file() or not path.exists():
                    path.write_text("x" * 80)
                    damage(path)
        with played.sender() as sender:
            sender.run("deliver", "--day", played.day)
            played.drain(sender)
        rows, arrived = played.ledger.rows(), there.arrived()
    return broken(rows, arrived, readers=played.readers, most_unknown=0)


def clocks_apart(tree: Path, folder: Path, *, off: Off = BEHIND) -> list[str]:
    """Beat's, the worker's and the database's clock are minutes apart."""
    home = Path(tempfile.mkdtemp(prefix="clocks-", dir="/tmp"))
    try:
        with outside.smtp(folder / "outside") as there:
            env = there.env | {"REDIS_URL": f"unix://{home / 'redis.sock'}"}
            played = scene(folder, env, tree=tree)
            played.seed([f"r{number}@example.org" for number in range(COUNT)], "--plan")
            with clocks.running(home, played.env, off, tree):
                seconds = clocks.seconds_to_all(played, COUNT)
            rows, arrived = played.ledger.rows(), there.arrived()
    finally:
        shutil.rmtree(home, ignore_errors=True)
    wrong = broken(rows, arrived, readers=played.readers, most_unknown=0)
    return wrong + (["T31 no mail"] if seconds > clocks.MOST_SECONDS else [])


def figures(folder: Path, *, short: bool) -> list[Figure]:
    """Every scenario on this tree; the long way at each commit and with all clocks."""
    scenarios: dict[str, Callable[[Path, Path], list[str]]] = {
        "set back, seen elsewhere": set_back_elsewhere,
        "turned slow": turned_slow,
        "not planned in time": not_planned_in_time,
        "damaged files": damaged,
    }
    for at in [2] if short else range(COUNT - 1):
        scenarios[f"set back at mail {at}"] = partial(set_back, at=at)
    for off in [Off(beat=-60)] if short else clocks.EVERY:
        scenarios[off.name] = partial(clocks_apart, off=off)
    return [
        nothing_wrong(name, scenario(ROOT, folder / f"{number}"))
        for number, (name, scenario) in enumerate(scenarios.items())
    ]
