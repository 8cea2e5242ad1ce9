"""The surroundings of a test run, made before Django reads its settings.

Loaded by pytest first of all (`-p tests.environment`). The run gets a folder of its own
and none of the developer's variables; only a DATABASE_URL of PostgreSQL stays, and then
the whole suite runs on that server instead of SQLite.
"""

import atexit
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import hypothesis
import pytest

# Enough to find what is wrong over a few runs; a busy machine must not fail a test.
hypothesis.settings.register_profile("suite", max_examples=30, deadline=None)
hypothesis.settings.load_profile("suite")

ROOT = Path(__file__).resolve().parent.parent
NOWHERE = "127.0.0.1:9"  # the discard port: nobody listens, nothing leaves the machine
POSTGRES = os.environ.get("DATABASE_URL", "").startswith("postgres")
WORKER = os.environ.get("PYTEST_XDIST_WORKER")
# Whoever makes the run's folder removes it; what a run starts works in the same.
IS_FIRST = not os.environ.get("TESTS_FOLDER")

KEYS = {
    "SECRET_KEY": "a-secret-key-for-tests-only-0123456789-abcdefghijklmnop",
    "ADDRESS_KEY": "an-address-key-for-tests-only-0123456789-abcdefghijk",
}
# What a deployment has to give; the same words as the embedded defaults.
DEPLOYMENT = {
    "SITE_URL": "http://127.0.0.1:8000",
    "REDIS_URL": f"redis://{NOWHERE}/0",
    "MAILER_URL": f"smtp://{NOWHERE}",
    "FROM_EMAIL": "Daily Papers <papers@daily-papers.example>",
    "POSTAL_ADDRESS": "Sample Street 1, 12345 Sample Town (set POSTAL_ADDRESS)",
}


def variables() -> list[str]:
    """Every variable that the settings read: .env.example lists them."""
    text = (ROOT / ".env.example").read_text()
    return re.findall(r"^#? ?([A-Z][A-Z_]+)=", text, re.MULTILINE)


def bare() -> dict[str, str]:
    """The environment of a machine on which nothing of ours is configured."""
    ours = set(variables())
    return {
        name: value
        for name, value in os.environ.items()
        if name not in ours and not name.startswith(("ANYMAIL_", "PYTEST_", "TESTS_"))
    } | {"ENV_FILE": os.devnull, "SOURCE_URL": f"http://{NOWHERE}"}


def install(folder: Path, *options: str) -> None:
    """Give an environment what the lock file says."""
    command = ["uv", "sync", "--locked", "--quiet", "--python", sys.executable, *options]
    env = bare() | {"UV_PROJECT_ENVIRONMENT": str(folder)}
    subprocess.run(command, cwd=ROOT, env=env, check=True)


def prepare() -> Path:
    """Set os.environ for this process and its children. Returns the run's folder."""
    # A script's background job ignores Ctrl-C, and so would whatever a test starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    database = os.environ.get("DATABASE_URL", "")
    run = Path(os.environ.get("TESTS_FOLDER") or tempfile.mkdtemp(prefix="dp-"))
    # Tests start hundreds of processes: none should compile what another has compiled.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    # Nor should what a test installs be compiled beyond what it imports.
    os.environ.pop("UV_COMPILE_BYTECODE", None)
    clean = bare()
    for name in variables():
        os.environ.pop(name, None)
    os.environ.update({name: clean[name] for name in ("ENV_FILE", "SOURCE_URL")})
    os.environ |= KEYS | {
        "TESTS_FOLDER": str(run),
        "STATE_DIR": str(run / (WORKER or "main")),
        "STATIC_ROOT": str(run / "static"),
    }
    if POSTGRES:
        os.environ |= DEPLOYMENT | {"DATABASE_URL": database}
    if not WORKER:
        (run / "static").mkdir(exist_ok=True)
        if POSTGRES:  # a deployment serves collected files by their hashed names
            command = [sys.executable, "manage.py", "collectstatic", "--no-input", "-v0"]
            subprocess.run(command, cwd=ROOT, check=True)
    return run


FOLDER = prepare()


def remove(owner: int) -> None:
    """Remove the run's folder, whatever program of the tests has made it. Not for a fork."""
    if os.getpid() == owner:
        shutil.rmtree(FOLDER, ignore_errors=True)


if IS_FIRST:
    atexit.register(remove, os.getpid())


def pytest_report_header() -> str:
    return f"database: {'PostgreSQL' if POSTGRES else 'SQLite'}"


# What takes seconds of a processor each, whole stacks, browsers, kills: `-m long`.
LONG = re.compile(
    r"tests/(deploy/test_(guide|commands.py::test_c32_a_platform)|fuzz|browser|migrations|test_german|test_logs|"
    r"faults/test_(adversity|broker|clocks|crash|hosts|life|mutants|order|provider|restore|"
    r"senders|stop|storm|switch)|subscribers/test_(network_flood|abuse|hostile)|"
    r"mail/test_(pictures|constants|every_kind)|ops/test_(simulate|broker|operators)|"
    r"test_(up|story|bare|deployment|bodies|proxies|front_end)|providers/test_first|"
    r"deliveries/test_(schedule_sweep|wake_ups|ill_relay|plan)|ranking/test_everyday|"
    r"site/test_replica|"
    r"papers/test_sources|throttling/test_domains)"
)
# These as well the daily loop leaves out, and of each other table all but the first rows.
SLOW = re.compile(
    r"tests/(faults|deploy|benchmarks|ops/test_(processes|commands)|"
    r"test_(state_files|variables|calls|settings|checks|log_lines|error_tracking)|"
    r"deliveries/test_(dead_relay|slow_lines|pause|relays)|throttling/test_redis_tls|"
    r"ranking/test_(outlook|votes)|"
    r"subscribers/test_(tasks|one_click|in_flight)|editions/test_sizes|"
    r"papers/test_fetch_command|feedback/test_domain_reports|"
    r"transport/test_smtp.py::test_(mails_longer|a_connection_that_hangs))"
)
FIRST_ROWS = 2
rows: Counter[str] = Counter()


def pytest_itemcollected(item: pytest.Item) -> None:
    table = item.nodeid.partition("[")[0]
    rows[table] += 1
    later = rows[table] > FIRST_ROWS
    is_long = LONG.match(item.nodeid)
    if is_long or SLOW.match(item.nodeid) or later:
        item.add_marker(pytest.mark.slow)
    # The rows of a table differ in what they say, seldom in their statements.
    if POSTGRES and later and not item.get_closest_marker("each_row"):
        item.add_marker(pytest.mark.nightly)
    if is_long and not item.get_closest_marker("nightly"):
        item.add_marker(pytest.mark.long)


# Fixtures behind which there is a database.
DATABASE = {
    "db",
    "transactional_db",
    "stack",
    "stacks",
    "empty_database",
    "migrated_database",
    "live_server",
}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """On PostgreSQL only what depends on it runs again: not what needs no database, brings
    its own SQLite along, is about a provider's faults, or looks at pages in a browser."""
    again = [item for item in items if POSTGRES and not depends_on_database(item)]
    if again:
        config.hook.pytest_deselected(items=again)
        items[:] = [item for item in items if depends_on_database(item)]


def depends_on_database(item: pytest.Item) -> bool:
    if item.get_closest_marker("embedded") or item.get_closest_marker("browser"):
        return False
    names = set(getattr(item, "fixturenames", ()))
    marked = item.get_closest_marker("django_db") or "faults" in item.path.parts
    return bool(marked or names & DATABASE)


def pytest_unconfigure() -> None:
    if IS_FIRST and (FOLDER / "migrated-postgres").exists():
        from tests import migrated

        migrated.drop(os.environ["DATABASE_URL"], migrated.TEMPLATE)
