"""What strangers put into forms and addresses reaches no mail server and no browser."""

import re
from urllib.parse import urlsplit

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone

from subscribers import links, tasks
from subscribers.addresses import canonical
from subscribers.models import Link, Subscriber
from tests.make import DAY, edition, paper
from tests.sink import Sink
from tests.subscribers.conftest import TOKEN
from tests.subscribers.test_addresses import ACCEPTED, REFUSED

SMUGGLED = [
    "\r\n.\r\nMAIL FROM:<x@evil.test>\r\nRCPT TO:<y@evil.test>\r\nDATA\r\n",
    "\n.\n",
    "\r.\r",
    "\r\nBcc: y@evil.test",
    "\x85Bcc: y@evil.test",
    "\u2028Bcc: y@evil.test",
    "\x00",
]
OFF_SITE = [
    "//evil.test",
    "https:evil.test",
    "https://evil.test/",
    "\\\\evil.test",
    "/\\evil.test",
    "%2f%2fevil.test",
    "javascript:alert(1)",
]
NAMES = ["next", "url", "u", "to", "return", "redirect", "page", "q", "tab"]


@pytest.mark.each_row
@pytest.mark.parametrize("payload", SMUGGLED, ids=repr)
def test_s7_a_field_that_smuggles_reaches_no_header_and_no_second_mail(
    mailer: Sink, client: Client, form, payload: str
) -> None:
    client.post("/subscribe/", form | {"interests": "cats" + payload})
    client.post("/subscribe/", form | {"email": "bob@example.org" + payload})
    client.post("/subscribe/", form | {"timezone": "UTC" + payload})
    tasks.send_notices()
    mails = mailer.mails()
    assert {mail.rcpt for mail in mails} <= {("ann@example.org",)}
    for mail in mails:
        assert b"evil" not in mail.raw
        assert not re.search(rb"(?<!\r)\n|\r(?!\n)|\x00", mail.raw)


def test_s6_each_vector_is_refused_or_written_to_as_it_is_stored(
    mailer: Sink, client: Client, form
) -> None:
    for typed in [*ACCEPTED, *REFUSED]:
        before = len(mailer.mails())
        answer = client.post("/subscribe/", form | {"email": typed})
        tasks.send_notices()
        written = [rcpt for mail in mailer.mails()[before:] for rcpt in mail.rcpt]
        if answer.status_code == 303:
            assert written == [Subscriber.objects.get().email] == [canonical(typed.strip())]
        else:
            assert (answer.status_code, written) == (400, []), typed
            assert typed not in ACCEPTED
            assert re.search(r'id="email_error"[^>]*>[^<]{10,}<', answer.text)
        Subscriber.objects.all().delete()


def routes(resolver: URLResolver, before: str = "/") -> list[str]:
    """All routes but the admin's, each with values that lead somewhere."""
    found: list[str] = []
    for entry in resolver.url_patterns:
        route = before + str(entry.pattern)
        if isinstance(entry, URLResolver):
            found += [] if entry.app_name == "admin" else routes(entry, route)
        elif isinstance(entry, URLPattern):
            found.append(route)
    return found


def filled(route: str, values: dict[str, str]) -> str:
    return re.sub(r"<(?:\w+:)?(\w+)>", lambda match: values.get(match[1], "x"), route)


@pytest.mark.embedded
def test_s13_nothing_leads_off_the_site_whatever_is_asked(
    client: Client, active: Subscriber
) -> None:
    edition({paper(1): {"graphs": 1.0}})
    now = timezone.now()
    token = links.make(active, Link.Purpose.PREFERENCES, now=now)
    values = {"token": token, "day": str(DAY), "slug": "graphs", "arxiv_id": "2604.00001"}
    paths = [filled(route, values) for route in routes(get_resolver())]
    paths += [f"/u/{active.unsubscribe_token}"]
    assert len(paths) > 15
    for path in paths:
        if not re.fullmatch(r"[\w/.\-]+", path):
            continue  # a pattern of a library, with no parameter of ours
        for shift in range(len(OFF_SITE)):
            asked = {
                name: OFF_SITE[(number + shift) % len(OFF_SITE)]
                for number, name in enumerate(NAMES)
            }
            answers = [client.get(path, asked)]
            answers += [client.post(path, asked)] if shift == 0 else []
            for answer in answers:
                to = urlsplit(answer.get("Location", ""))
                assert not to.netloc and not to.scheme, (path, answer["Location"])


def test_s13_no_page_of_ours_counts_clicks(mailer: Sink, client: Client, form) -> None:
    client.post("/subscribe/", form)
    tasks.send_notices()
    (mail,) = mailer.mails()
    text = mail.message.as_string()
    found = re.findall(r"https?://[^\s\"<>]+", text.replace("=\n", ""))
    assert all(TOKEN.search(url) or urlsplit(url).path in {"", "/"} for url in found), found
