"""Every variable takes effect, wherever it is set: the environment, .env, or a file of its own."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from tests.configured import GIVEN, env_file, settings
from tests.environment import ROOT, bare, variables

pytestmark = pytest.mark.embedded
Read = dict[str, Any]

# Each variable: a value of it, and what the settings say then.
EFFECTS: dict[str, tuple[str, Callable[[Read], object], object]] = {
    "STATE_DIR": ("/tmp/elsewhere", lambda read: read["STATE_DIR"], Path("/tmp/elsewhere")),
    "DATABASE_URL": (
        "postgresql://ann:hush@db:5433/news?sslmode=require",
        lambda read: (
            [read["DATABASES"]["default"][key] for key in ("NAME", "USER", "PASSWORD")]
            + [read["DATABASES"]["default"]["OPTIONS"]["sslmode"], read["EMBEDDED"]]
        ),
        ["news", "ann", "hush", "require", False],
    ),
    "REPLICA_DATABASE_URL": (
        "postgresql://ann:hush@replica:5433/news?sslmode=require",
        lambda read: (
            [read["DATABASES"]["replica"][key] for key in ("HOST", "CONN_HEALTH_CHECKS")]
            + [
                read["DATABASES"]["replica"]["OPTIONS"][key]
                for key in ("sslmode", "connect_timeout")
            ]
            + [read["DATABASES"]["default"]["OPTIONS"]["connect_timeout"]]
        ),
        ["replica", True, "require", 2, 10],
    ),
    "REDIS_URL": (
        "redis://redis:6381/3",
        lambda read: (read["REDIS_URL"], read["CELERY_BROKER_URL"]),
        ("redis://redis:6381/3", "redis://redis:6381/3"),
    ),
    "SECRET_KEY": ("k" * 50, lambda read: read["SECRET_KEY"], "k" * 50),
    "SECRET_KEY_FALLBACKS": (
        "one, two",
        lambda read: read["SECRET_KEY_FALLBACKS"],
        ["one", "two"],
    ),
    "ADDRESS_KEY": ("a" * 50, lambda read: read["ADDRESS_KEY"], "a" * 50),
    "SITE_URL": (
        "https://news.example.net/",
        lambda read: [
            read[name] for name in ("SITE_URL", "ALLOWED_HOSTS", "CSRF_TRUSTED_ORIGINS")
        ],
        ["https://news.example.net", ["news.example.net"], ["https://news.example.net"]],
    ),
    "BEHIND_PROXY": (
        "yes",
        lambda read: (read["BEHIND_PROXY"], read.get("SECURE_PROXY_SSL_HEADER")),
        (True, ("HTTP_X_FORWARDED_PROTO", "https")),
    ),
    "TRUSTED_PROXIES": ("2", lambda read: read["TRUSTED_PROXIES"], 2),
    "SECURE_SSL_REDIRECT": ("false", lambda read: read["SECURE_SSL_REDIRECT"], False),
    "METRICS_TOKEN": ("t" * 40, lambda read: read["METRICS_TOKEN"], "t" * 40),
    "LOG_FORMAT": (
        "json",
        lambda read: read["LOGGING"]["handlers"]["stderr"]["formatter"],
        "json",
    ),
    "SENTRY_DSN": (
        "https://key@sentry.example.org/1",
        lambda read: read["SENTRY_DSN"],
        "https://key@sentry.example.org/1",
    ),
    "TEST_MODE_TO": (
        "Ada <ada@example.org>",
        lambda read: read["TEST_MODE_TO"],
        "Ada <ada@example.org>",
    ),
    "FOOTER_TEXT": ("Ours", lambda read: read["FOOTER_TEXT"], "Ours"),
    "WELCOME_TEXT": ("Hello", lambda read: read["WELCOME_TEXT"], "Hello"),
    "EVENTS_URL": (
        "https://example.org/hook",
        lambda read: read["EVENTS_URL"],
        "https://example.org/hook",
    ),
    "EVENTS_SECRET": (
        f"whsec_{'QUJD' * 8}",
        lambda read: read["EVENTS_SECRET"],
        f"whsec_{'QUJD' * 8}",
    ),
    "POST_URLS": (
        "https://example.org/a, mastodon://TOKEN@example.org",
        lambda read: read["POST_URLS"],
        ["https://example.org/a", "mastodon://TOKEN@example.org"],
    ),
    "REQUIRE_SECOND_FACTOR": ("true", lambda read: read["REQUIRE_SECOND_FACTOR"], True),
    "ADMIN_PATH": ("/back-room/", lambda read: read["ADMIN_PATH"], "back-room"),
    "STATIC_ROOT": ("/tmp/st", lambda read: read["STATIC_ROOT"], Path("/tmp/st")),
    "DEBUG": ("true", lambda read: read["DEBUG"], True),
    "MAILER_URL": (
        "smtp://relay.example.org:26",
        lambda read: (
            read["MAILER_URL"],
            read["MAILERS"]["default"]["OPTIONS"]["host"],
            read["MAILBOX"],
        ),
        ("smtp://relay.example.org:26", "relay.example.org", False),
    ),
    "RELAYS": (
        "second=smtps://ann:h%2Fsh@mail.example.net, third=smtp://127.0.0.1:26",
        lambda read: (
            [*read["MAILERS"]],
            read["MAILERS"]["second"]["OPTIONS"]["password"],
            read["MAILERS"]["third"]["OPTIONS"]["port"],
        ),
        (["default", "second", "third"], "h/sh", 26),
    ),
    "RELAY_ROUTES": (
        "gmail.com, GoogleMail.com = main; *=main",
        lambda read: read["RELAY_ROUTES"],
        "gmail.com, GoogleMail.com = main; *=main",
    ),
    "ANYMAIL_WEBHOOK_SECRET": (
        "ann:one, ann:two",
        lambda read: read["ANYMAIL"]["WEBHOOK_SECRET"],
        ["ann:one", "ann:two"],
    ),
    "FROM_EMAIL": (
        "News <news@example.net>",
        lambda read: (read["FROM_EMAIL"], read["SERVER_EMAIL"]),
        ("News <news@example.net>",) * 2,
    ),
    "EHLO_NAME": (
        "mail.example.net",
        lambda read: read["EHLO_NAME"],
        "mail.example.net",
    ),
    "BOUNCE_MAILBOX_URL": (
        "pop3://ann:p@127.0.0.1",
        lambda read: read["BOUNCE_MAILBOX_URL"],
        "pop3://ann:p@127.0.0.1",
    ),
    "BOUNCES_PIPED": ("yes", lambda read: read["BOUNCES_PIPED"], True),
    "POSTAL_ADDRESS": (
        "O'Brien's, Köln",
        lambda read: read["POSTAL_ADDRESS"],
        "O'Brien's, Köln",
    ),
    "ADMINS": ("a@x.org, b@x.org", lambda read: read["ADMINS"], ["a@x.org", "b@x.org"]),
    "SEND_CONNECTIONS": ("7", lambda read: read["SEND_CONNECTIONS"], 7),
    "SUBMIT_GROUP": ("9", lambda read: read["SUBMIT_GROUP"], 9),
    "PROVIDER_BATCH": ("on", lambda read: read["PROVIDER_BATCH"], True),
    "SEND_WINDOW": ("30", lambda read: read["SEND_WINDOW"], 30),
    "SEND_RATE": ("2.5", lambda read: read["SEND_RATE"], 2.5),
    "DOMAIN_RATES": (
        "Gmail.com=20, outlook.com = 1.5",
        lambda read: read["DOMAIN_RATES"],
        {"gmail.com": 20.0, "outlook.com": 1.5},
    ),
    "RELAY_RATES": (
        "main=20",
        lambda read: read["RELAY_RATES"],
        {"main": 20.0},
    ),
    "WARM_UP_FROM": (
        "2026-04-17",
        lambda read: read["WARM_UP_FROM"],
        date(2026, 4, 17),
    ),
    "SOURCE_URL": (
        "https://papers.example.com/",
        lambda read: read["SOURCE_URL"],
        "https://papers.example.com",
    ),
    "ARXIV_CATEGORIES": (
        "cs.DC, stat.ML",
        lambda read: read["ARXIV_CATEGORIES"],
        ["cs.DC", "stat.ML"],
    ),
    "SIGN_UP_OPEN": ("no", lambda read: read["SIGN_UP_OPEN"], False),
    "SENTENCE_EMBEDDINGS": ("off", lambda read: read["SENTENCE_EMBEDDINGS"], False),
    # Not in .env.example one by one: the providers' own.
    "ANYMAIL_POSTMARK_SERVER_TOKEN": (
        "t-1",
        lambda read: read["ANYMAIL"]["POSTMARK_SERVER_TOKEN"],
        "t-1",
    ),
    "ANYMAIL_IGNORE_RECIPIENT_STATUS": (
        "false",
        lambda read: read["ANYMAIL"]["IGNORE_RECIPIENT_STATUS"],
        False,
    ),
    "ANYMAIL_AMAZON_SES_SESSION_PARAMS": (
        '{"region_name": "eu-west-1"}',
        lambda read: read["ANYMAIL"]["AMAZON_SES_SESSION_PARAMS"],
        {"region_name": "eu-west-1"},
    ),
}
BESIDE = {
    "PROVIDER_BATCH": {"MAILER_URL": "anymail://postmark"},
    "EVENTS_URL": {"EVENTS_SECRET": f"whsec_{'QUJD' * 8}"},
}


def test_the_table_has_every_variable() -> None:
    assert set(variables()) - {"ENV_FILE"} <= set(EFFECTS)


@pytest.mark.parametrize("where", ["environment", ".env", "NAME_FILE", "NAME_FILE in .env"])
@pytest.mark.parametrize("name", EFFECTS)
def test_c30_takes_effect_wherever_it_is_set(name: str, where: str, tmp_path: Path) -> None:
    value, seen, wanted = EFFECTS[name]
    environ = {key: GIVEN[key] for key in GIVEN if key != name} | BESIDE.get(name, {})
    one = {name: value}
    if "NAME_FILE" in where:
        (tmp_path / "value").write_text(f"{value}\n", encoding="utf-8")
        one = {f"{name}_FILE": str(tmp_path / "value")}
    if ".env" in where:
        # Alone in its file, without the environment's say.
        one = {"ENV_FILE": env_file(tmp_path, one)}
    state = None if name == "STATE_DIR" else tmp_path
    assert seen(settings(environ | one, state=state)) == wanted


SLIPS = {
    "TESTMODE_TO": "TEST_MODE_TO",
    "TEST_MODE": "TEST_MODE_TO",
    "Test_Mode_To": "TEST_MODE_TO",
    "EVENT_URL": "EVENTS_URL",
    "SEND_RATES": "SEND_RATE",
    "ARXIV_CATEGORYS": "ARXIV_CATEGORIES",
    "BEHIND_PROXI_FILE": "BEHIND_PROXY",
}
ELSES = [
    "ENV",
    "REDIS_TLS_URL",
    "PGPASSWORD",
    "POSTGRES_PASSWORD",
    "AWS_PROFILE",
    "HTTPS_PROXY",
]


@pytest.mark.parametrize("name", SLIPS)
def test_a_slip_in_the_env_file_ends_every_program(name: str, tmp_path: Path) -> None:
    given = {each: value for each, value in GIVEN.items() if each != SLIPS[name]}
    file = env_file(tmp_path, {name: "x"})
    with pytest.raises(ImproperlyConfigured, match=f"write {SLIPS[name]}.$"):
        settings(given | {"ENV_FILE": file}, state=tmp_path)


def test_names_of_others_and_of_what_is_set_anyway_are_left_alone(tmp_path: Path) -> None:
    names = [*ELSES, "SITE_URL_2", "SECRET_KEYS", "MAILER_URI"]
    file = env_file(tmp_path, dict.fromkeys(names, "x"))
    assert settings(GIVEN | {"ENV_FILE": file}, state=tmp_path)["EMBEDDED"] is False


def test_a_filled_env_file_alone_is_a_deployment(tmp_path: Path) -> None:
    """Beside a copy of manage.py, with nothing in the environment."""
    for name in ("digest", "subscribers", "templates"):
        shutil.copytree(ROOT / name, tmp_path / name)
    for name in ("manage.py", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / ".env").write_text(
        "\ufeff"
        + "".join(f"{name}='{value}'\r\n" for name, value in GIVEN.items())
        + "export ANYMAIL_POSTMARK_SERVER_TOKEN=t-1\r\nAWS_PROFILE=papers\r\n",
        encoding="utf-8",
    )
    env = {name: value for name, value in bare().items() if name != "ENV_FILE"}
    script = (
        "import os; from django.conf import settings as s; "
        "print(s.EMBEDDED, s.MAILBOX, s.SECRET_KEY, s.ADDRESS_KEY, s.MAILER_URL, "
        "s.ANYMAIL['POSTMARK_SERVER_TOKEN'], os.environ['AWS_PROFILE'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env=env | {"DJANGO_SETTINGS_MODULE": "digest.settings"},
        capture_output=True,
        text=True,
    )
    wanted = ["False", "False", GIVEN["SECRET_KEY"], GIVEN["ADDRESS_KEY"]]
    wanted += [GIVEN["MAILER_URL"], "t-1", "papers"]
    assert done.stdout.split() == wanted, done.stderr
    assert not (tmp_path / ".state").exists()  # no keys were made


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    file = env_file(tmp_path, {"SITE_URL": "https://file.example.org"})
    read = settings(GIVEN | {"ENV_FILE": file}, state=tmp_path)
    assert read["SITE_URL"] == GIVEN["SITE_URL"]


@pytest.mark.parametrize(
    ("around", "value"),
    [
        ("quotes", '"{}"'),
        ("single quotes", "'{}'"),
        ("newline", "{}\n"),
        ("carriage return", "{}\r\n"),
        ("blanks", "  {}\t"),
        ("all of it", ' "{} "\r\n'),
    ],
)
@pytest.mark.parametrize("name", sorted(GIVEN))
def test_what_stands_around_a_value_is_not_part_of_it(
    name: str, around: str, value: str, tmp_path: Path
) -> None:
    plain = settings(GIVEN, state=tmp_path)
    read = settings(GIVEN | {name: value.format(GIVEN[name])}, state=tmp_path)
    same = [key for key in plain if key.isupper()]
    assert {key: read[key] for key in same} == {key: plain[key] for key in same}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("SITE_URL https://x.org\n", "line 1"),
        ("# fine\n\nSITE_URL=https://x.org\nFROM_EMAIL\n", "line 4"),
        ("SITE_URL='https://x.org\nFROM_EMAIL=a@b.c\n", "line 1"),
        (b"POSTAL_ADDRESS=K\xf6ln\n", "UTF-8"),
        (None, "no such file"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_line(
    text: str | bytes | None, words: str, tmp_path: Path
) -> None:
    file = tmp_path / "variables.env"
    if text is not None:
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ImproperlyConfigured) as refused:
        settings(GIVEN | {"ENV_FILE": str(file)}, state=tmp_path)
    (line,) = str(refused.value).splitlines()
    assert words in line and str(file) in line


def test_a_value_and_a_file_for_it_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ImproperlyConfigured, match="SECRET_KEY or SECRET_KEY_FILE"):
        settings(GIVEN | {"SECRET_KEY_FILE": "/etc/hostname"}, state=tmp_path)
    with pytest.raises(ImproperlyConfigured, match="SECRET_KEY_FILE names a file"):
        settings(
            GIVEN | {"SECRET_KEY": "", "SECRET_KEY_FILE": str(tmp_path)}, state=tmp_path
        )


def test_a_relative_folder_is_the_same_wherever_a_command_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    read = settings(GIVEN | {"STATE_DIR": ".papers"}, state=tmp_path)
    assert read["STATE_DIR"] == ROOT / ".papers"
