"""What proxies and balancers say of a request, read once."""

import pytest
from django.test import Client
from pytest_django import Settings

from digest import front_end

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
