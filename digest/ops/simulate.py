"""Simulate a day: so many invented readers, this machine, its database, nobody's mail.

Everything happens in a scratch database that is made beside the configured one and
dropped in the end; the mails go into a server that throws them away.
"""

import json
import os
import resource
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from django.conf import settings
from django.db import connection, connections

from digest.deliveries import ledger
from digest.deliveries.clock import DatabaseClock
from digest.deliveries.plan import plan_edition
from digest.deliveries.send import send_due
from digest.ops import scratch, throwaway

# Two days ago: everybody's hour after the release has come.
AGE = timedelta(days=2)
PAPERS = 100


@dataclass(frozen=True, slots=True)
class Planned:
    """The scratch database, filled and planned. Seconds; bytes on disk."""

    rows: int
    fill_seconds: float
    plan_seconds: float
    ledger_bytes: int


@dataclass(frozen=True, slots=True)
class Sent:
    """What one sender process did and needed. Seconds; kilobytes at the peak."""

    accepted: int
    skipped: int
    statements: int
    seconds: float
    cpu_seconds: float
    peak_kilobytes: int


@dataclass(frozen=True, slots=True)
class Measured:
    """A whole simulated day."""

    planned: Planned
    senders: list[Sent]
    received: int

    @property
    def seconds(self) -> float:
        return max(sender.seconds for sender in self.senders)

    @property
    def mails(self) -> int:
        return sum(sender.accepted for sender in self.senders)

    @property
    def cpu_seconds(self) -> float:
        return sum(sender.cpu_seconds for sender in self.senders)


def simulate(*, readers: int, senders: int, say: Callable[[str], None]) -> Measured:
    """Run a day for so many readers. Raises subprocess.CalledProcessError, Error."""
    with ExitStack() as stack:
        tally = stack.enter_context(throwaway.running())
        mailer = f"smtp://127.0.0.1:{tally.port}"
        surroundings = stack.enter_context(scratch_surroundings()) | {"MAILER_URL": mailer}
        say(f"filling a scratch database with {readers:,} readers …")
        done = subprocess.run(
            child("--subscribers", str(readers), "--step", "fill"),
            env=surroundings,
            stdout=subprocess.PIPE,
            check=True,
        )
        planned = Planned(**json.loads(done.stdout))
        say(f"sending with {senders} sender{'' if senders == 1 else 's'} …")
        running = [
            stack.enter_context(
                subprocess.Popen(
                    child("--step", "send"), env=surroundings, stdout=subprocess.PIPE
                )
            )
            for _ in range(senders)
        ]
        sent = [Sent(**json.loads(process.communicate()[0])) for process in running]
        return Measured(planned, sent, tally.mails)


def child(*words: str) -> list[str]:
    return [sys.executable, str(settings.BASE_DIR / "manage.py"), "simulate", *words]


@contextmanager
def scratch_surroundings() -> Iterator[dict[str, str]]:
    """The environment of the children: a state folder and a database of their own."""
    settings.STATE_DIR.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=settings.STATE_DIR, prefix="simulate-") as folder:
        own = {
            **os.environ,
            "STATE_DIR": folder,
        }
        if settings.EMBEDDED:
            yield own
            return
        name = f"simulate_{secrets.token_hex(6)}"
        quoted = connection.ops.quote_name(name)
        with connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {quoted}")
        try:
            address = urlsplit(os.environ["DATABASE_URL"])
            yield own | {"DATABASE_URL": address._replace(path=f"/{name}").geturl()}
        finally:
            connections.close_all()
            with connection.cursor() as cursor:
                cursor.execute(f"DROP DATABASE {quoted} WITH (FORCE)")


def fill(readers: int) -> Planned:
    """In the child: tables, readers, an edition, and a row in the ledger for each."""
    from django.core.management import call_command

    begin = time.perf_counter()
    call_command("migrate", verbosity=0)
    now = datetime.now(UTC)
    scratch.add_readers(readers, now=now)
    edition = scratch.add_edition((now - AGE).date(), papers=PAPERS)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    filled = time.perf_counter()
    before = database_bytes()
    rows = plan_edition(edition, ledger.database_now())
    return Planned(
        rows, filled - begin, time.perf_counter() - filled, database_bytes() - before
    )


def database_bytes() -> int:
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SELECT pg_database_size(current_database())")
        else:
            cursor.execute(
                "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
            )
        return int(cursor.fetchone()[0])


def send() -> Sent:
    """In the child: one sender, until nothing is left."""
    statements = 0

    def count[**P, R](execute: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        nonlocal statements
        statements += 1
        return execute(*args, **kwargs)

    begin, before = time.perf_counter(), time.process_time()
    with connection.execute_wrapper(count):
        tally = send_due(DatabaseClock())
    return Sent(
        accepted=tally["accepted"],
        skipped=tally["skipped"],
        statements=statements,
        seconds=time.perf_counter() - begin,
        cpu_seconds=time.process_time() - before,
        peak_kilobytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
    )


def table(day: Measured) -> str:
    """What an operator wants to know, and what other numbers of readers would need."""
    mails = max(day.mails, 1)
    rate = day.mails / day.seconds
    statements = sum(sender.statements for sender in day.senders) / mails
    peak = max(sender.peak_kilobytes for sender in day.senders) / 1024
    row_bytes = day.planned.ledger_bytes / max(day.planned.rows, 1)
    lines = [
        f"readers filled in          {day.planned.fill_seconds:12,.1f} s",
        f"planned                    {day.planned.rows:12,} rows"
        f" in {day.planned.plan_seconds:,.1f} s",
        f"accepted                   {day.mails:12,} mails, {day.received:,} received",
        f"mails a second             {rate:12,.0f}",
        f"CPU of the senders         {day.cpu_seconds / mails * 1e6:12,.0f} µs a mail",
        f"greatest memory            {peak:12,.0f} MB a sender",
        f"statements                 {statements * 1000:12,.0f} in 1,000 mails",
        f"ledger                     {row_bytes:12,.0f} bytes a row",
        "",
        "what others need, by the same rate:",
        f"{'readers':>12} {'sent in':>12} {'CPU':>12} {'ledger a day':>14}",
    ]
    for readers in (1_000, 10_000, 100_000, 1_000_000, 10_000_000):
        cpu = day.cpu_seconds / mails * readers
        size = row_bytes * readers / 1e6
        lines.append(
            f"{readers:>12,} {in_words(readers / rate):>12}"
            f" {in_words(cpu):>12} {size:>11,.1f} MB"
        )
    return "\n".join(lines)


def in_words(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:,.1f} s"
    return f"{seconds / 60:,.1f} min" if seconds < 7200 else f"{seconds / 3600:,.1f} h"


def consistent(day: Measured) -> bool:
    """Whether every planned row has come to an end, and every mail arrived."""
    ended = sum(sender.accepted + sender.skipped for sender in day.senders)
    return ended == day.planned.rows and day.received == day.mails
