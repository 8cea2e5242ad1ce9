"""No password, token or address leaves by a log, by mail, or by an error page."""

import io
import json
import logging
import os
import re
import sqlite3
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pytest
import redis
import trustme
from django.core.exceptions import SuspiciousOperation
from django.db import IntegrityError
from django.test import RequestFactory
from django.urls import get_resolver
from django.utils import timezone
from django.utils.log import AdminEmailHandler
from django.views.debug import ExceptionReporter

from digest import logs
from digest.logs import scrub
from digest.throttling import circuit_breaker
from digest.throttling.circuit_breaker import Failure
from tests.environment import ROOT
from tests.sink import Sink, in_thread
from tests.stack import Stack
from tests.test_settings import routes

ADDRESS = "canary.reader+tag@mail.example.org"
TOKEN = "q7Zk-0canaryTOKEN_x9Ab"  # 22 characters, as every token of ours
PASSWORD = "secret-0canary-password"
NAME = "7cf-3ed3021c9b0f4a5e6d7c8b9a"  # of a delivery, in the path of its mail's page

SECRETS = {
    "a relay's URL": f"smtp://papers:{PASSWORD}@mail.example.org:587",
    "a user that is an address": f"smtps://papers@example.org:{PASSWORD}@mail.example.org",
    "no user": f"redis://:{PASSWORD}@redis:6379/0",
    "a key alone": f"https://{TOKEN}@monitoring.example.org/4",
    "an @ and a slash in the password": f"smtp://papers:a/b@{PASSWORD}@mail.example.org",
    "in a dictionary": str({"a": f"amqp://u:{PASSWORD}@h/", "b": 2}),
    "percent-encoded": f"postgresql://papers:%2F{PASSWORD}@postgres/papers?sslmode=require",
    "a DSN of libpq": f"host=postgres user=papers password={PASSWORD} dbname=papers",
    "options": str({"username": "papers", "password": PASSWORD, "use_ssl": True}),
    "options in a message in a message": repr(repr({"password": PASSWORD})),
    "a header": f"Authorization: Basic {TOKEN}xyz==",
    "a field of a form": f"csrfmiddlewaretoken={PASSWORD}&email=canary",
    "a JSON key": json.dumps({"api_key": PASSWORD}),
    "a header of a provider": f"X-Api-Key: {PASSWORD}",
    "headers of a provider": str({"api-key": PASSWORD}),
    "a key in a query": f"/maps?key={PASSWORD}&q=1",
    "a DSN of a driver": f"Server=db;UID=papers;PWD={PASSWORD};",
    "a short name": f"user=ann pass={PASSWORD}",
    "a short name in JSON": json.dumps({"key": PASSWORD, "pwd": PASSWORD}),
    "a short name in a dictionary": repr(str({"pass": PASSWORD})),
    "an access key": f"aws_access_key = {PASSWORD}",
    "the path of a page": f"Not Found: /preferences/{TOKEN}/votes/",
    "a URL": f"https://papers.example.org/u/{TOKEN}",
    "a quoted path": f"%2Fconfirm%2F{TOKEN}%2F",
    "a token alone": f"Link matching query does not exist: {TOKEN!r}",
    "the page of a mail": f"/digest/{NAME} and /v/{NAME}/3",
    "a bounce address": f"papers+{NAME}@papers.example.org",
    "an address": f"Sending a message to <{ADDRESS}> failed",
    "an address in a query": f"/search/?q={ADDRESS.replace('@', '%40')}",
    "a full-width @": f"no such user: {ADDRESS.replace('@', '\uff20')}",
    "a small @": f"no such user: {ADDRESS.replace('@', '\ufe6b')}",
    "a full-width @ in a query": f"/search/?q={quote(ADDRESS.replace('@', '\uff20'))}",
    "full-width dots": ADDRESS.replace("@", "\uff20").replace(".example", "\uff0eexample"),
    "an address in a page": ADDRESS.replace("@", "&#64;"),
    "an address in escaped JSON": ADDRESS.replace("@", r"\u0040"),
    "a refused recipient": str({ADDRESS: (550, b"no such user")}),
    "a row that a database repeats": (
        'new row violates check constraint "subscriber_active_is_confirmed"\n'
        f"DETAIL:  Failing row contains (1, {ADDRESS}, {PASSWORD}, graphs, {TOKEN}).\n"
    ),
}
PLAIN = [
    "planned 120 deliveries, waking senders",
    "digest.tasks.send[4b0c1f1e-9d1e-4a7b-8a52-5c9f5a5f7c11] raised unexpected",
    'File "/app/digest/deliveries/send.py", line 208, in compose',
    "ConnectionRefusedError: [Errno 111] Connection refused",
    "http://127.0.0.1:8000/papers/2604.01234/ took 12 ms",
    "source https://huggingface.co/api/daily_papers?date=2026-04-17 answers 503",
    "the Daily of 2026-04-17: paused, look at `manage.py delivery` of 17, 18",
    "send_open_notices_late",
    "sent: {<State.ACCEPTED: 'accepted'>: 100}",
    "CSRF token missing",
    "KeyError: 'upvotes'",
    "there is no key: make one",
    "rows.sort(key=lambda row: row.at)",
    "bypass=1, monkey=2, 40 mails pass: 3 do not",
    "/feeds/topics/computer-vision-models.atom took 12 ms",
    "smtp://mail.example.org:587 does not answer",
]


def holds_a_secret(text: str) -> list[str]:
    secrets = (ADDRESS, "canary.reader", TOKEN, PASSWORD, NAME)
    return [secret for secret in secrets if secret in text]


@pytest.mark.parametrize("text", SECRETS.values(), ids=SECRETS)
def test_s22_every_shape_of_a_secret_is_masked(text):
    assert holds_a_secret(text)
    assert holds_a_secret(scrub(text)) == []
    assert "***" in scrub(text)
    assert scrub(scrub(text)) == scrub(text)


def refusals(kind: type[Exception] = SuspiciousOperation) -> list[str]:
    """The names of what Django refuses a request by."""
    below = [name for one in kind.__subclasses__() for name in refusals(one)]
    return [*below, kind.__name__] if kind.__module__.startswith("django.") else below


@pytest.mark.django_db
def test_whatever_django_refuses_a_request_by_is_one_line(client, caplog) -> None:
    """Anybody may have a request refused, as often as they like."""
    assert {"DisallowedHost", "TooManyFieldsSent", "RequestDataTooBig"} <= set(refusals())
    for name in refusals():
        found = logging.getLogger(f"django.security.{name}").filters
        assert {type(one) for one in found} == {logs.OneLine}, name
    many = {f"field{number}": "" for number in range(1200)}
    assert client.post("/u/AAAAAAAAAAAAAAAAAAAAAA", many).status_code < 500
    assert client.post("/subscribe/", many).status_code == 400
    told = [one for one in caplog.records if one.name.startswith("django.security.")]
    assert told and all(one.exc_info is None and not one.exc_text for one in told)


def test_no_words_of_others_steer_a_terminal():
    told = "NO \x1b[31m \x9b2J \x07\x00\x7f \u202eabc\u2066 \r overwritten"
    assert (
        scrub(f"{told}\n\tnext line") == "NO  [31m  2J      abc    overwritten\n\tnext line"
    )


@pytest.mark.parametrize("text", PLAIN)
def test_s22_what_an_operator_needs_to_read_is_left(text):
    assert scrub(text) == text


def pages_with_a_token() -> Iterator[str]:
    """The paths behind a link of ours, from the URLconf, with a token without a capital."""
    for route in routes(get_resolver().url_patterns):
        if re.search(r"<(?:\w+:)?token>", route):
            path = re.sub(r"<(?:\w+:)?token>", "q7zk-0canarytoken_x9ab", route)
            yield "/" + re.sub(r"<[^>]*>", "1", path)


def test_s22_the_path_behind_any_link_is_masked_in_any_case():
    paths = list(pages_with_a_token())
    assert len(paths) > 10 and any("feeds/mine" in path for path in paths)
    for path in paths:
        for written in (path, path.upper(), quote(path, safe="")):
            assert "canary" not in scrub(f"GET {written} 404").lower(), written


def test_s22_who_and_where_is_left_of_a_url():
    url = f"smtp://papers:{PASSWORD}@mail.example.org:587"
    assert scrub(url) == "smtp://papers:***@mail.example.org:587"
    assert scrub(f"redis://:{PASSWORD}@redis:6379/0") == "redis://:***@redis:6379/0"


@pytest.mark.parametrize(
    "piece",
    [
        "://",
        "a:",
        "://a",
        "://:",
        "password",
        "password=",
        "a@",
        "@",
        "a.",
        "%40",
        "/u/",
        "key=",
        "＠",
        "a。",
    ]
    + [
        "Aa0",
        "a-",
        "_",
        "Ab",
        "\nDETAIL: ",
        '"',
        "secret ",
        "abcdef0-",
        "x" * 64,
        "token_",
    ],
)
def test_s31_scrubbing_is_linear_in_the_length_of_the_text(piece):
    def seconds(length: int) -> float:
        text = (piece * length)[:length] + "!"
        return min(timed(text) for _ in range(2))

    def timed(text: str) -> float:
        begin = time.process_time()
        scrub(text)
        return time.process_time() - begin

    long = seconds(20_000)
    assert long < max(8 * seconds(5_000), 0.1)
    assert long < 1


@pytest.fixture
def lines() -> Iterator[Callable[[], str]]:
    """What a handler of somebody else's, with its own format, writes of all loggers."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    others = [logging.getLogger(name) for name in ("", "gunicorn.error", "celery.task")]
    for logger in others:
        logger.addHandler(handler)
    yield stream.getvalue
    for logger in others:
        logger.removeHandler(handler)


@pytest.mark.parametrize(
    "name", ["digest.x", "django.request", "gunicorn.error", "celery.task", "py.warnings"]
)
def test_s22_no_handler_is_given_a_secret(name, lines):
    logger = logging.getLogger(name)
    for text in SECRETS.values():
        logger.error("in the arguments: %s", text)
        logger.error(text)
        logger.error("too few places", text)
        logger.error("%d is a number", text)
        logger.error("an object: %s", [text])
        try:
            try:
                raise KeyError(text)
            except KeyError as error:
                error.add_note(text)
                raise IntegrityError(text) from error
        except IntegrityError:
            logger.exception("it failed", stack_info=True)
    assert holds_a_secret(lines()) == []
    assert lines().count("IntegrityError: ") >= len(SECRETS)


def test_s22_no_handler_of_djangos_own_is_attached():
    loggers = [logging.getLogger(), *logging.root.manager.loggerDict.values()]
    handlers = [one for logger in loggers for one in getattr(logger, "handlers", [])]
    assert not [one for one in handlers if isinstance(one, AdminEmailHandler)]
    assert logging.getLogger("django").handlers == []
    assert logging.getLogger("django.server").handlers == []


@pytest.mark.parametrize("where", ["main", "thread"])
def test_s22_what_nobody_catches_is_printed_without_secrets(where, capfd, caplog):
    text = "\n".join(SECRETS.values())
    try:
        raise ValueError(text)
    except ValueError as error:
        if where == "main":
            logs.uncaught(ValueError, error, error.__traceback__)
        else:
            caught = (ValueError, error, error.__traceback__, threading.current_thread())
            logs.uncaught_in_thread(threading.ExceptHookArgs(caught))
    said = capfd.readouterr().err + caplog.text
    assert "ValueError" in said
    assert holds_a_secret(said) == []


def test_s22_the_error_page_shows_no_password_of_a_setting(settings):
    settings.DEBUG = True
    settings.MAILER_URL = SECRETS["a relay's URL"]
    settings.REDIS_URL = settings.CELERY_BROKER_URL = SECRETS["no user"]
    request = RequestFactory().get("/")
    try:
        raise ValueError
    except ValueError as error:
        reporter = ExceptionReporter(request, type(error), error, error.__traceback__)
    assert PASSWORD not in reporter.get_traceback_html() + reporter.get_traceback_text()


@pytest.mark.django_db
def test_s22_what_readyz_says_of_a_relay_holds_no_secret(client):
    for text in SECRETS.values():
        circuit_breaker.reset()
        circuit_breaker.trip(timezone.now(), Failure(f"535 not you: {text}"))
        answer = client.get("/readyz")
        assert answer.status_code == 503
        assert "535 not you" in answer.text
        assert holds_a_secret(answer.text) == []


@pytest.mark.parametrize(
    "command", [["gunicorn", "digest.wsgi"], ["celery", "-A", "digest"]]
)
def test_s22_a_process_started_by_hand_scrubs_too(command):
    """Whatever command line it was started by: settings do it, no option does."""
    code = (
        "import logging, django; django.setup();"
        f"logging.getLogger({command[0]!r} + '.error').error({SECRETS['a URL']!r})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "digest.settings"},
        capture_output=True,
        text=True,
    )
    assert "/u/***" in done.stderr
    assert holds_a_secret(done.stderr) == []


# -- a whole stack in which everything fails ------------------------------------------

MOST = 50


@pytest.fixture
def relay(tmp_path: Path, monkeypatch) -> Iterator[Sink]:
    """A mail server that wants a password, over TLS, with a certificate to be trusted."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    with in_thread(tmp_path / "sink", tls=tls, secure=True) as sink:
        yield sink


def read_logs(stack: Stack) -> str:
    paths = [
        stack.printed,
        *stack.folder.glob("logs/*"),
        *stack.folder.parent.glob("*.shell*"),
    ]
    return "".join(path.read_text() for path in paths if path.is_file())


def wait_for_log(stack: Stack, words: str) -> None:
    until = time.monotonic() + 40
    while words not in read_logs(stack):
        assert time.monotonic() < until, read_logs(stack)
        time.sleep(0.1)


@pytest.mark.embedded
def test_s22_whatever_fails_no_log_and_no_mail_holds_a_secret(
    stacks: Callable[..., Stack], relay: Sink, redis_server: str
) -> None:
    """Wrong Hosts, broken views with a reader's form, failing tasks, a refused login."""
    redis.Redis.from_url(redis_server).config_set("requirepass", PASSWORD)
    secret_redis = redis_server.replace("unix://", f"unix://:{PASSWORD}@")
    where = f"127.0.0.1:{relay.port}"
    stack = stacks(
        ADMINS="ada@example.org",
        MAILER_URL=f"smtps://papers:{PASSWORD}@{where}",
        REDIS_URL=secret_redis,
    ).up()
    form: dict[str, str | list[str]] = {
        "email": ADDRESS,
        "interests": "0canary-interests",
        "timezone": "UTC",
        "send_hour": "9",
        "cadence": "daily",
    }
    assert stack.ask("/subscribe/", method="POST", form=form)[0] == 303
    (mail,) = relay.wait(1)
    token = str(mail.message.get_body(("plain",))).partition("/confirm/")[2][:22]
    assert len(token) == 22

    for number in range(MOST):
        wrong = {"Host": f"evil-{number}.example"}
        assert stack.ask(f"/confirm/{token}/", headers=wrong)[0] == 400
    with closing(sqlite3.connect(stack.folder / "db.sqlite3")) as database:
        for table in ("link", "request"):
            database.execute(f"ALTER TABLE subscribers_{table} RENAME TO {table}_away")
        database.commit()
    assert stack.ask("/subscribe/", method="POST", form=form)[0] == 503
    assert stack.ask(f"/confirm/{token}/", method="POST", form=form)[0] == 503
    assert read_logs(stack).count("Invalid HTTP_HOST header") == MOST
    assert "exceptions.DisallowedHost" not in read_logs(stack)
    wait_for_log(stack, "server error at /confirm/")
    wait_for_log(stack, "no such table: subscribers_request")
    wait_for_log(stack, "subscribers.tasks.send_notices")

    stack.env["MAILER_URL"] = f"smtps://papers:not-{PASSWORD}@{where}"
    with closing(sqlite3.connect(stack.folder / "db.sqlite3")) as database:
        database.execute(
            "INSERT INTO subscribers_notice (subscriber_id, kind, email, mailbox, state,"
            " created_at, not_before, attempts, reason, preferences)"
            " SELECT id, 'confirm', email, '',"
            " 'pending', created_at, created_at, 0, '', '{}' FROM subscribers_subscriber"
        )
        database.commit()
    code = (
        "import django; django.setup();from django.utils import timezone;"
        "from subscribers.notices import send; send.send_open_notices(now=timezone.now())"
    )
    stack.manage("deliver")
    run = [sys.executable, "-c", code]
    env = stack.env | {"DJANGO_SETTINGS_MODULE": "digest.settings"}
    done = subprocess.run(run, cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 0 and "1 notices wait" in done.stderr, done.stderr

    everything = read_logs(stack) + done.stdout + done.stderr
    canaries = [ADDRESS, "0canary-interests", token, PASSWORD]
    assert [one for one in canaries if one in everything] == []
    assert {mail.rcpt for mail in relay.mails()} == {(ADDRESS,)}
