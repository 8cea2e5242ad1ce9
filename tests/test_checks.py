"""What `check --deploy` names: weak secrets, clear text, reports that nobody could read."""

import subprocess
import sys
from pathlib import Path

import pytest
from django.contrib import admin
from django.core.checks import run_checks

from digest import endpoints, urls  # noqa: F401  # the URLs register the admin's pages
from tests.configured import GIVEN
from tests.environment import ROOT, bare
from tests.stack import Stack

STRONG = "Zk3-9vQw_x7LmT2bNc8RyU5sHd0EoJ4gAi6fPq1XtWz"


SITE = "papers.example.org"


def found(*, deploy: bool = True) -> list[str]:
    checks = run_checks(tags=["security"], include_deployment_checks=deploy)
    return [f"{one.id} {one.msg}" for one in checks if str(one.id).startswith("digest.")]


@pytest.fixture
def fine(settings) -> None:
    settings.MAILER_URL = "smtps://mail.example.org"
    settings.ADDRESS_KEY = STRONG
    settings.ANYMAIL = settings.ANYMAIL | {"WEBHOOK_SECRET": [f"ann:{STRONG}"]}
    settings.CATCHER = False
    settings.SITE_URL, settings.SITE_HOST = f"https://{SITE}", SITE
    settings.HTTPS = True


def test_the_admins_pages_are_sound() -> None:
    assert len(admin.site._registry) > 10
    assert run_checks(tags=["admin"]) == []


@pytest.mark.usefixtures("fine")
def test_nothing_is_said_of_a_careful_deployment() -> None:
    assert found() == []


@pytest.mark.usefixtures("fine")
@pytest.mark.parametrize("weak", ["", "a", "changeme", "a" * 60, "abcd" * 20])
@pytest.mark.parametrize("name", ["ADDRESS_KEY", "SECRET_KEY_FALLBACKS", "ANYMAIL"])
def test_a_weak_secret_is_named_and_not_repeated(name: str, weak: str, settings) -> None:
    value = {
        "ADDRESS_KEY": weak,
        "SECRET_KEY_FALLBACKS": [STRONG, weak],
        "ANYMAIL": settings.ANYMAIL | {"WEBHOOK_SECRET": [f"ann:{STRONG}", f"ann:{weak}"]},
    }
    setattr(settings, name, value[name])
    (line,) = found()
    assert name in line
    assert len(weak) < 2 or weak not in line


@pytest.mark.usefixtures("fine")
@pytest.mark.parametrize(
    ("host", "words"),
    [(SITE, "travel in clear text"), ("127.0.0.1", "only this machine can open")],
)
def test_a_site_without_tls_is_one_warning(host: str, words: str, settings) -> None:
    settings.SITE_URL, settings.SITE_HOST, settings.HTTPS = f"http://{host}", host, False
    (line,) = found()
    assert words in line


@pytest.mark.usefixtures("fine")
def test_a_slip_in_the_environment_is_one_warning(monkeypatch) -> None:
    monkeypatch.setenv("TESTMODE_TO", "ann@example.org")
    (line,) = found(deploy=False)
    assert (
        line == "digest.W011 TESTMODE_TO is set, and no variable; TEST_MODE_TO is not set."
    )


@pytest.mark.usefixtures("fine")
def test_one_key_for_two_purposes_is_named(settings) -> None:
    settings.ADDRESS_KEY = settings.SECRET_KEY = STRONG + STRONG
    assert [line.split()[0] for line in found()] == ["digest.W003"]


@pytest.mark.usefixtures("fine")
@pytest.mark.parametrize(
    ("name", "value", "clear"),
    [
        ("MAILER_URL", "smtp://mail.example.org", True),
        ("MAILER_URL", "smtp://a:b@mail.example.org?tls=none", True),
        ("MAILER_URL", "smtp://a:b@mail.example.org?tls=starttls", False),
        ("MAILER_URL", "smtp://127.0.0.1", False),
        ("MAILER_URL", "anymail://postmark", False),
        ("RELAYS", ["second=smtp://mail.example.org"], True),
        ("RELAYS", ["second=smtp://a:b@mail.example.org?tls=starttls"], False),
        ("REDIS_URL", "rediss://redis.example.org/0?ssl_cert_reqs=none", True),
        ("REDIS_URL", "rediss://redis.example.org/0?ssl_cert_reqs=required", False),
    ],
)
def test_clear_text_is_named(
    name: str, value: str | list[str], clear: bool, settings
) -> None:
    setattr(settings, name, value)
    settings.ANYMAIL = settings.ANYMAIL | {"POSTMARK_SERVER_TOKEN": "k"}
    assert [name in line for line in found()] == [True] * clear


@pytest.mark.usefixtures("fine")
@pytest.mark.parametrize(
    ("url", "set_up", "named"),
    [
        ("anymail://mandrill", {"MANDRILL_API_KEY": "k"}, ["ANYMAIL_MANDRILL_WEBHOOK_KEY"]),
        ("smtps://mail.example.org", {"MANDRILL_API_KEY": "k"}, ["MANDRILL_WEBHOOK_KEY"]),
        ("anymail://mandrill", {"MANDRILL_WEBHOOK_KEY": "k"}, []),
        ("anymail://mailgun", {"MAILGUN_API_KEY": "k"}, []),
        ("anymail://postal", {"POSTAL_API_KEY": "k"}, ["POSTAL_WEBHOOK_KEY"]),
        ("anymail://postmark", {"POSTMARK_SERVER_TOKEN": "k"}, []),
    ],
)
def test_a_provider_whose_reports_lack_a_key_is_an_error(
    url: str, set_up: dict[str, str], named: list[str], settings
) -> None:
    settings.MAILER_URL = url
    settings.ANYMAIL = settings.ANYMAIL | set_up
    assert found(deploy=False) == []  # or `migrate` would not run
    lines = [line for line in found() if "E006" in line]
    assert len(lines) == len(named)
    assert all(name in line for name, line in zip(named, lines, strict=True))


BROKEN = {"amazon_ses": "region", "mailgun": "MAILGUN_API_KEY", "console": "sends no mail"}


@pytest.mark.usefixtures("fine")
@pytest.mark.filterwarnings("ignore:django-anymail has dropped")
@pytest.mark.parametrize("provider", endpoints.providers())
def test_a_provider_that_lacks_its_key_is_an_error(
    provider: str, settings, monkeypatch
) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    settings.MAILER_URL = f"anymail://{provider}"
    settings.ANYMAIL = {"WEBHOOK_SECRET": []}
    assert found(deploy=False) == []
    (line,) = found()
    assert provider in line and BROKEN.get(provider, "") in line
    settings.ANYMAIL |= {"MAILGUN_API_KEY": "k", "POSTMARK_SERVER_TOKEN": "k"}
    assert bool(found()) is (provider not in {"mailgun", "postmark"})


@pytest.mark.usefixtures("fine")
@pytest.mark.django_db
def test_without_collected_files_pages_answer_and_the_check_says_so(
    settings, client, tmp_path
) -> None:
    settings.STATIC_ROOT = tmp_path / "static"
    settings.STORAGES = settings.STORAGES | {
        "staticfiles": {"BACKEND": "digest.site.static_files.StaticFiles"}
    }
    (line,) = found()
    assert "STATIC_ROOT" in line
    answers = {path: client.get(path).status_code for path in ("/", "/nowhere/", "/u/x")}
    assert answers == {"/": 200, "/nowhere/": 404, "/u/x": 404}


@pytest.mark.embedded
@pytest.mark.parametrize("command", ["check --deploy"])  # and all of Django's, by one way
def test_an_unreachable_database_is_one_line(command: str, tmp_path: Path) -> None:
    nowhere = GIVEN | {"DATABASE_URL": "postgresql://papers:hush@127.0.0.1:1/papers"}
    done = subprocess.run(
        [sys.executable, "manage.py", *command.split()],
        cwd=ROOT,
        env=bare() | nowhere | {"STATE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: the database cannot be used")
    assert done.returncode == 1 and "hush" not in line


@pytest.mark.embedded
def test_a_folder_that_was_made_before_hides_database_keys_and_exports(
    stacks, tmp_path: Path
) -> None:
    stack: Stack = stacks("made-before")
    stack.folder.mkdir(mode=0o755)
    assert stack.manage("migrate", "-v0").returncode == 0
    out = stack.folder / "readers.csv"
    out.touch(mode=0o644)
    done = stack.manage("subscribers", "export", str(out))
    assert done.returncode == 0, done.stderr
    jsonl = stack.folder / "readers.jsonl"
    assert stack.manage("subscribers", "export", str(jsonl)).returncode == 0
    open_files = [
        path.name for path in stack.folder.rglob("*") if path.stat().st_mode & 0o077
    ]
    assert open_files == []
    assert {"db.sqlite3", "address_key.txt"} <= {
        path.name for path in stack.folder.iterdir()
    }
