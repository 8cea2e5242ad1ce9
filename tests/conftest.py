"""The real components that tests stand on: Redis, SMTP, the stack, a browser."""

import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests import embedded_redis, installation, migrated
from tests.environment import DEPLOYMENT, FOLDER, KEYS, POSTGRES
from tests.sink import Sink, in_thread
from tests.stack import Stack

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext
    from pytest_django import DjangoDbBlocker


@pytest.fixture(scope="session")
def django_db_setup(
    django_test_environment: None, django_db_blocker: "DjangoDbBlocker"
) -> Iterator[None]:
    """Give this worker a copy of the run's migrated database; only the first migrates.

    SQLite in a file, as in operation: in memory its locks are of another kind.
    """
    from django.conf import settings
    from django.db import connection

    path = settings.STATE_DIR / "test.sqlite3"
    address, name = os.environ.get("DATABASE_URL", ""), f"test_{secrets.token_hex(6)}"
    if POSTGRES:
        migrated.create(address, name)
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        migrated.copy_to(path)
    with django_db_blocker.unblock():
        connection.close()
        connection.settings_dict["NAME"] = name if POSTGRES else str(path)
    yield
    if POSTGRES:
        migrated.drop(address, name)


@pytest.fixture(scope="session", autouse=True)
def quick_passwords() -> Iterator[None]:
    """Half a second of hashing for each operator who logs in would prove nothing."""
    from django.test import override_settings

    hasher = "django.contrib.auth.hashers.MD5PasswordHasher"
    with override_settings(PASSWORD_HASHERS=[hasher]):
        yield


@pytest.fixture(autouse=True)
def nothing_loaded() -> None:
    """A process keeps loaded editions by id, and each test's ids begin anew."""
    from digest.deliveries.preflight import composed
    from digest.ranking import outlook
    from digest.ranking.loaded import lay_out, load
    from subscribers import consent, rate_limits

    rate_limits.busy_until = 0.0
    load.cache_clear()
    lay_out.cache_clear()
    composed.cache_clear()
    outlook.laid_out.cache_clear()
    outlook.day_of.cache_clear()
    consent.head_file().unlink(missing_ok=True)
    consent.list_file().unlink(missing_ok=True)


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder whose path is short enough for a socket, gone after the test."""
    folder = Path(tempfile.mkdtemp(prefix="t-", dir=FOLDER))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def data_folder() -> Path:
    """The folder that PAPERS_DATA names; without it the test is skipped."""
    folder = os.environ.get("PAPERS_DATA")
    if not folder:
        pytest.skip("set PAPERS_DATA to the folder of recorded papers to run this")
    return Path(folder)


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[Sink]:
    """An SMTP server that keeps what it accepts and misbehaves when told to."""
    with in_thread(tmp_path / "sink") as running:
        yield running


@pytest.fixture
def redis_server(short_folder: Path) -> Iterator[str]:
    """The URL of a real Redis."""
    with embedded_redis.server(short_folder) as (url, _):
        yield url


@pytest.fixture
def stacks(short_folder: Path) -> Iterator[Callable[..., Stack]]:
    """Makes stacks that are all ended after the test: `stacks("name", VARIABLE=…)`."""
    made: list[Stack] = []

    def make(name: str = "state", **env: str) -> Stack:
        made.append(Stack(short_folder / name, env))
        return made[-1]

    yield make
    for one in reversed(made):
        one.clean_up()


@pytest.fixture
def stack(
    stacks: Callable[..., Stack], sink: Sink, request: pytest.FixtureRequest
) -> Stack:
    """The whole stack, not started, on the run's kind of database; mail to `sink`."""
    env = {"MAILER_URL": sink.url}
    if POSTGRES:
        env = DEPLOYMENT | KEYS | env
        env["DATABASE_URL"] = request.getfixturevalue("empty_database")
        env["REDIS_URL"] = request.getfixturevalue("redis_server")
    return stacks(**env)


@pytest.fixture(scope="session")
def installed() -> Path:
    """What an operator installs: neither the development group nor an extra."""
    return installation.environment()


@pytest.fixture
def empty_database() -> Iterator[str]:
    """A new PostgreSQL database on the run's server. Its DATABASE_URL."""
    with a_database(migrated.empty) as address:
        yield address


@pytest.fixture
def migrated_database() -> Iterator[str]:
    """The same with all tables."""
    with a_database(migrated.create) as address:
        yield address


@contextmanager
def a_database(make: Callable[[str, str], str]) -> Iterator[str]:
    address, name = os.environ["DATABASE_URL"], f"stack_{secrets.token_hex(6)}"
    yield make(address, name)
    migrated.drop(address, name)


@pytest.fixture(scope="module")
def web_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file for a web server that serves all of a module's tests."""
    path = tmp_path_factory.mktemp("web") / "db.sqlite3"
    migrated.copy_to(path)
    return path


def installed_chromium() -> str | None:
    for name in ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"):
        if found := shutil.which(name):
            return found
    return None


@pytest.fixture(scope="module")
def chromium() -> Iterator["Browser"]:
    """A headless Chromium of this machine. Without one: skipped, but failed in CI."""
    from playwright.sync_api import expect, sync_playwright

    binary = installed_chromium()
    if binary is None:
        reason = "no Chromium found: install chromium to run the browser tests"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        # Playwright keeps an event loop in this thread; Django would refuse queries.
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        expect.set_options(timeout=30_000)
        browser = playwright.chromium.launch(
            executable_path=binary, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield browser
        browser.close()


@pytest.fixture
def browser(chromium: "Browser") -> Iterator["BrowserContext"]:
    """A fresh browser context: no cookies, half a minute of patience."""
    context = chromium.new_context()
    context.set_default_timeout(30_000)
    yield context
    context.close()
