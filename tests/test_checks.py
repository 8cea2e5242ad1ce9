"""What `check --deploy` names: weak secrets, clear text, reports that nobody could read."""

from pathlib import Path

import pytest
from django.core.checks import run_checks

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
        ("REDIS_URL", "rediss://redis.example.org/0?ssl_cert_reqs=none", True),
        ("REDIS_URL", "rediss://redis.example.org/0?ssl_cert_reqs=required", False),
    ],
)
def test_clear_text_is_named(name: str, value: str, clear: bool, settings) -> None:
    setattr(settings, name, value)
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
    lines = found()
    assert len(lines) == len(named)
    assert all(name in line for name, line in zip(named, lines, strict=True))


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
