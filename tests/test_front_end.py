"""What proxies and balancers say of a request, read once."""

import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from digest import front_end
from digest.checks import mail_leaves_the_machine
from subscribers.models import Request
from tests.configured import GIVEN
from tests.configured import settings as settings_of
from tests.environment import ROOT, bare

pytestmark = pytest.mark.embedded


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://papers.example.org", "https://papers.example.org"),
        ("https://papers.example.org:443", "https://papers.example.org"),
        ("http://papers.example.org:80", "http://papers.example.org"),
        ("https://Papers.Example.org:8443", "https://papers.example.org:8443"),
        ("http://papers.example.org:443", "http://papers.example.org:443"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://[2001:db8::1]:8000", "http://[2001:db8::1]:8000"),
        ("https://[2001:db8::1]", "https://[2001:db8::1]"),
    ],
)
def test_an_origin_is_what_browsers_send(url: str, origin: str) -> None:
    assert front_end.origin(url) == origin


# Where SITE_URL leads, and whether only this machine can follow it.
SITES = [
    ("http://127.0.0.1:8000", True),
    ("http://127.8.9.10", True),
    ("http://localhost:8000", True),
    ("http://papers.localhost", True),
    ("http://[::1]:8000", True),
    ("https://papers.example.org", False),
    ("http://papers.example.org:8000", False),
    ("http://localhost.example.org", False),
    ("http://10.2.3.4:8000", False),
    ("http://192.168.1.7", False),
    ("http://0.0.0.0:8000", False),
    ("http://[2001:db8::1]", False),
    ("http://papers", False),
]


@pytest.mark.parametrize(("site", "local"), SITES)
def test_the_mailbox_is_open_at_an_address_of_this_machine_only(
    site: str, local: bool, tmp_path: Path
) -> None:
    read = settings_of({"SITE_URL": site}, state=tmp_path)
    assert (read["CATCHER"], read["MAILBOX"]) == (True, local)


@pytest.mark.parametrize(("site", "local"), SITES)
def test_check_deploy_names_a_public_site_whose_mail_stays_here(
    site: str, local: bool, settings: Settings
) -> None:
    settings.CATCHER, settings.SITE_HOST = True, urlsplit(site).hostname
    found = [message.id for message in mail_leaves_the_machine(None)]
    assert found == ([] if local else ["digest.E001"])
    settings.CATCHER = False
    assert mail_leaves_the_machine(None) == []


def test_check_deploy_ends_with_an_error_at_a_public_site_without_mail(
    tmp_path: Path,
) -> None:
    env = bare() | {"STATE_DIR": str(tmp_path), "SITE_URL": "https://papers.example.org"}
    command = [sys.executable, "manage.py", "check", "--deploy"]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 1
    assert "MAILER_URL is not set" in done.stderr


@pytest.fixture
def deployment(settings: Settings) -> None:
    settings.SITE_URL = settings.SITE_ORIGIN = "https://papers.example.org"
    settings.SITE_HOST = "papers.example.org"
    settings.ALLOWED_HOSTS = ["papers.example.org"]
    settings.SECURE_SSL_REDIRECT = True
    settings.BEHIND_PROXY = True
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")


# Host, X-Forwarded-Host, and whether the request is for our site.
HOSTS = [
    ("papers.example.org", "", True),
    ("Papers.Example.Org:8443", "", True),
    ("127.0.0.1:8000", "", True),
    ("[::1]:8000", "", True),
    ("10.2.3.4", "", True),
    ("web:8000", "", True),
    ("localhost", "", True),
    ("web.internal", "papers.example.org", True),
    ("web.internal", "papers.example.org:8443", True),
    ("web.internal", "papers.example.org, edge.internal", True),
    ("web.internal", "edge.internal,papers.example.org:443", True),
    ("evil.example", "", False),
    ("evil.example:443", "", False),
    ("papers.example.org.evil.example", "", False),
    ("web.internal", "evil.example", False),
    ("[::1", "", False),
]


@pytest.mark.parametrize(("host", "forwarded", "ours"), HOSTS)
@pytest.mark.django_db
def test_a_proxys_request_is_for_our_site_or_refused(
    deployment: None, client: Client, host: str, forwarded: str, ours: bool
) -> None:
    headers = {"Host": host, "X-Forwarded-Proto": "https"}
    if forwarded:
        headers["X-Forwarded-Host"] = forwarded
    answer = client.get("/preferences/", headers=headers)
    assert answer.status_code == (200 if ours else 400)


@pytest.mark.django_db
def test_a_redirect_leads_to_the_site_and_never_elsewhere(
    deployment: None, client: Client
) -> None:
    for host in ("papers.example.org:80", "web:8000", "127.0.0.1"):
        answer = client.get("/preferences/", headers={"Host": host})
        assert answer["Location"] == "https://papers.example.org/preferences/"


def test_without_a_proxy_other_hosts_are_refused(
    deployment: None, settings: Settings, client: Client
) -> None:
    settings.BEHIND_PROXY = False
    forged = {"Host": "10.2.3.4", "X-Forwarded-Host": "papers.example.org"}
    assert client.get("/preferences/", headers=forged).status_code == 400


# -- the client's address ---------------------------------------------------------

# X-Forwarded-For, how many proxies are ours, and the client's address.
FORWARDED = [
    ("203.0.113.7", 1, "203.0.113.7"),
    ("203.0.113.7:51234", 1, "203.0.113.7"),
    (" 203.0.113.7 ", 1, "203.0.113.7"),
    ("203.0.113.7,", 1, "203.0.113.7"),
    ("203.0.113.7, ,", 1, "203.0.113.7"),
    ('"203.0.113.7:51234"', 1, "203.0.113.7"),
    ("2001:db8::7", 1, "2001:db8::7"),
    ("[2001:db8::7]", 1, "2001:db8::7"),
    ("[2001:db8::7]:443", 1, "2001:db8::7"),
    ('"[2001:db8::7]:443"', 1, "2001:db8::7"),
    ("::ffff:203.0.113.7", 1, "::ffff:203.0.113.7"),
    ("198.51.100.1, 203.0.113.7", 1, "203.0.113.7"),
    ("forged, 203.0.113.7", 1, "203.0.113.7"),
    ("203.0.113.7, 10.0.0.1", 2, "203.0.113.7"),
    ("forged, 203.0.113.7:1, [2001:db8::1]:2", 2, "203.0.113.7"),
    ("1.1.1.1, 203.0.113.7, 10.0.0.1, 10.0.0.2", 3, "203.0.113.7"),
    ("203.0.113.7", 2, "203.0.113.7"),
    ("203.0.113.7, unknown", 1, ""),
    ("_hidden", 1, ""),
    ("", 1, ""),
    (",", 1, ""),
    ("[::1", 1, ""),
    ("999.1.1.1", 1, ""),
    ("203.0.113.7:_port", 1, "203.0.113.7"),
    ("x" * 5000, 1, ""),
]


@pytest.mark.parametrize(("forwarded", "proxies", "client"), FORWARDED)
def test_the_clients_address_is_what_our_outermost_proxy_saw(
    forwarded: str, proxies: int, client: str
) -> None:
    assert front_end.client_address(forwarded, proxies=proxies) == client


@pytest.mark.parametrize(
    ("behind", "forwarded", "network"),
    [
        (True, "198.51.100.1, 203.0.113.7:51234,", "203.0.113.0/24"),
        (True, "[2001:db8:1:2::7]:443", "2001:db8:1::/48"),
        (True, "::ffff:203.0.113.7", "203.0.113.0/24"),
        (True, "unknown", "192.0.2.0/24"),
        (True, "", "192.0.2.0/24"),
        (False, "203.0.113.7", "192.0.2.0/24"),
    ],
)
@pytest.mark.django_db
def test_a_request_counts_for_its_clients_network(
    deployment: None,
    settings: Settings,
    client: Client,
    behind: bool,
    forwarded: str,
    network: str,
) -> None:
    settings.BEHIND_PROXY = behind
    headers = {"Host": "papers.example.org", "X-Forwarded-Proto": "https"}
    if forwarded:
        headers["X-Forwarded-For"] = forwarded
    form = {"email": "ann@example.org"}
    client.post("/preferences/", form, headers=headers, REMOTE_ADDR="192.0.2.9")
    assert Request.objects.get().network == network


# -- for machines, and what every answer says ---------------------------------------


@pytest.mark.parametrize("host", ["10.2.3.4:8000", "127.0.0.1", "[::1]", "web:8000", "x.y"])
@pytest.mark.parametrize("behind", [True, False])
@pytest.mark.django_db
def test_a_balancer_asks_for_health_by_any_name_and_without_tls(
    deployment: None, settings: Settings, client: Client, host: str, behind: bool
) -> None:
    settings.BEHIND_PROXY = behind
    assert client.get("/healthz", headers={"Host": host}).status_code == 200
    assert client.get("/readyz", headers={"Host": host}).status_code in {200, 503}


@pytest.mark.django_db
def test_health_needs_no_host_at_all(deployment: None, client: Client) -> None:
    assert client.get("/healthz", headers={"Host": ""}).status_code == 200


@pytest.mark.django_db
@pytest.mark.parametrize(
    "path", ["/", "/preferences/", "/nothing/", "/healthz", "/admin/login/"]
)
def test_every_answer_says_what_browsers_may_do(client: Client, path: str) -> None:
    answer = client.get(path)
    assert "camera=()" in answer["Permissions-Policy"]
    assert answer["X-Frame-Options"] in {"DENY", "SAMEORIGIN"}
    assert "frame-ancestors" in answer["Content-Security-Policy"]
    assert answer["X-Content-Type-Options"] == "nosniff"


def test_a_public_site_stands_in_no_frame(tmp_path: Path) -> None:
    read = settings_of(GIVEN, state=tmp_path)
    assert read["X_FRAME_OPTIONS"] == "DENY"
    assert read["SECURE_CSP"]["frame-ancestors"] == ["'none'"]


def test_security_txt_says_where_to_report_a_weakness(
    settings: Settings, client: Client
) -> None:
    settings.SITE_URL = "https://papers.example.org"
    settings.FROM_EMAIL = "Daily Papers <papers@papers.example.org>"
    answer = client.get("/.well-known/security.txt")
    assert answer["Content-Type"] == "text/plain; charset=utf-8"
    fields = dict(line.split(": ", 1) for line in answer.text.splitlines())
    assert fields["Contact"] == "mailto:papers@papers.example.org"
    assert fields["Canonical"] == "https://papers.example.org/.well-known/security.txt"
    left = datetime.fromisoformat(fields["Expires"]) - timezone.now()
    assert timedelta(days=28) < left <= timedelta(days=30)
