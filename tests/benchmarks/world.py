"""What a benchmark runs on: a filled database with its default durability, Redis, workers."""

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from tests import embedded_redis
from tests.benchmarks.machine import cpu_seconds
from tests.environment import DEPLOYMENT, KEYS, ROOT, bare, install
from tests.postgres import server

if TYPE_CHECKING:
    from digest.models import Edition

# More than a day brings; a week brings about 500.
PAPERS = 100
FILLER = "Further words of this paper, so that the mail is as long as a rich one. "
# Two days ago: everybody's hour after the release has come.
DAY = datetime.now(UTC).date() - timedelta(days=2)


@dataclass(frozen=True, slots=True)
class World:
    """A scratch database with readers and an edition. Sizes in bytes on the wire."""

    readers: int
    folder: Path
    edition: "Edition"
    mail_size: int
    database_pid: int | None
    redis_pid: int

    @property
    def database_cpu(self) -> float:
        return cpu_seconds(self.database_pid) if self.database_pid else 0.0


@contextmanager
def world(
    readers: int, *, mail_size: int = 60_000, sqlite: bool = False
) -> Iterator[World]:
    """Fill a database and start Redis; sets this process' environment for Django.

    Once per process, as Django's settings are read once.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dp-b-")))
        clean = bare() | KEYS | {"STATE_DIR": str(folder)}
        if not sqlite:
            clean |= DEPLOYMENT | {
                "DATABASE_URL": stack.enter_context(server(durable=True))
            }
        clean["REDIS_URL"], redis = stack.enter_context(embedded_redis.server(folder))
        os.environ.clear()
        os.environ.update(clean, DJANGO_SETTINGS_MODULE="digest.settings")
        edition, size = fill(readers, mail_size)
        stack.callback(close_connections)
        yield World(readers, folder, edition, size, database_process(), redis)


def fill(readers: int, mail_size: int) -> tuple["Edition", int]:
    import django

    django.setup()
    from django.core.management import call_command

    from digest.ops.load_test import fake_data

    call_command("migrate", verbosity=0)
    edition = fake_data.add_edition(DAY, papers=PAPERS)
    add_readers(readers, seed=1, now=datetime.now(UTC))
    return edition, thicken(edition, mail_size)


def add_readers(count: int, *, seed: int, now: datetime) -> None:
    """More readers, and the database as tidy as autovacuum leaves it.

    Foreign keys are not looked at one by one on PostgreSQL: half of the time for nothing.
    """
    from django.db import connection

    from digest.ops.load_test import fake_data

    checks = "SET session_replication_role = "
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(checks + "replica")
        if count > 0:
            fake_data.add_readers(count, now=now, seed=seed)
        if connection.vendor == "postgresql":
            cursor.execute(checks + "origin")
            cursor.execute("SET statement_timeout = 0")
        cursor.execute("VACUUM" if connection.vendor == "sqlite" else "VACUUM ANALYZE")


def thicken(edition: "Edition", mail_size: int) -> int:
    """Make the edition's blocks longer until a ten-paper mail has this size; that size.

    In each of their forms, of which the reader's length takes one.
    """
    from digest.editions.phrases import MARKS
    from digest.models import Block

    blocks = list(edition.blocks.order_by("position"))
    missing = (mail_size - wire_size(edition)) // 20
    if missing > 0:
        extra = (FILLER * (missing // len(FILLER) + 1))[:missing]
        for block in blocks:
            htmls, texts = block.html.split(MARKS.form), block.text.split(MARKS.form)
            longer = [html.replace("</h2>", f"</h2>\n<p>{extra}</p>", 1) for html in htmls]
            block.html = MARKS.form.join(longer)
            block.text = MARKS.form.join(f"{text}{extra}\n" for text in texts)
        Block.objects.bulk_update(blocks, ["html", "text"], batch_size=100)
    return wire_size(edition)


def wire_size(edition: "Edition") -> int:
    from digest.editions.compose import Pick, Reader
    from digest.ranking.loaded import load

    load.cache_clear()
    reader = Reader(1, "reader.1@list1.example.com", "t" * 22)
    picks = [Pick(position, 0) for position in range(10, 20)]
    now = datetime.now(UTC)
    return len(load(edition.pk).encoded.compose(reader, picks, sent_at=now))


def database_process() -> int | None:
    from django.db import connection

    if connection.vendor == "sqlite":
        return None
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        backend = cursor.fetchone()[0]
    fields = Path(f"/proc/{backend}/stat").read_text().rpartition(")")[2].split()
    return int(fields[1])


def close_connections() -> None:
    from django.db import connections

    connections.close_all()


def forget_deliveries() -> None:
    """Back to the morning: no row in the ledger, no dead one either."""
    from django.db import connection

    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("DELETE FROM digest_deliveryevent")
            cursor.execute("DELETE FROM digest_delivery")
        else:
            cursor.execute("TRUNCATE digest_delivery CASCADE")
            cursor.execute("VACUUM ANALYZE digest_delivery")
            cursor.execute("CHECKPOINT")


@cache
def deployed_python() -> str:
    """Install what a deployment has, and return its Python.

    The development group brings packages that libraries import where they find them: 3 MB of
    a worker.
    """
    folder = Path(os.environ["STATE_DIR"]) / "installed"
    install(folder, "--no-default-groups", "--compile-bytecode")
    return str(folder / "bin" / "python")


@contextmanager
def celery_workers(
    mailer_url: str, *, processes: int = 2, app: str = "digest"
) -> Iterator[int]:
    """Celery as in operation, ready to work. The process id of the main process."""
    with tempfile.TemporaryFile("w+") as log:
        command = f"-m celery -A {app} worker --pool prefork --concurrency {processes}"
        quiet = "--without-mingle --without-gossip --loglevel INFO"
        with subprocess.Popen(
            [deployed_python(), *command.split(), *quiet.split()],
            cwd=ROOT,
            env=os.environ | {"MAILER_URL": mailer_url},
            stdout=log,
            stderr=subprocess.STDOUT,
        ) as process:
            try:
                wait_until_ready(process, log.fileno())
                yield process.pid
            finally:
                process.terminate()
                process.wait(60)
                report_trouble(log.fileno())


def read_log(log: int) -> str:
    return os.pread(log, 1 << 20, 0).decode(errors="replace")


def wait_until_ready(process: subprocess.Popen[bytes], log: int) -> None:
    from digest.celery import app as any_app  # answers go by the broker, not by the app

    until = time.monotonic() + 60
    while not any_app.control.ping(timeout=0.5):
        if process.poll() is not None or time.monotonic() > until:
            raise RuntimeError(f"Celery did not start: {read_log(log)[-1000:]}")


def report_trouble(log: int) -> None:
    for line in read_log(log).splitlines():
        if any(word in line for word in ("ERROR", "Traceback", "WARNING digest")):
            print("worker:", line)
