"""Which language a page speaks: its address's, its reader's, or the browser's."""

import io
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from django.conf import settings
from django.core.signals import request_finished, request_started
from django.test import Client
from django.test.utils import override_settings
from django.utils import timezone

from digest.wsgi import application
from subscribers import links
from subscribers.models import Link, Request, Subscriber
from tests import make
from tests.environment import ROOT
from tests.site.conftest import MakePaper
from tests.test_german import runs

pytestmark = [pytest.mark.django_db, pytest.mark.embedded]

GERMAN = {"Accept-Language": "de-AT,de;q=0.9,en;q=0.5"}
FRENCH = {"Accept-Language": "fr"}


def spoken(html: str) -> str:
    found = re.search(r'<html lang="(\w+)"', html)
    assert found
    return found[1]


@pytest.mark.parametrize("headers", [{}, GERMAN, FRENCH])
@pytest.mark.parametrize(
    "path",
    ["/", "/topics/", "/search/?q=paper", "/subscribe/", "/preferences/", "/nowhere/"],
)
def test_an_address_alone_decides_the_language(
    client: Client, paper: MakePaper, path: str, headers: dict[str, str]
) -> None:
    paper()
    for prefix, code in (("", "en"), ("/de", "de")):
        response = client.get(prefix + path, headers=headers)
        assert spoken(response.content.decode()) == code
        assert response["Content-Language"] == code
        assert "Language" not in response.get("Vary", "")


def test_a_kept_answer_is_given_in_its_own_language_only(
    paper: MakePaper, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cache of whole answers, asked in turn, also with the other's ETag."""
    for signal in (request_started, request_finished):  # the test's connection stays open
        monkeypatch.setattr(signal, "receivers", [])
    paper()
    tags: dict[str, str] = {}
    for _ in range(2):
        for path, code, words in (("/", "en", b"Subscribe"), ("/de/", "de", b"Abonnieren")):
            status, headers, body = ask(path, tags.get("/" if code == "de" else "/de/", ""))
            assert status == "200 OK" and headers["Content-Language"] == code
            assert words in body and f'<html lang="{code}"'.encode() in body
            tags[path] = headers["ETag"]
        assert ask("/de/", tags["/de/"])[0] == "304 Not Modified"


def ask(path: str, tag: str) -> tuple[str, dict[str, str], bytes]:
    """Ask the whole WSGI application as a German browser."""
    request = Client()._base_environ(PATH_INFO=path)  # type: ignore[attr-defined]
    request |= {"HTTP_IF_NONE_MATCH": tag, "HTTP_ACCEPT_LANGUAGE": "de"}
    del request["HTTP_COOKIE"]
    begun: list[tuple[str, dict[str, str]]] = []

    def start(status: str, headers: list[tuple[str, str]], _: object = None) -> object:
        begun.append((status, dict(headers)))
        return None

    body = b"".join(application(request, start))  # type: ignore[arg-type]
    return *begun[0], body


def test_each_page_names_its_other_languages_and_itself(
    client: Client, paper: MakePaper
) -> None:
    paper(authors=["Ünal O’Neill? Jr."])
    for path in (
        "/",
        "/papers/2604.00001/",
        "/authors/%C3%9Cnal%20O%E2%80%99Neill%3F%20Jr./",
    ):
        for prefix in ("", "/de"):
            html = client.get(f"{prefix}{path}?page=1").content.decode()
            url = f"{settings.SITE_URL}{{}}{path}"
            alternates = dict(re.findall(r'hreflang="([\w-]+)" href="([^"]+)"', html))
            assert alternates == {
                "en": url.format(""),
                "de": url.format("/de"),
                "x-default": url.format(""),
            }
            assert f'<link rel="canonical" href="{url.format(prefix)}">' in html
            other = "" if prefix else "/de"
            assert (
                f'<a href="{other}{path}?page=1" lang="{"de" if other else "en"}"' in html
            )


def test_a_link_of_a_page_stays_in_its_language(client: Client, paper: MakePaper) -> None:
    paper()
    for path in (
        "/",
        "/papers/2604.00001/",
        "/papers/2026-04-17/",
        "/topics/",
        "/search/?q=p",
    ):
        html = client.get(f"/de{path}").content.decode()
        linked = set(re.findall(r'(?:href|action|data-page)="(/[^"]*)"', html))
        ours = {link for link in linked if not link.startswith(("/de/", "/static/"))}
        stay = ("/saved/papers.", "/api/", "/card.png", "/papers/2604.00001/cite.")
        others = {link for link in ours if not link.startswith(stay)}
        assert len(others) == 1, others  # the same page in English


@pytest.mark.parametrize("language", ["en", "de"])
def test_a_page_behind_a_link_speaks_its_readers_language(
    client: Client, language: str
) -> None:
    reader = make.reader("ann@example.org")
    Subscriber.objects.update(language=language)
    token = links.make(reader, Link.Purpose.PREFERENCES, now=timezone.now())
    browser = FRENCH if language == "en" else {"Accept-Language": "en"}
    for path in (
        f"/preferences/{token}/",
        f"/u/{reader.unsubscribe_token}",
        f"/preferences/{token}/why/",
    ):
        response = client.get(path, headers=browser)
        assert spoken(response.content.decode()) == language == response["Content-Language"]
    assert spoken(client.get("/topics/").content.decode()) == "en"  # nothing stays behind


@pytest.mark.parametrize(
    ("headers", "code"),
    [({}, "en"), (GERMAN, "de"), (FRENCH, "en"), ({"Accept-Language": "*"}, "en")],
)
def test_a_link_of_nobody_is_answered_in_the_browsers_language(
    client: Client, headers: dict[str, str], code: str
) -> None:
    for path in (f"/confirm/{'x' * 22}/", f"/u/{'x' * 22}", "/data/xq/"):
        assert spoken(client.get(path, headers=headers).content.decode()) == code


@pytest.mark.parametrize(
    ("path", "headers", "posted", "stored"),
    [
        ("/subscribe/", {}, {}, "en"),
        ("/subscribe/", GERMAN, {}, "de"),
        ("/subscribe/", FRENCH, {}, "en"),
        ("/de/subscribe/", FRENCH, {}, "de"),
        ("/de/subscribe/", GERMAN, {"language": "en"}, "en"),
    ],
)
def test_a_sign_up_is_for_mail_in_the_wished_language(
    client: Client, path: str, headers: dict[str, str], posted: dict[str, str], stored: str
) -> None:
    form = client.get(path, headers=headers).content.decode()
    if not posted:
        assert f'<option value="{stored}" selected>' in form
    client.post(path, {"email": "ann@example.org"} | posted, headers=headers)
    assert Request.objects.get().preferences["language"] == stored


@pytest.fixture
def xhosa(tmp_path: Path) -> Iterator[None]:
    """A third language as one adds it: a line in the settings, and a catalogue."""
    source = ROOT / "digest" / "locale" / "de" / "LC_MESSAGES" / "django.po"
    made = Catalog(locale="xh")
    for one in read_po(io.BytesIO(source.read_bytes())):
        forms = [one.id] if isinstance(one.id, str) else list(one.id)
        turned = ["".join(marked(form)) for form in forms]
        if one.id:
            made.add(one.id, turned if len(turned) > 1 else turned[0], context=one.context)
    folder = tmp_path / "xh" / "LC_MESSAGES"
    folder.mkdir(parents=True)
    with (folder / "django.mo").open("wb") as file:
        write_mo(file, made)
    with override_settings(
        LANGUAGES=[*settings.LANGUAGES, ("xh", "isiXhosa")],
        LOCALE_PATHS=[*settings.LOCALE_PATHS, tmp_path],
    ):
        yield


def marked(text: str) -> Iterator[str]:
    """Yield a text with every word in capitals, but not its placeholders and tags.

    The format of a date stays.
    """
    if re.fullmatch("[jlFMY, ]+", text):
        yield text
        return
    for part in re.split(r"(%\(\w+\)[.\d]*[a-z]|{\w+}|<[^>]*>)", text):
        yield part if part[:1] in ("%", "{", "<") else part.upper()


@pytest.mark.usefixtures("xhosa")
def test_a_third_language_is_a_catalogue_and_one_line(
    client: Client, paper: MakePaper
) -> None:
    paper(title="Xqtitle", abstract="Xqabstract", authors=["Xqname"])
    for path in (
        "/",
        "/topics/",
        "/privacy/",
        "/subscribe/",
        "/search/?q=xqnever",
        "/saved/",
    ):
        html = client.get(f"/xh{path}").content.decode()
        assert spoken(html) == "xh" and 'hreflang="de"' in html
        html = re.sub(
            "Friday|April|Apr", "", html
        )  # Django's own, which it has not in Xhosa
        assert {run for run in runs(html) if run != run.upper()} == set()
