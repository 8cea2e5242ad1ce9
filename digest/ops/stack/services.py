"""The services of the one-command stack: the command line of each."""

import sys
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from digest.ops.stack.broker import server_binary, server_command
from digest.ops.stack.supervisor import Service


@dataclass(frozen=True)
class Plan:
    """The options of `up`. Ports are on 127.0.0.1; `papers` is a file instead of the source."""

    port: int
    mail_port: int
    papers: Path | None
    state: Path

    @property
    def site_url(self) -> str:
        return str(settings.SITE_URL_GIVEN) or f"http://127.0.0.1:{self.port}"

    @property
    def catches(self) -> bool:
        return bool(settings.CATCHER)


def redis(plan: Plan) -> Service:
    settings.REDIS_SOCKET.unlink(missing_ok=True)  # left by a server that was killed
    command = server_command(
        server_binary(), socket=settings.REDIS_SOCKET, folder=plan.state
    )
    return Service("redis", command)


def catcher(plan: Plan) -> Service:
    options = ["--port", str(plan.mail_port), "--dir", str(settings.MAILBOX_DIR)]
    return Service(
        "catcher", [sys.executable, "-m", "digest.ops.mailbox.catcher", *options]
    )


def web(plan: Plan) -> Service:
    # No access log: paths hold tokens.
    command = f"-m gunicorn digest.wsgi --preload --bind 127.0.0.1:{plan.port}"
    how = "--worker-class gthread --workers 2 --threads 4 --graceful-timeout 5"
    return Service(
        "web", [sys.executable, *command.split(), *how.split(), "--no-control-socket"]
    )


def worker() -> Service:
    # SQLite has one writer, so a second sender would only wait for the first.
    engine = settings.DATABASES["default"]["ENGINE"]
    senders = 1 if engine.endswith("sqlite3") else 2
    command = f"-m celery -A digest worker --pool prefork --concurrency {senders}"
    quiet = "--without-mingle --without-gossip --loglevel INFO"
    return Service(
        "worker", [sys.executable, *command.split(), *quiet.split()], patience=30.0
    )


def beat() -> Service:
    command = "-m celery -A digest beat --loglevel INFO --pidfile="
    return Service("beat", [sys.executable, *command.split()])


def papers(plan: Plan) -> Service:
    source = ["--from", str(plan.papers)] if plan.papers else []
    command = [sys.executable, "manage.py", "first_papers", *source]
    return Service("papers", command, once=True)
