"""Every form, ours and the admin's, posted by a real browser, whatever stands before us.

What a test client cannot show: the Origin that a browser sends with the page's own referrer
policy, cookies that are for TLS only, and Content-Security-Policy's form-action.
"""

import random
import re
import socket
import socketserver
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count

import pytest
from django.contrib.auth import get_user_model
from django.utils import timezone
from playwright.sync_api import Browser, Page, Response, expect, sync_playwright
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from digest import front_end, signing
from digest.editions import picks
from digest.editions.compose import Pick, Reader
from digest.models import Delivery, Edition, Paper, Vote
from digest.ranking.loaded import load
from subscribers import links
from subscribers.models import Browser as RememberedBrowser
from subscribers.models import Link, Request, Subscriber, Suppression
from tests import make
from tests.conftest import installed_chromium
from tests.environment import ROOT
from tests.reverse_proxy import reverse_proxy

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

PASSWORD = "correct horse battery staple"
SITE = "papers.example.org"


# -- what stands before us --------------------------------------------------------


@dataclass(frozen=True)
class Front:
    """`site`: SITE_URL, with {port} for the port that the browser asks.

    `says`: the headers that the proxy puts in place; None where there is no proxy.
    """

    site: str
    says: dict[str, str] | None = None


TLS = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.7"}
FRONTS = {
    "nothing": Front("http://127.0.0.1:{port}"),
    "another port": Front("http://papers.example.org:{port}"),
    "a proxy, Host without the port": Front(
        "http://papers.example.org:{port}", {"Host": "{name}"}
    ),
    "TLS": Front("https://papers.example.org", TLS | {"Host": "{host}"}),
    "TLS at another port": Front(
        "https://papers.example.org:{port}", TLS | {"Host": "{host}"}
    ),
    "TLS at another port, Host without it": Front(
        "https://papers.example.org:{port}", TLS | {"Host": "{name}"}
    ),
    "TLS, Host is the process's address": Front(
        "https://papers.example.org", TLS | {"Host": "127.0.0.1:8000"}
    ),
    "TLS, Host is the service's name": Front(
        "https://papers.example.org:{port}", TLS | {"Host": "web:8000"}
    ),
    "TLS, X-Forwarded-Host": Front(
        "https://papers.example.org:{port}",
        TLS | {"Host": "web.internal", "X-Forwarded-Host": "{host}"},
    ),
    "TLS, X-Forwarded-Host of two proxies": Front(
        "https://papers.example.org",
        TLS | {"Host": "web.internal", "X-Forwarded-Host": "{host}, edge.internal"},
    ),
}
# Behind these every form is posted; behind the others one with a session and one without.
HOSTILE = "TLS at another port, Host without it"
ALL_FORMS = [pytest.param("nothing", marks=pytest.mark.nightly), HOSTILE]


@pytest.fixture(scope="module")
def port() -> int:
    """The port that the browser asks, whatever stands before us.

    It is free between two tests, so it is none of those that the system gives to others.
    """
    for found in random.SystemRandom().sample(range(20_000, 32_000), 50):
        with socket.socket() as tried, suppress(OSError):
            tried.bind(("127.0.0.1", found))
            return found
    raise OSError("no free port from 20,000 to 32,000")


@pytest.fixture(scope="module")
def named(port: int) -> Iterator[Browser]:
    """A browser for which SITE is this machine."""
    if installed_chromium() is None:
        pytest.skip("no Chromium found: install chromium to run the browser tests")
    # A name of the example domain, and port 443, without being root.
    rules = f"MAP {SITE}:443 127.0.0.1:{port}, MAP {SITE} 127.0.0.1"
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        options = ["--no-sandbox", "--disable-dev-shm-usage"]
        browser = playwright.chromium.launch(
            executable_path=installed_chromium(),
            args=[*options, f"--host-resolver-rules={rules}"],
        )
        yield browser
        browser.close()


def bind_again(server: socketserver.TCPServer) -> None:
    server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.socket.bind(server.server_address)
    server.server_address = server.socket.getsockname()


@pytest.fixture
def site(
    request: pytest.FixtureRequest, settings: Settings, named: Browser, port: int
) -> Iterator[tuple[str, Page]]:
    """Our address as the browser has it, and a page of that browser."""
    front = FRONTS[request.param]
    url = front.site.format(port=port)
    settings.SITE_URL, settings.SITE_HOST = url, front.site.split("/")[2].split(":")[0]
    settings.SITE_ORIGIN = front_end.origin(url)
    settings.CSRF_TRUSTED_ORIGINS = [settings.SITE_ORIGIN]
    settings.ALLOWED_HOSTS = [settings.SITE_HOST]
    settings.HTTPS = url.startswith("https")
    settings.SESSION_COOKIE_SECURE = settings.CSRF_COOKIE_SECURE = settings.HTTPS
    prefix = "__Host-" if settings.HTTPS else ""
    settings.COOKIE_PREFIX = prefix
    settings.SESSION_COOKIE_NAME = f"{prefix}sessionid"
    settings.CSRF_COOKIE_NAME = f"{prefix}csrftoken"
    settings.SECURE_SSL_REDIRECT = settings.HTTPS
    settings.BEHIND_PROXY = bool(front.says)
    if front.says:
        settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    with ExitStack() as running:
        # The port of the test before has connections that are ending.
        patch = running.enter_context(pytest.MonkeyPatch.context())
        patch.setattr(socketserver.TCPServer, "server_bind", bind_again)
        server = LiveServer("127.0.0.1" if front.says else f"127.0.0.1:{port}")
        running.callback(server.stop)
        if front.says:
            backend = int(server.url.rpartition(":")[2])
            tls = SITE if settings.HTTPS else ""
            running.enter_context(
                reverse_proxy(backend, says=front.says, tls=tls, port=port)
            )
        context = named.new_context(ignore_https_errors=True)
        running.callback(context.close)
        page = context.new_page()
        page.set_default_timeout(30_000)
        yield url, page


# -- ours -------------------------------------------------------------------------

numbers = count(1)


def reader(state: str = "active") -> Subscriber:
    return make.reader(f"reader{next(numbers)}@example.org", "graphs", state=state)


def link(purpose: Link.Purpose, *, state: str = "active", days: int = 0) -> str:
    """The path behind a fresh link of a new reader, or one that is so many days old."""
    at = timezone.now() - timedelta(days=days)
    email = f"new{next(numbers)}@example.com"
    return f"/{purpose}/{links.make(reader(state), purpose, now=at, email=email)}/"


def preferences() -> str:
    return link(Link.Purpose.PREFERENCES)


def paused() -> str:
    path = preferences()
    Subscriber.objects.filter(pk=Link.objects.latest("pk").subscriber_id).update(
        state="paused"
    )
    return path


def voted() -> str:
    path = preferences()
    Vote.objects.create(
        subscriber_id=Link.objects.latest("pk").subscriber_id,
        paper=Paper.objects.get(),
        value=1,
        at=timezone.now(),
    )
    return path


def vote(one: Subscriber | None = None) -> str:
    edition = Edition.objects.get()
    one = one or reader()
    delivery = Delivery.objects.create(
        edition=edition,
        subscriber=one,
        state=Delivery.State.ACCEPTED,
        picks=picks.format_picks(
            load(edition.pk).encoded, Reader(1, one.email, "t"), [Pick(0, 0)]
        ),
        due_at=make.NOON,
        not_before=make.NOON,
        expires_at=make.NOON,
    )
    return f"/v/{signing.name(signing.Purpose.PAGE, delivery.pk)}/0"


def own_vote() -> str:
    """The page of a mail that went to the reader of this browser."""
    return vote(RememberedBrowser.objects.get().subscriber)


def way_out() -> str:
    return f"/u/{reader().unsubscribe_token}"


def left() -> str:
    path = way_out()
    Subscriber.objects.update(state=Subscriber.State.UNSUBSCRIBED)
    return path


def at(path: str) -> Callable[[], str]:
    return lambda: path


@dataclass(frozen=True)
class Form:
    template: str
    page: Callable[[], str]
    button: str
    typed: dict[str, str] = field(default_factory=dict)
    first: str = ""  # a button that brings the form about


ADDRESS = {"#email": "ann@example.org"}
OURS = [
    Form("subscribers/_begin_form.html", at("/"), "Subscribe", ADDRESS),
    Form("subscribers/_sign_up_form.html", at("/subscribe/"), "Subscribe", ADDRESS),
    Form(
        "subscribers/_typed.html",
        at("/subscribe/"),
        "Correct the address",
        ADDRESS,
        first="Subscribe",
    ),
    Form(
        "subscribers/preferences_link.html",
        at("/preferences/"),
        "Mail me the link",
        ADDRESS,
    ),
    Form(
        "subscribers/confirm.html",
        lambda: link(Link.Purpose.CONFIRM, state="pending"),
        "Confirm my subscription",
    ),
    Form(
        "subscribers/expired.html",
        lambda: link(Link.Purpose.PREFERENCES, days=9),
        "Mail me a new link",
    ),
    Form(
        "subscribers/block.html",
        lambda: link(Link.Purpose.CONFIRM, state="pending").replace("confirm", "block"),
        "Block this address",
    ),
    Form(
        "subscribers/address.html", lambda: link(Link.Purpose.ADDRESS), "Use this address"
    ),
    Form("subscribers/data.html", lambda: link(Link.Purpose.DATA), "Erase all my data"),
    Form("subscribers/preferences.html", preferences, "Save", {"#keywords": "graphs"}),
    Form("subscribers/preferences.html", preferences, "Pause my mails"),
    Form("subscribers/preferences.html", paused, "Resume my mails"),
    Form(
        "subscribers/preferences.html",
        preferences,
        "Mail a link to the new address",
        {"#new-email": "new@example.com"},
    ),
    Form("subscribers/preferences.html", preferences, "Mail me a link to download"),
    Form("subscribers/preferences.html", preferences, "Unsubscribe"),
    Form("subscribers/unsubscribe.html", way_out, "Unsubscribe"),
    Form("subscribers/unsubscribe.html", way_out, "Switch to once a week"),
    Form("subscribers/unsubscribe.html", way_out, "Pause for 30 days"),
    Form("subscribers/unsubscribe.html", way_out, "Mail me a link to my preferences"),
    Form("subscribers/unsubscribe.html", left, "Mail me a link to come back"),
    Form(
        "subscribers/door.html", lambda: way_out().replace("/u/", "/p/"), "Mail me the link"
    ),
    Form(
        "subscribers/unsubscribe_done.html",
        way_out,
        "Mail me a link to undo this",
        first="Unsubscribe",
    ),
    Form("digest/vote.html", vote, "More like this"),
    Form("digest/vote.html", vote, "Less like this"),
    Form("digest/vote.html", vote, "Undo", first="More like this"),
    Form("digest/_votes.html", voted, "Remove this vote"),
    Form("digest/_private_feed.html", preferences, "Make my feed"),
    Form("digest/_private_feed.html", preferences, "End the feed", first="Make my feed"),
    Form(
        "digest/my_papers.html",
        lambda: f"{preferences()}saved/",
        "Add",
        {"#ids": "2604.00001"},
    ),
    Form("digest/_less.html", vote, "Mail me the link"),
    Form("subscribers/preferences.html", preferences, "This browser is mine"),
    Form("subscribers/preferences.html", at("/preferences/mine/"), "Save"),
    Form("digest/_less.html", own_vote, "Undo", first="Leave out"),
    Form("subscribers/preferences.html", at("/preferences/mine/"), "Remove it"),
]


def test_s30_the_table_has_every_form() -> None:
    posting = re.compile(r'<form[^>]*method="post"')
    templates = ROOT / "templates"
    found = {
        str(path.relative_to(templates))
        for path in templates.rglob("*.html")
        if posting.search(path.read_text())
    }
    # test_console.py posts the operator's, act by act.
    acts = "edition reader doctor login code account announcement relays unknown imports import"
    acts += " suppression reports"
    console = {f"console/{name}.html" for name in acts.split()}
    assert {form.template for form in OURS} | console == found


def press(page: Page, name: str, *, says: str = "") -> None:
    """Press a button and see that its POST was taken; with `says`, what comes next."""

    def is_posted(answer: Response) -> bool:
        return answer.request.method == "POST" and not answer.url.endswith("/preview/")

    with page.expect_response(is_posted) as posted:
        page.get_by_role("button", name=name).first.click()
    answer = posted.value
    assert answer.status in {200, 302, 303}, (
        name,
        answer.status,
        answer.request.all_headers().get("origin"),
    )
    page.wait_for_load_state()
    expect(page.locator("body"), name).to_contain_text(says, use_inner_text=True)


@pytest.mark.parametrize("site", ALL_FORMS, indirect=True)
def test_s30_a_browser_posts_every_form_of_ours(site: tuple[str, Page]) -> None:
    url, page = site
    make.edition({make.paper(1, upvotes=3): {"graphs": 1.0}})
    for form in OURS:
        page.goto(url + form.page())
        for closed in page.locator("details.fold:not([open]) > summary").all()[::-1]:
            closed.click()
        for box, text in form.typed.items():
            page.locator(box).fill(text)
        if form.first:
            press(page, form.first)
        if form.template == "subscribers/_sign_up_form.html":
            page.locator("input[value=graphs]").check()
        press(page, form.button)
    assert Request.objects.filter(email="ann@example.org").count() == 3
    kept = {(one["name"], one["path"]) for one in page.context.cookies()}
    assert kept == {("typed", "/subscribe/done/"), ("typed", "/preferences/sent/")}


# -- the admin's ------------------------------------------------------------------


def log_in(page: Page, url: str) -> None:
    get_user_model().objects.create_superuser("ada", password=PASSWORD)
    page.goto(f"{url}/admin/")
    page.locator("#id_username").fill("ada")
    page.locator("#id_password").fill(PASSWORD)
    press(page, "Log in", says="All tables")


@pytest.mark.parametrize("site", sorted(set(FRONTS) - {HOSTILE}), indirect=True)
def test_s30_a_browser_posts_a_form_from_behind(site: tuple[str, Page]) -> None:
    url, page = site
    page.goto(url + way_out())
    press(page, "Unsubscribe", says="You are unsubscribed")
    log_in(page, url)
    page.goto(f"{url}/admin/")
    press(page, "Log out", says="Logged out")


@pytest.mark.parametrize("site", [HOSTILE], indirect=True)
def test_s30_a_browser_posts_every_form_of_the_admin(site: tuple[str, Page]) -> None:
    url, page = site
    log_in(page, url)

    page.goto(f"{url}/admin/subscribers/suppression/add/")
    page.locator("#id_email").fill("eve@example.org")
    press(page, "Save", says="was added successfully")
    assert Suppression.objects.get().reason == Suppression.Reason.MANUAL

    page.goto(f"{url}/admin/auth/group/add/")
    page.locator("#id_name").fill("desk")
    press(page, "Save", says="was added successfully")

    page.goto(f"{url}/admin/auth/user/add/")
    page.locator("#id_username").fill("bob")
    page.locator("#id_password1").fill(PASSWORD)
    page.locator("#id_password2").fill(PASSWORD)
    press(page, "Save", says="was added successfully")
    page.locator("#id_first_name").fill("Bob")
    press(page, "Save", says="was changed successfully")
    bob = get_user_model().objects.get(username="bob")
    page.goto(f"{url}/admin/auth/user/{bob.pk}/password/")
    page.locator("#id_password1").fill(PASSWORD + "!")
    page.locator("#id_password2").fill(PASSWORD + "!")
    press(page, "Change password", says="changed successfully")
    page.goto(f"{url}/admin/auth/user/{bob.pk}/delete/")
    press(page, "Yes, I’m sure", says="was deleted successfully")
    page.goto(f"{url}/admin/auth/group/")
    page.locator("input.action-select").first.check()
    page.get_by_label("Action:").select_option("delete_selected")
    press(page, "Run")
    press(page, "Yes, I’m sure", says="Successfully deleted 1 group")

    page.goto(f"{url}/admin/password_change/")
    page.locator("#id_old_password").fill(PASSWORD)
    page.locator("#id_new_password1").fill(PASSWORD + "!")
    page.locator("#id_new_password2").fill(PASSWORD + "!")
    press(page, "Change my password", says="Password change successful")
    press(page, "Log out", says="Logged out")
