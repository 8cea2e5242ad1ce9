"""What the law and the big mailbox providers ask for. No legal advice."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest
import time_machine
from django.core import mail as mailbox
from django.test import Client
from django.utils import timezone

from digest.deliveries.plan import plan
from digest.deliveries.send import send_due
from digest.ranking import loaded
from subscribers import consent, retention
from subscribers.models import ConsentEvent, Notice, Subscriber
from tests import make
from tests.environment import ROOT
from tests.sink import Mail, Sink
from tests.subscribers.conftest import mailed_token, state_of, work_off

# What Postmark is told of a mail, and nothing else.
TOLD = {"From", "To", "Subject", "HtmlBody", "TextBody", "Headers", "MessageStream"}
TOLD |= {"TrackOpens", "TrackLinks", "Metadata"}
HEADERS = {
    "Message-ID",
    "Expires",
    "Date",
    "List-Id",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
}
HEADERS |= {"Auto-Submitted", "X-Auto-Response-Suppress", "Precedence", "Feedback-ID"}
HEADERS |= {"Expires", "List-Archive", "List-Help", "X-PM-KeepID", "X-Entity-Ref-ID"}


@pytest.fixture
def due(db: None) -> Iterator[Subscriber]:
    """A reader with many wishes, whose digest is due."""
    make.edition({make.paper(1, upvotes=41): {"graphs": 1.0}})
    ann = make.reader("ann@example.org", "graphs")
    ann.interests, ann.keywords = "canary interests", ["canary keyword"]
    ann.watched_authors, ann.searches = ["Canary Author"], ["canary search"]
    ann.save()
    plan(make.NOON)
    yield ann
    loaded.load.cache_clear()


@pytest.fixture
def digest(due: Subscriber, sink: Sink, settings) -> Mail:
    settings.MAILER_URL = sink.url
    send_due(lambda: make.NOON)
    (mail,) = sink.to(due.email)
    return mail


@pytest.fixture
def told(settings) -> Iterator[list[dict]]:
    """Everything that a provider is told by its API."""
    bodies: list[dict] = []

    class Postmark(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            bodies.append(json.loads(self.rfile.read(length)))
            answer = b'{"ErrorCode": 0, "Message": "OK", "MessageID": "m"}'
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Postmark)
    thread = Thread(target=server.serve_forever)
    thread.start()
    settings.MAILER_URL = "anymail://postmark"
    settings.MAILERS = {"default": {"BACKEND": "anymail.backends.postmark.EmailBackend"}}
    settings.ANYMAIL = settings.ANYMAIL | {
        "POSTMARK_API_URL": f"http://127.0.0.1:{server.server_port}/",
        "POSTMARK_SERVER_TOKEN": "a-secret",
    }
    yield bodies
    server.shutdown()
    thread.join()
    server.server_close()


def words(mail: Mail, kind: str) -> str:
    part = mail.message.get_body((kind,))
    assert part
    return str(part.get_content())


def test_g6_a_digest_watches_nobody(digest: Mail) -> None:
    html = words(digest, "html")
    assert not re.search(r"<img|url\(|background=|<link|@import", html)
    links = set(re.findall(r'href="([^"#]+)', html))
    assert "https://arxiv.org/abs/2604.00001" in str(links)
    allowed = r"https://(arxiv\.org|huggingface\.co)/|http://127\.0\.0\.1:8000/"
    assert all(re.match(allowed, link) for link in links), links
    ours = [link for link in links if "127.0.0.1" in link]
    assert not any(re.search(r"[?&](url|u|next|to)=", link) for link in ours)


def test_g8_each_mail_says_who_sends_it_and_how_to_end_it(digest: Mail, settings) -> None:
    for kind in ("plain", "html"):
        text = words(digest, kind)
        assert settings.POSTAL_ADDRESS in text
        assert re.search(r"/u/[\w-]{22}", text)
    assert digest.message["From"] == settings.FROM_EMAIL


@pytest.mark.embedded
@pytest.mark.parametrize("name", ["POSTAL_ADDRESS", "FROM_EMAIL"])
def test_g8_nothing_starts_without_sender_and_postal_address(name: str) -> None:
    env = os.environ | {
        "DATABASE_URL": "sqlite:///:memory:",
        "REDIS_URL": "redis://127.0.0.1:9/0",
        "MAILER_URL": "smtp://127.0.0.1:9",
        "FROM_EMAIL": "papers@example.org",
        "SITE_URL": "https://papers.example.org",
        "POSTAL_ADDRESS": "Street 1",
        name: "",
    }
    command = [sys.executable, "manage.py", "check"]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode != 0
    assert name in done.stderr


def test_g8_the_way_out_of_an_old_mail_is_open_and_needs_nothing(
    digest: Mail, client: Client
) -> None:
    found = re.search(r"/u/[\w-]{22}", digest.message["List-Unsubscribe"])
    assert found
    with time_machine.travel(timezone.now() + timedelta(days=400)):
        retention.purge(timezone.now())
        page = client.get(found[0])
        assert page.status_code == 200
        assert "login" not in page.text.lower()
        assert "<input" not in page.text
        assert client.post(found[0]).status_code == 200
    assert state_of() == "unsubscribed"


def test_g9_after_sixty_days_sender_way_out_and_proof_are_there(
    client: Client, active: Subscriber, settings
) -> None:
    consent.seal()
    with time_machine.travel(timezone.now() + timedelta(days=60)):
        retention.purge(timezone.now())
        assert settings.POSTAL_ADDRESS in client.get("/privacy/").text
        kinds = ConsentEvent.objects.filter(email_hash=active.email_hash)
        assert set(kinds.values_list("kind", flat=True)) == {"requested", "confirmed"}
        assert client.post(f"/u/{active.unsubscribe_token}").status_code == 200
    assert consent.verify().wrong == []


def test_g11_a_provider_is_told_address_and_mail_and_nothing_of_the_wishes(
    due: Subscriber, told: list[dict]
) -> None:
    send_due(lambda: make.NOON)
    (body,) = told
    assert set(body) <= TOLD
    assert body["To"] == "ann@example.org"
    assert {header["Name"] for header in body.get("Headers", [])} <= HEADERS
    assert "canary" not in json.dumps(body).lower()
    assert not body.get("TrackOpens") and body.get("TrackLinks", "None") == "None"
    assert len(body.get("Metadata", {})) <= 1  # one opaque name of the delivery


def test_g1_u10_what_was_asked_and_confirmed_stands_in_the_proof(
    client: Client, active: Subscriber
) -> None:
    requested, confirmed = ConsentEvent.objects.order_by("pk")
    assert (requested.kind, requested.source) == ("requested", "/subscribe/")
    assert (confirmed.kind, confirmed.source) == ("confirmed", "/confirm/")
    assert requested.wording == confirmed.wording != ""
    assert requested.network == confirmed.network == "127.0.0.0/24"
    assert requested.detail["topics"] == ["graphs"]
    assert confirmed.detail["link"]
    with pytest.raises(TypeError):
        confirmed.save()


def test_u8_nothing_but_what_asks_to_confirm_comes_before_a_confirmation(
    client: Client, form
) -> None:
    client.post("/subscribe/", form)
    first = mailed_token()
    start = timezone.now()
    for hours in range(0, 73, 3):
        with time_machine.travel(start + timedelta(hours=hours)):
            retention.remind(timezone.now())
            work_off()
    subjects = [message.subject.split()[0] for message in mailbox.outbox]
    assert subjects == ["Please", "Reminder:"]  # and the one reminder
    with time_machine.travel(start + timedelta(hours=30)):
        assert client.get(f"/confirm/{first}/").status_code == 200  # it has its 48 hours
        newest = re.search(r"/confirm/([\w-]{22})/", str(mailbox.outbox[-1].body))
        assert newest
        path = f"/confirm/{newest[1]}/"
        assert [client.post(path).status_code for _ in range(2)] == [200, 200]
    assert state_of() == "active"
    assert Notice.objects.filter(kind="reminder").count() == 1
