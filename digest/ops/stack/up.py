"""The one-command stack: the steps of `manage.py up`.

It runs an embedded Redis, web server, worker, beat and mail catcher, all below STATE_DIR,
unless the environment names others (DATABASE_URL, REDIS_URL, MAILER_URL). Checks come
first and fail with one line; then it watches the services until Ctrl-C or SIGTERM.
"""

import contextlib
import fcntl
import http.client
import importlib.util
import json
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from django.conf import settings
from django.core.management import call_command
from django.db import DatabaseError, connections

from digest.models import Edition
from digest.ops.stack import supervisor
from digest.ops.stack.broker import BrokerError, check_url, server_binary, wait_for_socket
from digest.ops.stack.first_papers import to_read
from digest.ops.stack.supervisor import Plan, ServiceError, Stack, reap
from digest.settings import state_folder
from digest.variables import for_child

PATIENCE = 60.0  # seconds until the front page must respond


class UpError(Exception):
    """The stack cannot run; the message is one sentence for the operator."""


def up(
    *,
    port: int,
    mail_port: int,
    papers: Path | None,
    demo: bool,
    say: Callable[[str], None],
) -> None:
    """Run the whole stack until Ctrl-C or SIGTERM; leave no process behind.

    Raises UpError when it cannot run, after stopping the services started.
    """
    plan = Plan(port, mail_port, papers and papers.resolve(), state_folder(), demo)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with only_one(plan.state / "up.lock"):
            check(plan)
            run(plan, say)
    except (BrokerError, ServiceError) as error:
        raise UpError(str(error)) from None
    except KeyboardInterrupt:
        say("Stopped.")


@contextlib.contextmanager
def only_one(path: Path) -> Iterator[None]:
    """Hold the lock of this state folder; the kernel drops it when the process dies."""
    with open(path, "a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UpError(
                f"it is already running on {path.parent}: stop it there, "
                "or set STATE_DIR to another folder."
            ) from None
        yield


def check(plan: Plan) -> None:
    """Check all conditions for a start. Raises UpError or BrokerError."""
    if plan.papers and not plan.papers.is_file():
        raise UpError(f"there is no file {plan.papers}.")
    if plan.demo and not plan.may_invent:
        raise UpError(
            "--demo invents readers: only without DATABASE_URL and MAILER_URL, so that no "
            "mail to them leaves this machine."
        )
    reap(record_of(plan), marks=["digest", str(settings.REDIS_SOCKET)])
    check_port(plan.port, "--port")
    if plan.catches:
        check_catcher()
        check_port(plan.mail_port, "--mail-port")
    if settings.REDIS_URL:
        check_url(settings.REDIS_URL)
    else:
        server_binary()


def check_catcher() -> None:
    """Raise UpError where the mail catcher's package is not installed."""
    if importlib.util.find_spec("aiosmtpd") is None:
        raise UpError(
            "the mail catcher needs aiosmtpd: run `uv sync --group embedded`, "
            "or set MAILER_URL to a mail server."
        )


def check_port(port: int, option: str) -> None:
    """Raise UpError if the port cannot be bound.

    It waits a moment, as the children of a killed run hold the port until they notice.
    """
    until = time.monotonic() + 2.5
    while error := bind_error(port):
        if time.monotonic() > until:
            raise UpError(
                f"port {port} cannot be used ({(error.strerror or '').lower()}): "
                f"choose another with {option}."
            )
        time.sleep(0.1)


def bind_error(port: int) -> OSError | None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            return error
    return None


def run(plan: Plan, say: Callable[[str], None]) -> None:
    env = for_child(
        DJANGO_SETTINGS_MODULE="digest.settings",
        PYTHONUNBUFFERED="1",
        STATE_DIR=str(plan.state),
        SITE_URL=plan.site_url,
    )
    stack = Stack(
        logs=plan.state / "logs", record=record_of(plan), cwd=settings.BASE_DIR, env=env
    )
    note = plan.state / "up.json"
    try:
        write_note(note, plan)
        start(plan, stack)
        open_up(plan, stack, say)
        while True:
            stack.watch(say)
            tell_papers(stack, say)
            time.sleep(0.2)
    finally:
        stack.stop()
        note.unlink(missing_ok=True)
        if not settings.REDIS_URL:  # left by a Redis that was killed
            settings.REDIS_SOCKET.unlink(missing_ok=True)


def record_of(plan: Plan) -> Path:
    return plan.state / "pids"


def write_note(path: Path, plan: Plan) -> None:
    """Write the note that settings.py reads, so that all processes and shells agree."""
    text = {"site_url": plan.site_url}
    if plan.catches:
        text["mailer_url"] = f"smtp://127.0.0.1:{plan.mail_port}"
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps(text))
    temporary.replace(path)


def start(plan: Plan, stack: Stack) -> None:
    """Start the services that the front page needs, and migrate the database."""
    if not settings.REDIS_URL:
        stack.start(supervisor.redis(plan))
    if plan.catches:
        stack.start(supervisor.catcher(plan))
    if not settings.EMBEDDED:
        collect()
    stack.start(supervisor.web(plan))
    migrate()
    if not settings.REDIS_URL and not wait_for_socket(settings.REDIS_SOCKET, seconds=15):
        raise UpError(f"Redis does not answer; see {stack.log_of('redis')}.")


def open_up(plan: Plan, stack: Stack, say: Callable[[str], None]) -> None:
    """Print the addresses once there is something to see, and start the other services.

    The first run waits for papers; later runs fetch them in the background.
    """
    first = not Edition.objects.exists()
    waits = plan.demo or plan.papers or first
    connections.close_all()
    if waits:
        stack.start(supervisor.papers(plan, first=first))
        while not tell_papers(stack, say):
            stack.watch(say)
            time.sleep(0.05)
    wait_for_front_page(plan, stack, say)
    stack.start(supervisor.worker())
    stack.start(supervisor.beat())
    greet(plan, stack, say)
    if not waits:
        stack.start(supervisor.papers(plan))


def collect() -> None:
    """Write the site's own files, as a deployment serves them. Raises UpError."""
    try:
        call_command("collectstatic", interactive=False, verbosity=0)
    except OSError as error:
        raise UpError(
            f"the site's own files cannot be written to {settings.STATIC_ROOT} "
            f"({(error.strerror or '').lower()}): set STATIC_ROOT to a folder that you may write."
        ) from None


def migrate() -> None:
    try:
        call_command("migrate", interactive=False, verbosity=0)
    except DatabaseError as error:
        reason = " ".join(str(error).split())[:200]
        raise UpError(f"the database cannot be used: {reason}") from None


def wait_for_front_page(plan: Plan, stack: Stack, say: Callable[[str], None]) -> None:
    until = time.monotonic() + PATIENCE
    while not answers(plan):
        stack.watch(say)
        if time.monotonic() > until:
            raise UpError(f"the web server does not answer; see {stack.log_of('web')}.")
        time.sleep(0.05)


def greet(plan: Plan, stack: Stack, say: Callable[[str], None]) -> None:
    say("Daily Papers is open:")
    say(f"  front page   {plan.site_url}/")
    if plan.catches and not settings.MAILBOX:
        say(f"  mail         {settings.MAILBOX_DIR}  (none goes out: set MAILER_URL)")
    elif plan.catches:
        say(f"  mailbox      {plan.site_url}/mailbox/  (every mail that goes out)")
    if path := to_read():
        say(f"  a digest     {plan.site_url}{path}")
    connections.close_all()
    admin = f"{plan.site_url}/{settings.ADMIN_PATH}/"
    say(f"  admin        {admin}  (first: python3 manage.py createsuperuser)")
    say(f"  logs         {stack.logs}")
    say("Ctrl-C stops all of it.")


def tell_papers(stack: Stack, say: Callable[[str], None]) -> bool:
    """Print the result of the papers' fetch; return True once it ended.

    Raises UpError for an unusable FILE.
    """
    if not (end := stack.finished()):
        return False
    went_well, lines = end
    if lines and not went_well:
        raise UpError(lines[-1])
    for line in lines or [f"No papers could be fetched; see {stack.log_of('papers')}."]:
        say(line)
    return True


def answers(plan: Plan) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", plan.port, timeout=5)
    with contextlib.closing(connection):
        try:
            connection.request("GET", "/", headers={"Host": urlsplit(plan.site_url).netloc})
            return connection.getresponse().status < 400
        except (OSError, http.client.HTTPException):
            return False
