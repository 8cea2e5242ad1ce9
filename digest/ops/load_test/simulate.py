"""Simulate a day of invented readers on this machine and its database server.

It uses a scratch database, created beside the configured one and dropped in the end; the
mails go to a server that discards them.
"""

import json
import resource
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db import ProgrammingError, connection, connections
from django.db.backends.utils import CursorWrapper

from digest.deliveries import ledger
from digest.deliveries.ledger import DatabaseClock
from digest.deliveries.plan import plan_edition
from digest.deliveries.send import send_due
from digest.ops.load_test import fake_data, null_smtp
from digest.variables import for_child

# Two days ago, so that all readers are due.
AGE = timedelta(days=2)
PAPERS = 100


class NoRight(Exception):
    """The role of DATABASE_URL may not create a database; the message says what to grant."""


@dataclass(frozen=True, slots=True)
class Planned:
    """Measurements of filling and planning: seconds, and bytes on disk."""

    rows: int
    fill_seconds: float
    plan_seconds: float
    ledger_bytes: int


@dataclass(frozen=True, slots=True)
class Sent:
    """Measurements of one sender process: seconds, and peak kilobytes."""

    accepted: int
    skipped: int
    statements: int
    seconds: float
    cpu_seconds: float
    peak_kilobytes: int


@dataclass(frozen=True, slots=True)
class Measured:
    """Measurements of a whole simulated day."""

    planned: Planned
    senders: list[Sent]
    received: int
    received_bytes: int

    @property
    def seconds(self) -> float:
        return max(sender.seconds for sender in self.senders)

    @property
    def mails(self) -> int:
        return sum(sender.accepted for sender in self.senders)

    @property
    def row_bytes(self) -> float:
        """The bytes of a planned row of the ledger."""
        return self.planned.ledger_bytes / max(self.planned.rows, 1)

    @property
    def cpu_seconds(self) -> float:
        return sum(sender.cpu_seconds for sender in self.senders)


def simulate(*, readers: int, senders: int, say: Callable[[str], None]) -> Measured:
    """Run a day for `readers` readers. Raises subprocess.CalledProcessError, Error."""
    with ExitStack() as stack:
        tally = stack.enter_context(null_smtp.running())
        mailer = f"smtp://127.0.0.1:{tally.port}"
        surroundings = stack.enter_context(scratch_surroundings(mailer))
        fill = stack.enter_context(
            child("--subscribers", str(readers), "--step", "fill", env=surroundings)
        )
        say(f"filling a scratch database with {readers:,} readers …")
        planned = Planned(**found(fill))
        say(f"sending with {senders} sender{'' if senders == 1 else 's'} …")
        running = [
            stack.enter_context(child("--step", "send", env=surroundings))
            for _ in range(senders)
        ]
        sent = [Sent(**found(process)) for process in running]
        return Measured(planned, sent, tally.mails, tally.size)


@contextmanager
def child(*words: str, env: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a step of this command as a child, in its own session: Ctrl-C reaches only us."""
    command = [sys.executable, str(settings.BASE_DIR / "manage.py"), "simulate", *words]
    with subprocess.Popen(
        command, env=env, stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def found(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    """Return the result that a step printed. Raises subprocess.CalledProcessError."""
    printed = None
    # In turns: a Ctrl-C that comes just before a read would be seen only at the read's end.
    while printed is None:
        with suppress(subprocess.TimeoutExpired):
            printed, _ = process.communicate(timeout=1)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, process.args)
    return dict(json.loads(printed))


ELSEWHERE = ("RELAYS", "RELAY_ROUTES", "RELAY_RATES", "REPLICA_DATABASE_URL")


@contextmanager
def scratch_surroundings(mailer: str) -> Iterator[dict[str, str]]:
    """Create a state folder and a database; yield the environment of the children."""
    settings.STATE_DIR.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=settings.STATE_DIR, prefix="simulate-") as folder:
        # All mail goes to the sink: no relay may take an invented reader's.
        own = {"STATE_DIR": folder, "MAILER_URL": mailer, **dict.fromkeys(ELSEWHERE, "")}
        if settings.EMBEDDED:
            yield for_child(**own)
            return
        name = f"simulate_{secrets.token_hex(6)}"
        quoted = connection.ops.quote_name(name)
        with connection.cursor() as cursor:
            make_database(cursor, quoted)
        try:
            address = urlsplit(settings.DATABASE_URL)._replace(path=f"/{name}")
            yield for_child(**own, DATABASE_URL=address.geturl())
        finally:
            connections.close_all()
            with connection.cursor() as cursor:
                cursor.execute(f"DROP DATABASE {quoted} WITH (FORCE)")


def make_database(cursor: CursorWrapper, quoted: str) -> None:
    """Create the scratch database. Raises NoRight where this role may not create one."""
    try:
        cursor.execute(f"CREATE DATABASE {quoted}")
    except ProgrammingError as error:
        if "permission denied" not in str(error):
            raise
        role = connection.ops.quote_name(connection.settings_dict["USER"] or "papers")
        raise NoRight(
            "a scratch database needs the right CREATEDB: as a superuser, run "
            f"`ALTER ROLE {role} CREATEDB;`, or set DATABASE_URL to a server of your own"
        ) from None


def fill(readers: int) -> Planned:
    """Fill the database (in the child): tables, readers, an edition, and its deliveries."""
    from django.core.management import call_command

    begin = time.perf_counter()
    call_command("migrate", verbosity=0)
    now = datetime.now(UTC)
    fake_data.add_readers(readers, now=now)
    edition = fake_data.add_edition((now - AGE).date(), papers=PAPERS)
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
    """Run one sender (in the child) until no delivery is left."""
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


def consistent(day: Measured) -> bool:
    """Return True if every planned row has a final state and every mail arrived."""
    ended = sum(sender.accepted + sender.skipped for sender in day.senders)
    return ended == day.planned.rows and day.received == day.mails


OTHERS = [10_000, 100_000, 1_000_000, 10_000_000, 100_000_000]


def table(day: Measured) -> str:
    """Return the report as text: the figures of the day, and a row per number of readers."""
    mails = max(day.mails, 1)
    statements = sum(sender.statements for sender in day.senders) / mails
    peak = max(sender.peak_kilobytes for sender in day.senders) / 1024
    lines = [
        f"readers filled in          {day.planned.fill_seconds:12,.1f} s",
        f"planned                    {day.planned.rows:12,} rows"
        f" in {day.planned.plan_seconds:,.1f} s",
        f"accepted                   {day.mails:12,} mails, {day.received:,} received",
        f"mails a second             {mails / day.seconds:12,.0f}"
        f" by {len(day.senders)} sender{'' if len(day.senders) == 1 else 's'}",
        f"CPU of the senders         {day.cpu_seconds / mails * 1e6:12,.0f} µs a mail",
        f"greatest memory            {peak:12,.0f} MB a sender",
        f"statements                 {statements * 1000:12,.0f} in 1,000 mails",
        f"on the wire                {day.received_bytes / mails / 1000:12,.0f} KB a mail",
        f"ledger                     {day.row_bytes:12,.0f} bytes a row",
        "",
        "What other numbers of readers need each day, if the mail server keeps up:",
        f"{'readers':>12} {'sent in':>10} {'senders CPU':>12} {'on the wire':>12}"
        f" {'ledger':>10} {'in an hour':>14}",
        *(row(day, readers) for readers in OTHERS),
        "",
        "in an hour: what the mail server has to take to be done within one. Where it takes",
        "less, the time is readers / its rate, whatever this machine could do.",
    ]
    return "\n".join(lines)


def row(day: Measured, readers: int) -> str:
    """Return one row of the table, scaled linearly from the measured day."""
    each = readers / max(day.mails, 1)
    return (
        f"{readers:>12,} {in_words(day.seconds * each):>10}"
        f" {in_words(day.cpu_seconds * each):>12}"
        f" {in_bytes(day.received_bytes * each):>12} {in_bytes(day.row_bytes * readers):>10}"
        f" {readers / 3600:>8,.1f} mails/s"
    )


def in_bytes(count: float) -> str:
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{count / 1e6:,.1f} MB"


def in_words(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:,.1f} s"
    return f"{seconds / 60:,.1f} min" if seconds < 7200 else f"{seconds / 3600:,.1f} h"
