"""Wrong values: one line that names the variable and repeats no secret, or the right reading."""

import itertools
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.urls import URLPattern, URLResolver, get_resolver

from digest.endpoints import SmtpServer, Tls, bounce_mailbox, smtp_server
from tests.configured import GIVEN, settings
from tests.environment import ROOT, bare

pytestmark = pytest.mark.embedded

# Whatever a password may hold.
PASSWORD = "p#a/s?s@w:o%r d[\"'<&=+é"
ENCODED = quote(PASSWORD, safe="")
HUSH = "hush-hush"
URLS = {
    "DATABASE_URL": "postgresql://ann:{}@db.example.org:5432/papers",
    "REDIS_URL": "redis://ann:{}@redis.example.org:6379/0",
    "MAILER_URL": "smtps://ann:{}@mail.example.org",
    "RELAYS": "second=smtps://ann:{}@mail.example.org",
    "BOUNCE_MAILBOX_URL": "imaps://ann:{}@mail.example.org/INBOX",
}

WRONG: dict[str, list[str]] = {
    "DATABASE_URL": [
        "papers",
        "mysql://ann:hush-hush@db/papers",
        "postgresql://ann:hush-hush@db",
        "postgresql://ann:hush-hush@db/papers?sslmod=require",
        "postgresql://ann:hush-hush@db/papers?sslmode=reqiure",
        "postgresql://ann:hush-hush@db:port/papers",
        "postgresql://ann:hush-hush@db:70000/papers",
        "postgresql://ann:hush-hush@db/papers/more",
        "postgresql://ann:hush-hush@db /papers",
        "postgresql://ann:hush%0Ahush@db/papers",
        "sqlite://papers.sqlite3",
        "sqlite:///papers.sqlite3?mode=ro",
    ],
    "REPLICA_DATABASE_URL": [
        "replica",
        "sqlite:////replica.sqlite3",
        "postgresql://ann:hush-hush@replica",
    ],
    "REDIS_URL": [
        "redis.example.org:6379",
        "http://redis.example.org",
        "redis://:hush-hush@redis/zero",
        "redis://:hush-hush@redis/0?ssl_cert_reqs=none",
        "rediss://:hush-hush@redis/0?ssl_cert_reqs=off",
        "rediss://:hush-hush@redis/0?tls=true",
        "redis://:hush-hush%0d%0a@redis/0",
        "rediss://:hush-hush@redis/0?ssl_ca_certs=/nowhere/at/all.pem",
        "rediss://:hush-hush@redis/0?ssl_ca_certs=/dev/null",
        "rediss://:hush-hush@redis/0?ssl_ca_certs=",
        "unix://redis.sock",
        "unix:///redis.sock?database=0",
    ],
    "MAILER_URL": [
        "mail.example.org",
        "http://mail.example.org",
        "smtp://",
        "smtp://ann:hush-hush@mail.example.org",
        "smtp://ann:hush-hush@10.0.0.1:587",
        "smtp://ann:hush-hush@mail.example.org:587?tls=true",
        "smtp://ann:hush-hush@mail.example.org:587?tls=",
        "smtp://ann:hush-hush@mail.example.org:587?starttls",
        "smtp://ann:hush-hush@mail.example.org:587?TLS=starttls",
        "smtp://ann:hush-hush@mail.example.org:587?tls=starttls&tls=none",
        "smtp://ann:hush-hush@mail.example.org:587?tls=starttls&verify=no",
        "smtps://ann:hush-hush@mail.example.org?tls=none",
        "smtp://mail.example.org/path?tls=starttls",
        "smtp://ann@mail.example.org?tls=starttls",
        "smtp://:hush-hush@mail.example.org?tls=starttls",
        "smtp://mail.example.org:0",
        "smtps://ann:hush-hush%0d%0aRSET@mail.example.org",
        "smtps://ann%0D%0AMAIL:hush-hush@mail.example.org",
        "smtps://ann:hush-hush%00@mail.example.org",
        "anymail://",
        "anymail://postmrk",
        "anymail://ann:hush-hush@postmark",
        "anymail://postmark?token=hush-hush",
        "anymail://base",
    ],
    "SITE_URL": [
        "papers.example.org",
        "ftp://papers.example.org",
        "https://papers.example.org/news",
        "https://papers.example.org/?a=b",
        "https://papers.example.org/#top",
        "https://ann:hush-hush@papers.example.org",
        "https://papers.example.org:port",
        "https://papers .example.org",
        "https://päpers.example.org",
        "https://a..b",
        "https://-x.org",
        "https://x-.org",
        "https://x_y.org",
        "https://papers.example.org.",
        "https://.org",
        "https://1.2.3",
        "https://300.1.1.1",
        f"https://{'x' * 64}.org",
        "https://",
    ],
    "SOURCE_URL": [
        "huggingface.co",
        "file:///etc/passwd",
        "https://huggingface.co?date=1",
        "https://ann:hush-hush@huggingface.co",
    ],
    "FROM_EMAIL": [
        "Daily Papers",
        "Daily Papers papers@example.org",
        "papers@",
        "a@example.org, b@example.org",
        "Daily Papers <papers@päpers.example.org>",
        "papers@example.org\r\nBcc: all@example.org",
        '"Daily Papers <papers@example.org>',
    ],
    "ADMINS": ["ada", "ada@example.org; bob@example.org", "ada@example.org,bob"],
    "EHLO_NAME": ["mail_1.example.org", "a b", "mail.example.org\r\nMAIL FROM:<x>"],
    "BOUNCES_PIPED": ["bounces@example.org"],
    "BOUNCE_MAILBOX_URL": [
        "imaps://mail.example.org",
        "imaps://ann@mail.example.org",
        "https://ann:hush-hush@mail.example.org",
        "imap://ann:hush-hush@mail.example.org",
        "pop3://ann:hush-hush@10.0.0.1:110",
        "imap://ann:hush-hush@mail.example.org?tls=none",
        "imaps://ann:hush-hush@mail.example.org?tls=starttls",
        "pop3s://ann:hush-hush@mail.example.org/INBOX",
        "pop3s://ann:hush-hush@mail.example.org?verify=no",
        "imaps://ann:hush%0D%0Ahush@mail.example.org",
        "imaps://ann:hush-hush@mail.example.org/IN%22BOX",
        "imaps://ann:hush-hush@mail.example.org/Rückläufer",
    ],
    "POSTAL_ADDRESS": ["Street 1\n12345 Town", "Street 1\x07"],
    "SECRET_KEY": ["hush-hush\nhush-hush", '"hush-hush'],
    "ADDRESS_KEY": ["hush-hush\rhush-hush", "hush-hush'"],
    "SECRET_KEY_FALLBACKS": ["one,'two"],
    "ANYMAIL_WEBHOOK_SECRET": ["hush-hush", "hush-hush:", ":hush-hush", "a:b,hush-hush"],
    "ANYMAIL_AMAZON_SES_SESSION_PARAMS": ["{region: eu}"],
    "ADMIN_PATH": [
        *("/", "back room", "?", "a//b", "../x"),
        *("static", "/healthz/", "api", "api/back", "media", "search", "u", "mailbox/x"),
    ],
    "BEHIND_PROXY": ["maybe", "2"],
    "SECURE_SSL_REDIRECT": ["ja"],
    "DEBUG": ["debug"],
    "SIGN_UP_OPEN": ["closed"],
    "TEST_MODE_TO": ["ada", "a@example.org, b@example.org"],
    "REQUIRE_SECOND_FACTOR": ["owners"],
    "PROVIDER_BATCH": ["sometimes", "true"],  # true: with a provider's batches only
    "SEND_CONNECTIONS": ["0", "four", "4.5", "257", "-1", "nan"],
    "SUBMIT_GROUP": ["0", "1001", "many", "1e9"],
    "SEND_WINDOW": ["-1", "721", "1h", "inf"],
    "SEND_RATE": ["fast", "-1", "nan", "inf", "1,5"],
    "DOMAIN_RATES": [
        *("gmail.com", "gmail.com=fast", "gmail.com=0", "=5", "gmail.com=nan"),
        *("*.com=5", "@gmail.com=5", "ann@gmail.com=5", "gmail.com=5,GMAIL.com=7"),
    ],
    "RELAYS": [
        "second",
        "smtps://ann:hush-hush@mail.example.org",
        "=smtps://ann:hush-hush@mail.example.org",
        "main=smtps://ann:hush-hush@mail.example.org",
        "default=smtps://ann:hush-hush@mail.example.org",
        "Second One=smtps://ann:hush-hush@mail.example.org",
        "second=smtp://ann:hush-hush@mail.example.org",
        "second=smtps://ann:hush-hush@mail.example.org?verify=no",
        "second=smtps://ann:hush-hush,hush-hush@mail.example.org",
        "second=smtps://ann:hush-hush@a.example,second=smtps://ann:hush-hush@b.example",
        "second=anymail://postmark",
        "hush-hush@second=smtp://127.0.0.1",
    ],
    "RELAY_ROUTES": [
        *("main", "=main", "gmail.com=", "gmail.com=second", "gmail.com=hush-hush@main"),
        *("*.com=main", "ann@gmail.com=main", "gmail.com=main; gmail.com=main"),
        *("gmail.com=main,main", "gmail.com,Gmail.com=main", "gmail.com=main *=main"),
    ],
    "RELAY_RATES": [*("main", "main=fast", "second=5", "=5", "main=5,main=6")],
    "SENTRY_DSN": [
        *("foo", "https://sentry.example.org/1", "http://key@h/", "https://k@h:99999/1"),
    ],
    "LOG_FORMAT": ["xml"],
    "METRICS_TOKEN": ["two\nlines"],
    "TRUSTED_PROXIES": ["0", "11", "one"],
    "ARXIV_CATEGORIES": [
        *("cs.DC; cs.SI", "everything!", "none", "cs", "cs.ZZ", "cs.dc", "cs.DC,math"),
    ],
    "SENTENCE_EMBEDDINGS": ["perhaps"],
    "ENV_FILE": ["/nowhere/at/all"],
    "WARM_UP_FROM": ["tomorrow", "17.04.2026", "2026-02-30"],
    "REDIS_URL_FILE": ["/nowhere/at/all"],
    "MAILER_URL_FILE": ["/"],
}
TABLE = [(name, value) for name, values in WRONG.items() for value in values]
# Given either way, these would be "both".
ALONE = {"REDIS_URL_FILE": "REDIS_URL", "MAILER_URL_FILE": "MAILER_URL"}


def refusal(environ: dict[str, str], state: Path) -> str:
    """Return the line in which the settings refuse these variables."""
    with pytest.raises(ImproperlyConfigured) as refused:
        settings(environ, state=state)
    (line,) = str(refused.value).splitlines()
    return line


@pytest.mark.parametrize(("name", "value"), TABLE, ids=map("-".join, TABLE))
def test_c30_a_wrong_value_is_one_line_that_names_the_variable(
    name: str, value: str, tmp_path: Path
) -> None:
    given = {key: GIVEN[key] for key in GIVEN if key != ALONE.get(name)}
    line = refusal(given | {name: value}, tmp_path)
    assert name in line
    assert HUSH not in line


PROGRAMS = {
    "manage.py": "python manage.py check",
    "up": "python manage.py up",
    "worker": "celery -A digest worker",
    "beat": "celery -A digest beat",
    "web": "gunicorn digest.wsgi --preload --bind 127.0.0.1:0 --no-control-socket",
    "web without preload": "gunicorn digest.wsgi --bind 127.0.0.1:0 --no-control-socket",
}
ONE_OF_EACH = {
    "SEND_RATE": "fast",
    "SIGN_UP_OPEN": "closed",
    "MAILER_URL": "smtp://ann:hush-hush@mail.example.org",
}


@pytest.mark.parametrize(
    ("program", "name"),
    [("manage.py", name) for name in ONE_OF_EACH]
    + list(zip(PROGRAMS, itertools.cycle(ONE_OF_EACH), strict=False))[1:],
)
def test_every_program_ends_with_that_line(program: str, name: str, tmp_path: Path) -> None:
    command, *words = PROGRAMS[program].split()
    done = subprocess.run(
        [str(Path(sys.executable).with_name(command)), *words],
        cwd=ROOT,
        env=bare() | {"STATE_DIR": str(tmp_path), name: ONE_OF_EACH[name]},
        capture_output=True,
        text=True,
        timeout=60,
    )
    printed = (done.stdout + done.stderr).splitlines()
    assert done.returncode != 0
    assert [line for line in printed if line.startswith(f"error: {name}")]
    assert not any("Traceback" in line or HUSH in line for line in printed)
    if "without preload" not in program:  # there its master has a word to say too
        assert len(printed) == 1, printed


@pytest.mark.parametrize(
    "name", ["REDIS_URL", "SITE_URL", "MAILER_URL", "FROM_EMAIL", "POSTAL_ADDRESS"]
)
@pytest.mark.parametrize("empty", ["", "  ", '""'])
def test_what_a_deployment_must_give_is_named(
    name: str, empty: str, tmp_path: Path
) -> None:
    assert name in refusal(GIVEN | {name: empty}, tmp_path)


@pytest.mark.parametrize("name", ["SECRET_KEY", "ADDRESS_KEY"])
def test_a_deployment_makes_no_key_of_its_own(name: str, tmp_path: Path) -> None:
    assert name in refusal(GIVEN | {name: ""}, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("stray", ["#", "/", "?", " ", "%", "%zz", "[", '"', "\\", "{"])
@pytest.mark.parametrize("name", URLS)
def test_a_stray_character_in_a_password_is_told_to_be_percent_encoded(
    name: str, stray: str, tmp_path: Path
) -> None:
    line = refusal(GIVEN | {name: URLS[name].format(f"hush{stray}hush")}, tmp_path)
    assert name in line
    assert "percent-encode" in line
    assert "hush" not in line


def test_a_percent_encoded_password_is_read_alike_by_everything(tmp_path: Path) -> None:
    import redis
    from kombu import Connection

    urls = {name: url.format(ENCODED) for name, url in URLS.items()}
    read = settings(GIVEN | urls, state=tmp_path)
    assert read["DATABASES"]["default"]["PASSWORD"] == PASSWORD
    assert read["MAILERS"]["default"]["OPTIONS"]["password"] == PASSWORD
    assert smtp_server(read["MAILER_URL"]).password == PASSWORD
    mailbox = bounce_mailbox(read["BOUNCE_MAILBOX_URL"])
    assert mailbox and mailbox.password == PASSWORD
    pool = redis.ConnectionPool.from_url(read["REDIS_URL"])
    assert pool.connection_kwargs["password"] == PASSWORD
    assert pool.connection_kwargs["username"] == "ann"
    broker = Connection(read["CELERY_BROKER_URL"])
    assert (broker.userid, broker.password) == ("ann", PASSWORD)


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("smtp://mail.example.org", SmtpServer("mail.example.org", 25, Tls.NONE)),
        ("smtp://mail.example.org:2525/", SmtpServer("mail.example.org", 2525, Tls.NONE)),
        (
            "smtp://a%40b.c:x%2Fy@mail:587?tls=starttls",
            SmtpServer("mail", 587, Tls.STARTTLS, "a@b.c", "x/y"),
        ),
        ("smtp://a:b@mail?tls=none", SmtpServer("mail", 25, Tls.NONE, "a", "b")),
        ("smtp://a:b@127.0.0.2:1025", SmtpServer("127.0.0.2", 1025, Tls.NONE, "a", "b")),
        ("smtp://a:b@[::1]:1025", SmtpServer("::1", 1025, Tls.NONE, "a", "b")),
        ("smtp://a:b@localhost", SmtpServer("localhost", 25, Tls.NONE, "a", "b")),
        ("smtps://a:b%3Ac@mail", SmtpServer("mail", 465, Tls.IMPLICIT, "a", "b:c")),
    ],
)
def test_a_mail_server_is_read(url: str, server: SmtpServer) -> None:
    found = smtp_server(url)
    assert found == server
    assert not server.password or server.password not in repr(found).split("password")[-1]


@pytest.mark.parametrize(
    ("url", "client", "broker"),
    [
        ("redis://h", "redis://h/0", "redis://h/0"),
        ("redis://:p%2F@h:1/2", "redis://:p%2F@h:1/2", "redis://:p%2F@h:1/2"),
        (
            "rediss://h",
            "rediss://h/0?ssl_cert_reqs=required",
            "rediss://h/0?ssl_cert_reqs=required",
        ),
        (
            "unix:///run/r.sock?db=3",
            "unix:///run/r.sock?db=3",
            "redis+socket:///run/r.sock?virtual_host=3",
        ),
        (
            "unix://:p%40@/run/r.sock",
            "unix://:p%40@/run/r.sock?db=0",
            "redis+socket://:p%40@/run/r.sock?virtual_host=0",
        ),
    ],
)
def test_a_redis_is_read_in_both_dialects(
    url: str, client: str, broker: str, tmp_path: Path
) -> None:
    read = settings(GIVEN | {"REDIS_URL": url}, state=tmp_path)
    assert (read["REDIS_URL"], read["CELERY_BROKER_URL"]) == (client, broker)


@pytest.mark.parametrize(
    "url",
    ["https://[::1]:8000", "http://10.0.0.7", "https://xn--ppers-gra.example", "http://h1"],
)
def test_a_site_is_read(url: str, tmp_path: Path) -> None:
    assert settings(GIVEN | {"SITE_URL": url}, state=tmp_path)["SITE_URL"] == url


def routes(patterns: Iterable[URLPattern | URLResolver], prefix: str = "") -> Iterator[str]:
    for one in patterns:
        route = prefix + str(one.pattern)
        yield from (
            routes(one.url_patterns, route) if hasattr(one, "url_patterns") else [route]
        )


def test_the_admin_is_kept_off_every_path_of_the_urlconf() -> None:
    own = {route.partition("/")[0] for route in routes(get_resolver().url_patterns)}
    own = {first for first in own if re.fullmatch(r"\w[\w.-]*", first)} - {
        django_settings.ADMIN_PATH
    }
    assert own | {"static", "media"} == django_settings.OWN_PATHS


def test_compose_puts_no_password_into_a_url() -> None:
    """What is put in there as it stands would have to be percent-encoded first."""
    lines = (ROOT / "compose.yaml").read_text().splitlines()
    assert [line for line in lines if "://" in line and "$" in line] == []
    assert any("PGPASSWORD: ${POSTGRES_PASSWORD" in line for line in lines)


def test_the_image_is_built_with_values_that_the_settings_take(tmp_path: Path) -> None:
    text = (ROOT / "Dockerfile").read_text()
    (command,) = re.findall(r"^RUN (DATABASE_URL=(?:[^\n\\]|\\\n)*)$", text, re.MULTILINE)
    values = dict(re.findall(r"([A-Z_]+)=(\S+)", command))
    assert settings(values, state=tmp_path)["EMBEDDED"] is False


@pytest.mark.parametrize(
    ("site", "prefix"),
    [
        ("https://papers.example.org", "__Host-"),
        ("HTTPS://Papers.Example.org", "__Host-"),
        ("http://papers.example.org", ""),
    ],
)
def test_cookies_of_an_https_site_are_of_its_host_alone(
    site: str, prefix: str, tmp_path: Path
) -> None:
    read = settings({**GIVEN, "SITE_URL": site}, state=tmp_path)
    for kind, name in (("SESSION", "sessionid"), ("CSRF", "csrftoken")):
        assert read[f"{kind}_COOKIE_NAME"] == prefix + name
        assert read[f"{kind}_COOKIE_SECURE"] is bool(prefix)
        # A browser drops a __Host- cookie that has a domain or another path.
        assert not {f"{kind}_COOKIE_DOMAIN", f"{kind}_COOKIE_PATH"} & set(read)
