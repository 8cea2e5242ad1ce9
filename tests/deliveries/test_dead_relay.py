"""A relay that cannot be used looks ill: log, alarm, /readyz, `edition` and `deliver` say why."""

import io
import json
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from urllib.parse import urlsplit

import pytest
import trustme
from django.core.management import CommandError, call_command

from digest.deliveries import heartbeats, ledger
from digest.models import BackOff, Delivery
from digest.transport import smtp_opening
from tests import make
from tests.sink import Sink, in_thread
from tests.smtp_sink import Illness

pytestmark = pytest.mark.django_db
PASSWORD = "correct-horse"
# What is wrong, and what the operator must be able to read of it.
DEAD = {
    "wrong password": "535",
    "password in another alphabet": "cannot be used to log in",
    "untrusted certificate": "has to be valid for 127.0.0.1",
    "another's certificate": "has to be valid for localhost",
    "nobody there": "nothing listens at 127.0.0.1:9",
    "no such host": "no address is known of relay.invalid",
    "no greeting": "says nothing: try smtps://",
    "no TLS": "try smtps://",
    "TLS too early": "does not begin with TLS: try smtp://",
    "no login": "takes no login: leave it out",
    "refused at MAIL": "530",
}


@pytest.fixture(autouse=True)
def quick(settings, tmp_path, monkeypatch):
    settings.STATE_DIR = tmp_path / "state"
    settings.REDIS_URL = "redis://127.0.0.1:9/0"
    settings.ADMINS = ["operator@example.org"]
    monkeypatch.setattr(smtp_opening, "OPEN_TIMEOUT", 1.0)


@pytest.fixture
def relay(tmp_path, monkeypatch) -> Iterator[Sink]:
    """A relay with TLS whose certificate this machine trusts."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    smtp_opening.trust.cache_clear()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with in_thread(tmp_path / "relay", tls=context) as sink:
        yield sink
    smtp_opening.trust.cache_clear()


def url(relay: Sink, password: str = "secret") -> str:
    return f"smtp://ann:{password}@127.0.0.1:{relay.port}?tls=starttls"


def dead(kind: str, relay: Sink, stack: ExitStack, tmp_path) -> str:
    """Make the relay unusable in this way and return its MAILER_URL."""
    urls = {
        "wrong password": url(relay, PASSWORD),
        "password in another alphabet": url(relay, "%D1%8F" + PASSWORD),
        "another's certificate": url(relay).replace("127.0.0.1", "localhost"),
        "TLS too early": f"smtps://127.0.0.1:{relay.port}",
        "nobody there": f"smtp://ann:{PASSWORD}@127.0.0.1:9",
        "no such host": f"smtp://ann:{PASSWORD}@relay.invalid:25?tls=starttls",
    }
    match kind:
        case _ if kind in urls:
            return urls[kind]
        case "untrusted certificate":
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
            return url(stack.enter_context(in_thread(tmp_path / "other", tls=context)))
        case "no login":
            plain = stack.enter_context(in_thread(tmp_path / "plain"))
            return f"smtp://ann:{PASSWORD}@127.0.0.1:{plain.port}?tls=none"
        case "no greeting":
            silent = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            return f"smtp://127.0.0.1:{silent.getsockname()[1]}"
        case "no TLS":
            plain = stack.enter_context(in_thread(tmp_path / "plain"))
            return url(plain)
    relay.ails(Illness("mail", "530 5.7.0 Must issue a STARTTLS command first"))
    return url(relay)


def run(*words: str) -> str:
    out = io.StringIO()
    call_command(*words, stdout=out)
    return out.getvalue()


@pytest.mark.parametrize("kind", DEAD)
def test_o2_a_dead_relay_is_told_everywhere_and_costs_time_only(
    kind, relay, settings, client, caplog, tmp_path, mailoutbox
):
    make.edition({make.paper(1): {"graphs": 1.0}})
    make.readers([f"r{number}@d{number}.example" for number in range(9)], "graphs")
    for loop in heartbeats.Loop:
        heartbeats.beat(loop, ledger.database_now())
    with ExitStack() as stack:
        settings.MAILER_URL = dead(kind, relay, stack, tmp_path)
        with pytest.raises(CommandError) as failed:
            run("deliver", "--day", f"{make.DAY}")
    told = {
        "deliver": str(failed.value),
        "edition": run("edition", f"{make.DAY}"),
        "edition --json": json.loads(run("edition", f"{make.DAY}", "--json"))["relay"],
        "relay": run("relay"),
        "log": caplog.text,
        "alarm": mailoutbox[0].body,
    }
    answer = client.get("/readyz", HTTP_HOST="127.0.0.1")
    assert answer.status_code == 503
    told["readyz"] = answer.content.decode()
    assert {place: DEAD[kind] in words for place, words in told.items()} == dict.fromkeys(
        told, True
    )
    assert not any(PASSWORD in words or "@d" in words for words in told.values())
    assert "degraded" in told["readyz"]
    assert set(Delivery.objects.values_list("state", "attempts")) == {("pending", 0)}
    relay.ails(None)
    settings.MAILER_URL = url(relay)
    assert "no rest" in run("relay", "resume")
    Delivery.objects.update(not_before=make.NOON)
    assert "9 accepted" in run("deliver", "--day", f"{make.DAY}")
    assert client.get("/readyz", HTTP_HOST="127.0.0.1").content.startswith(b"ready\n")
    assert len(relay.mails()) == 9


def test_o3_a_relay_that_flaps_is_told_of_once_an_hour(relay, settings, mailoutbox):
    make.edition({make.paper(1): {"graphs": 1.0}})
    make.reader("ann@example.org", "graphs")
    for _ in range(3):
        settings.MAILER_URL = "smtp://127.0.0.1:9"
        with pytest.raises(CommandError):
            run("deliver", "--day", f"{make.DAY}")
        run("relay", "resume")
        Delivery.objects.update(not_before=make.NOON)
    assert len(mailoutbox) == 1
    assert BackOff.objects.get(pk=BackOff.PROVIDER).alarmed_at
    assert urlsplit(settings.MAILER_URL).port == 9
