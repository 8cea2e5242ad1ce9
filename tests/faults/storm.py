"""Sign-ups at the web server while senders and the web server are killed without end.

On SQLite all of them write one file: it must stay whole, nobody may be told that it is
locked, and who was answered must be in it.
"""

import http.client
import os
import random
import signal
import threading
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from urllib.parse import urlencode

from tests.faults import parts
from tests.faults.scene import Scene
from tests.ports import wait_until_it_answers

RATE = 50  # sign-ups a second, by so many threads
THREADS = 10
WEB_TOO = 10  # every tenth kill is the web server's
PATIENCE = 60  # seconds until one sign-up must have been answered; a busy machine is slow


@dataclass
class Storm:
    """What was seen. `answers` counts statuses, 0 for none; `kept` are sign-ups stored."""

    seconds: float = 0
    kills: int = 0
    answers: Counter[int] = field(default_factory=Counter)
    kept: int = 0
    said: str = ""
    locked: list[str] = field(default_factory=list)

    @property
    def wrong(self) -> list[str]:
        found = [f"locked: {line}" for line in self.locked[:3]]
        if odd := set(self.answers) - {0, 303}:
            found.append(f"R17 sign-ups were answered by {sorted(odd)}")
        if self.kept < self.answers[303]:
            found.append(f"R17 {self.answers[303]} were answered, {self.kept} are stored")
        if self.said != "ok":
            found.append(f"R17 the database is damaged: {self.said}")
        return found


def storm(played: Scene, folder: Path, *, kills: int, seed: int = 1) -> Storm:
    """Until so many processes were killed; then what is left is drained."""
    found, chance, over = Storm(), random.Random(seed), threading.Event()
    web, port = parts.web(folder, played.env)
    web.start()
    try:
        wait_until_it_answers(port)
        numbers = count()
        visitors = [
            threading.Thread(target=sign_up, args=(port, numbers, over, found.answers))
            for _ in range(THREADS)
        ]
        began = time.monotonic()
        for visitor in visitors:
            visitor.start()
        # A server that is killed while it is still loading its pages answers nobody.
        while not found.answers[303] and time.monotonic() < began + PATIENCE:
            time.sleep(0.05)
        with played.sender() as sender:
            while found.kills < kills:
                found.kills += 1
                pid = sender.start("deliver", "--day", played.day)
                time.sleep(chance.uniform(0.05, 0.6))
                os.kill(pid, signal.SIGKILL)  # it stays a child until it is waited for
                sender.wait(pid)
                if found.kills % WEB_TOO == 0:
                    web.kill()
                    web.start()
                played.ledger.pass_time()
            over.set()
            for visitor in visitors:
                visitor.join()
            found.seconds = time.monotonic() - began
            played.drain(sender, runs=20)
    finally:
        over.set()
        web.kill()
    found.kept = int(played.ledger.ask("SELECT count(*) FROM subscribers_request")[0][0])
    found.said = played.ledger.integrity()
    logs = played.log.read_text() + web.log.read_text()
    found.locked = [line for line in logs.splitlines() if "locked" in line]
    return found


def sign_up(
    port: int, numbers: "count[int]", over: threading.Event, answers: Counter[int]
) -> None:
    while not over.is_set():
        due = time.monotonic() + THREADS / RATE
        answers[answered(port, f"new{next(numbers)}@example.net")] += 1
        over.wait(max(due - time.monotonic(), 0))


def answered(port: int, email: str) -> int:
    wishes = {"email": email, "topics": "graphs", "timezone": "UTC", "send_hour": "9"}
    form = urlencode(wishes | {"cadence": "daily"})
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    try:
        with closing(
            http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        ) as connection:
            connection.request("POST", "/subscribe/", form, kind)
            return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0  # the web server was killed meanwhile
