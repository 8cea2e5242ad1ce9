"""Sign-ups at a rate that is held: `python -m tests.benchmarks inbox --rate 500 --minutes 10`.

gunicorn as in production, PostgreSQL at its defaults, a worker and a mail server beside it on
the same machine. Each visitor comes from one of 65,536 networks, at a fixed instant, whoever
still waits for an answer, and shows a proof of work. They come over kept connections, as from
a proxy. Afterwards every sign-up that was answered with yes is looked for: it waits in the
inbox, or its mail to confirm is owed or sent.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlencode

from tests.benchmarks import world
from tests.benchmarks.figures import Figure
from tests.benchmarks.machine import cpu_seconds, describe, middle, table
from tests.benchmarks.sinks import fast_sink
from tests.benchmarks.web import web_server
from tests.environment import ROOT

PROMISE = 100.0  # milliseconds, of the 99th percentile
DOMAINS = 1000  # of the visitors' addresses
PATIENCE = 30.0  # seconds until a visitor goes away
IDLE = 1.0  # seconds; the web server closes kept connections after two
BEGIN = 5.0  # seconds that are not counted: templates are compiled, connections opened


def run(*, rate: int = 100, minutes: float = 0.5) -> list[Figure]:
    """Print what it cost and what became of each; return the figures."""
    print(describe())
    with world.world(0) as here, fast_sink() as sink:
        os.environ["BEHIND_PROXY"] = "true"
        answers = here.folder / "answers.json"
        with (
            web_server() as (port, web),
            world.celery_workers(sink.url, processes=1) as worker,
        ):
            ask(port, 20, BEGIN, answers, first=10_000_000)
            roots = {"web": web, "worker": worker, "PostgreSQL": here.database_pid or 0}
            before = {name: cpu_seconds(pid) for name, pid in roots.items()}
            visitors = ask(port, rate, minutes * 60, answers)
            cpu = {name: cpu_seconds(pid) - before[name] for name, pid in roots.items()}
        found = json.loads(answers.read_text())
        became = fates(set(found["yes"]))
    count = len(found["took"])
    took = sorted(found["took"])
    late = took[int(count * 0.99)]
    print(
        f"{count:,} sign-ups in {found['seconds']:.0f} s: half within {middle(took):.1f} ms, "
        f"99% within {late:.1f}, all within {took[-1]:,.0f}\n"
    )
    cpu["visitors"] = visitors
    seconds = found["seconds"]
    rows = [
        [name, f"{1000 * used / count:.2f}", f"{100 * used / seconds:.0f}%"]
        for name, used in cpu.items()
    ]
    print(table(["CPU", "ms a sign-up", "of a core"], rows) + "\n")
    print(
        table(
            ["what became of them", "sign-ups"], [[k, f"{n:,}"] for k, n in became.items()]
        )
    )
    print(describe(), flush=True)
    name = f"sign-ups at {rate} a second for {minutes:g} minutes"
    return [
        Figure(f"{name}, p99 ms", [late], at_most=PROMISE),
        Figure(f"{name}, answered otherwise", [count - len(found["yes"])], at_most=0),
        Figure(f"{name}, lost", [became["lost"]], at_most=0),
    ]


def fates(names: set[int]) -> Counter[str]:
    """What became of each sign-up that was answered with yes."""
    from subscribers.models import Notice, Request

    waiting = set(
        map(number, Request.objects.filter(handled_at=None).values_list("email", flat=True))
    )
    owed = Notice.objects.filter(
        kind=Notice.Kind.CONFIRM, state__in=["pending", "accepted"]
    )
    states = {
        number(email): state
        for email, state in owed.values_list("subscriber__email", "state")
    }
    found = Counter[str]({"lost": 0})
    for name in names:
        in_inbox = "waits in the inbox" if name in waiting else "lost"
        found[f"mail {states[name]}" if name in states else in_inbox] += 1
    return found


def number(email: str) -> int:
    return int(email.partition("@")[0].removeprefix("visitor"))


# -- the visitors, a process of their own ------------------------------------------------


def ask(port: int, rate: int, seconds: float, answers: Path, first: int = 0) -> float:
    """Send them; return their CPU seconds."""
    before = os.times()
    command = [
        sys.executable,
        "-m",
        __name__,
        str(port),
        str(rate),
        str(seconds),
        str(first),
    ]
    subprocess.run([*command, str(answers)], cwd=ROOT, check=True)
    after = os.times()
    return (
        after.children_user
        + after.children_system
        - before.children_user
        - before.children_system
    )


class Visitors:
    """Everybody who signs up, over the connections that a proxy would keep."""

    def __init__(self, port: int) -> None:
        import django

        django.setup()
        from subscribers import rate_limits

        self.port, self.key = port, rate_limits.proof_key()
        self.kept: list[tuple[float, asyncio.StreamReader, asyncio.StreamWriter]] = []
        self.took: list[float] = []
        self.yes: list[int] = []

    async def come(self, rate: int, seconds: float, first: int) -> float:
        begin = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for place in range(int(rate * seconds)):
                due = begin + place / rate
                await asyncio.sleep(max(due - time.perf_counter(), 0))
                group.create_task(self.visit(first + place, due))
        return time.perf_counter() - begin

    async def visit(self, place: int, due: float) -> None:
        status = b""
        with suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
            async with asyncio.timeout(PATIENCE):
                status = await self.post(place)
        self.took.append((time.perf_counter() - due) * 1000)
        if status == b"303":
            self.yes.append(place)

    async def post(self, place: int) -> bytes:
        body = self.form(place)
        head = (
            f"POST /subscribe/ HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n"
            f"X-Forwarded-For: 20.{place >> 8 & 255}.{place & 255}.7\r\n"
            "Content-Type: application/x-www-form-urlencoded\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        reader, writer = await self.connection()
        writer.write(head.encode() + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        length = answer.lower().partition(b"content-length:")[2].split(b"\r", 1)[0]
        await reader.readexactly(int(length or 0))
        self.kept.append((time.perf_counter(), reader, writer))
        return answer[9:12]

    async def connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        while self.kept:
            since, reader, writer = self.kept.pop()
            if time.perf_counter() - since < IDLE and not reader.at_eof():
                return reader, writer
            writer.close()
        return await asyncio.open_connection("127.0.0.1", self.port)

    def form(self, place: int) -> bytes:
        email = f"visitor{place}@list{place % DOMAINS}.example.com"
        filled = {"email": email, "topics": "reasoning", "proof": proof(self.key)}
        return urlencode(filled).encode()


def proof(key: str) -> str:
    """Return a proof of work for a form; who knows the key need not guess for it."""
    from altcha import v1 as altcha

    made = altcha.create_challenge(
        altcha.ChallengeOptions(
            algorithm="SHA-256",
            max_number=1,
            number=1,
            hmac_key=key,
            expires=datetime.now(UTC) + timedelta(minutes=10),
            params={"form": "sign-up"},
        )
    )
    shown = altcha.Payload(made.algorithm, made.challenge, 1, made.salt, made.signature)
    return shown.to_base64()


def main(port: str, rate: str, seconds: str, first: str, answers: str) -> None:
    visitors = Visitors(int(port))
    took = asyncio.run(visitors.come(int(rate), float(seconds), int(first)))
    found = {"took": visitors.took, "yes": visitors.yes, "seconds": took}
    Path(answers).write_text(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
