"""What proxies and balancers say of a request, read once."""

import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.test import Client
from pytest_django import Settings

from digest import front_end
from digest.checks import mail_leaves_the_machine
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
