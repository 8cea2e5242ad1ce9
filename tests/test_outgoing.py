"""Events for the operator's own systems, and posts: told if it happened, and only then."""

import json
import re
import socket
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction

from digest import outgoing
from digest.deliveries import control, counts, fencing, ledger
from digest.deliveries.plan import plan
from digest.editions.publish import publish
from digest.feedback import events
from digest.feedback.events import Report
from digest.models import Edition, Paper
from digest.ops import health
from digest.variables import check_hook
from subscribers import privacy, subscriptions, suppression, webhooks
from subscribers.consent import Origin
from subscribers.import_export import load
from subscribers.import_file import ImportFile
from subscribers.import_rows import KNOWN
from subscribers.models import OutgoingEvent, Subscriber, Suppression
from tests import make
from tests.environment import ROOT
from tests.race import at_once

pytestmark = pytest.mark.django_db
NOW = make.NOON
ORIGIN = Origin("/test/", "", "test")
SECRET = "whsec_" + "QUJD" * 8
SECOND = timedelta(seconds=1)


class Listener:
    """A receiver of webhooks: what came in, and what it answers."""

    def __init__(self) -> None:
        self.got: list[tuple[str, dict[str, str], bytes]] = []
        self.connections: set[object] = set()
        self.status = 200
        self.headers: dict[str, str] = {}
        listener = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                sent = {name.lower(): value for name, value in self.headers.items()}
                listener.got.append((self.path, sent, body))
                listener.connections.add(self.client_address)
                if not listener.status:
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                self.send_response(listener.status)
                for name, value in listener.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            do_GET = do_POST

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def told(self) -> list[dict]:
        return [json.loads(body) for _, _, body in self.got]


@pytest.fixture
def listener(settings) -> Iterator[Listener]:
    made = Listener()
    threading.Thread(target=made.server.serve_forever, args=[0.05], daemon=True).start()
    settings.EVENTS_URL, settings.EVENTS_SECRET = f"{made.url}/events", SECRET
    yield made
    made.server.shutdown()
    made.server.server_close()


def verify(*args: object) -> bool:
    """The verifier of the documentation."""
    text = (ROOT / "docs" / "operations.md").read_text()
    code = re.search(r"```python\n(.*?def verify.*?)```", text, re.DOTALL)
    assert code
    names: dict[str, Any] = {}
    exec(code[1], names)
    return bool(names["verify"](*args))


def send_all(now=NOW) -> None:
    while outgoing.send_open(now):
        pass


def rows() -> list[tuple[str, str]]:
    return list(OutgoingEvent.objects.order_by("pk").values_list("kind", "state"))


def test_what_happens_is_told_signed_and_without_secrets(listener) -> None:
    (row,) = make.handed_over()
    ann = Subscriber.objects.get()
    subscriptions.slow_down(ann.pk, origin=ORIGIN, now=NOW)
    about: dict[str, Any] = {"at": NOW, "delivery_id": row.pk, "recipient": ann.email}
    bounce = Report("bounced", "1", words="550 5.1.1 no such user", **about)
    assert events.take([bounce, Report("complained", "2", **about)], now=NOW) == 2
    events.take([bounce], now=NOW)
    subscriptions.unsubscribe(ann.pk, origin=ORIGIN, now=NOW)
    send_all()
    told = listener.told()
    assert [one["type"] for one in told] == [
        "subscriber.changed",
        "delivery.bounced",
        "delivery.complained",
        "subscriber.suppressed",
        "subscriber.unsubscribed",
    ]
    reader = {"id": ann.pk, "state": "unsubscribed", "language": "en"}
    assert told[1]["data"] == {"subscriber": reader, "delivery": row.pk}
    assert told[3]["data"]["reason"] == "complained"
    for path, headers, body in listener.got:
        assert path == "/events"
        assert verify(SECRET, headers, body)
        assert not verify(SECRET, headers, body + b" ")
        assert not verify(SECRET, headers | {"webhook-timestamp": "1"}, body)
        assert ann.unsubscribe_token.encode() not in body
        assert ann.email.encode() not in body
    assert len({headers["webhook-id"] for _, headers, _ in listener.got}) == 5


def test_what_did_not_happen_is_not_told(listener) -> None:
    ann = make.reader("ann@x.org")
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        subscriptions.unsubscribe(ann.pk, origin=ORIGIN, now=NOW)
        raise ZeroDivisionError
    subscriptions.resume(ann.pk, origin=ORIGIN, now=NOW)
    assert rows() == []


IMPORTED = [
    ("ann@x.org,,unsubscribed", [("subscriber.unsubscribed", "ann@x.org")]),
    ("ann@x.org,complaint,", [("subscriber.suppressed", "ann@x.org")]),
    ("barred@x.org,complaint,", []),
    ("new@x.org,complaint,active", []),
    ("new@x.org,,unsubscribed", []),
    ("new@x.org,,active", []),
]


@pytest.mark.parametrize(("line", "told"), IMPORTED)
def test_an_import_tells_of_known_readers_who_leave_or_are_barred(
    listener, line, told
) -> None:
    make.reader("ann@x.org")
    barred = make.reader("barred@x.org")
    bounced = Suppression.Reason.BOUNCED
    Suppression.objects.create(email_hash=barred.email_hash, reason=bounced, at=NOW)
    text = f"email,suppressed,state\n{line}\n".encode()
    file = ImportFile(Path("readers.csv"), KNOWN, raw=text)
    list(load(file, legal_source="asked at our desk", now=NOW))
    found = OutgoingEvent.objects.values_list("kind", "subscriber")
    assert [(kind, Subscriber.objects.get(pk=pk or 0).email) for kind, pk in found] == told


@pytest.mark.parametrize("off", [{"EVENTS_URL": ""}, {"TEST_MODE_TO": "me@x.org"}])
def test_nothing_is_told_where_nobody_listens_or_of_a_copy(listener, settings, off) -> None:
    for name, value in off.items():
        setattr(settings, name, value)
    settings.POST_URLS = [listener.url] if "TEST_MODE_TO" in off else []
    ann = make.reader("ann@x.org")
    make.paper(1)
    publish(make.DAY, now=NOW)
    subscriptions.unsubscribe(ann.pk, origin=ORIGIN, now=NOW)
    suppression.suppress_all({ann.email_hash}, Suppression.Reason.COMPLAINED, now=NOW)
    assert rows() == []


def test_an_erased_reader_is_told_of_no_more(listener) -> None:
    ann = make.reader("ann@x.org")
    subscriptions.unsubscribe(ann.pk, origin=ORIGIN, now=NOW)
    assert "ann" not in str(OutgoingEvent.objects.values().get())
    privacy.erase(ann.pk, now=NOW)
    send_all()
    assert listener.told()[0]["data"] == {"subscriber": None}


FAILURES = [
    (500, {}, "pending", 5),
    (404, {}, "pending", 5),
    (302, {"Location": "/elsewhere"}, "pending", 5),
    (429, {"Retry-After": "600"}, "pending", 600),
    (0, {}, "pending", 5),
    (410, {}, "given up", 0),
]


@pytest.mark.parametrize(("status", "headers", "state", "wait"), FAILURES)
def test_a_failure_is_repeated_later(listener, status, headers, state, wait) -> None:
    listener.status, listener.headers = status, headers
    webhooks.tell("test", now=NOW)
    outgoing.send_open(NOW)
    row = OutgoingEvent.objects.get()
    assert (row.state, row.attempts) == (state, 1)
    assert row.not_before == NOW + wait * SECOND
    assert [path for path, _, _ in listener.got] == ["/events"]
    outgoing.send_open(NOW + (wait - 1) * SECOND)
    assert len(listener.got) == 1


def test_it_is_given_up_after_28_hours_and_the_operator_is_told(listener, settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        settings.EVENTS_URL = f"http://127.0.0.1:{closed.getsockname()[1]}/"
    now = ledger.database_now()
    webhooks.tell("test", now=now)
    began = now
    while (row := OutgoingEvent.objects.get()).state == "pending":
        now = row.not_before
        outgoing.send_open(now)
    assert (row.state, row.attempts) == ("given up", 8)
    assert timedelta(hours=27) < now - began < timedelta(hours=29)
    OutgoingEvent.objects.update(ended_at=ledger.database_now())
    assert "1 events or posts were given up, the last, test: no connection" in (
        health.degraded()
    )
    assert outgoing.prune(now + outgoing.KEPT) == 1


def test_a_backlog_goes_over_one_connection(listener) -> None:
    for _ in range(outgoing.BATCH + 1):
        webhooks.tell("test", now=NOW)
    assert outgoing.send_open(NOW) == len(listener.got) == outgoing.BATCH + 1
    assert len(listener.connections) == 1


def test_nothing_is_begun_after_the_time_of_a_run(listener, monkeypatch) -> None:
    monkeypatch.setattr(outgoing, "SEND_FOR", 0)
    webhooks.tell("test", now=NOW)
    assert (outgoing.send_open(NOW), rows()) == (0, [("test", "pending")])


@pytest.mark.django_db(transaction=True)
def test_senders_at_once_send_one(listener) -> None:
    webhooks.tell("test", now=NOW)
    assert sum(at_once(*[lambda: outgoing.send_open(NOW)] * 3)) == 1
    assert len(listener.got) == 1


def test_a_sender_that_dies_leaves_an_event_to_be_sent_again(listener) -> None:
    webhooks.tell("test", now=NOW)
    row = OutgoingEvent.objects.get()
    assert outgoing.claimed(row, NOW)
    assert outgoing.send_open(NOW) == 0
    assert outgoing.send_open(NOW + outgoing.LEASE) == 1


def test_a_public_name_does_not_lead_into_our_network(
    listener, settings, monkeypatch
) -> None:
    port = listener.server.server_port
    settings.EVENTS_URL = f"http://hooks.example.org:{port}/"
    answers = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: answers)
    webhooks.tell("test", now=NOW)
    outgoing.send_open(NOW)
    assert listener.got == []
    assert "not public" in OutgoingEvent.objects.get().reply


def test_an_edition_is_finished_once_when_nothing_is_open(listener) -> None:
    (row,) = make.handed_over()
    outgoing.tell_finished(NOW)
    assert rows() == []
    type(row).objects.update(state="accepted")
    plan(NOW + timedelta(hours=1))
    for _ in range(2):
        outgoing.tell_finished(NOW + timedelta(hours=1))
    send_all(NOW + timedelta(hours=1))
    (told,) = listener.told()
    assert told["type"] == "edition.finished"
    assert told["data"]["deliveries"]["accepted"] == 1


def test_an_edition_with_a_row_opened_again_while_it_is_counted_is_not_finished(
    listener, monkeypatch
) -> None:
    (row,) = make.handed_over()
    type(row).objects.update(state="accepted")
    plan(NOW + timedelta(hours=1))

    def opened_meanwhile(ids: list[int]) -> dict[int, list[tuple[str, str, int]]]:
        type(row).objects.update(state="pending")
        return counts.count_editions(ids)

    monkeypatch.setattr("digest.outgoing.count_editions", opened_meanwhile)
    outgoing.tell_finished(NOW + timedelta(hours=1))
    assert rows() == []


@pytest.mark.parametrize(
    ("url", "is_taken"),
    [
        ("https://example.org/x", True),
        ("http://127.0.0.1:8000/", True),
        ("http://listener/", True),
        ("mastodon://TOKEN@social.example.org", True),
        ("mastodon://social.example.org", False),
        ("http://[::1]:8000/", True),
        ("http://example.org/x", False),
        ("http://127.example.org/x", False),
        ("http://[2001:db8::1]/x", False),
        ("ftp://example.org/x", False),
        ("example.org", False),
        ("https://exa mple.org", False),
    ],
)
def test_only_safe_urls_are_taken(url: str, is_taken: bool) -> None:
    try:
        assert check_hook("POST_URLS", url, mastodon=True) == url
    except ImproperlyConfigured:
        assert not is_taken
    else:
        assert is_taken


def test_events_do_not_go_to_mastodon() -> None:
    with pytest.raises(ImproperlyConfigured):
        check_hook("EVENTS_URL", "mastodon://TOKEN@social.example.org")


@pytest.mark.parametrize("why", ["test mode", "restored"])
def test_a_copy_of_a_database_sends_nothing(listener, settings, monkeypatch, why) -> None:
    webhooks.tell("test", now=NOW)
    if why == "test mode":
        settings.TEST_MODE_TO = "me@x.org"
    else:
        settings.EMBEDDED = False
        fencing.accept()
        settings.SITE_URL = "https://elsewhere.example.org"
    assert outgoing.send_open(NOW) == 0
    assert (listener.got, rows()) == ([], [("test", "pending")])


def test_what_nobody_listens_to_any_more_ends(listener, settings) -> None:
    webhooks.tell("test", now=NOW)
    settings.EVENTS_URL = settings.EVENTS_SECRET = ""
    outgoing.send_open(NOW)
    assert rows() == [("test", "given up")]


# -- posts -----------------------------------------------------------------------------------

HOSTILE = "<!channel> @everyone ![free](https://evil.org) & *more* " + "x" * 200


@pytest.fixture
def published(listener: Listener, settings) -> Listener:
    """A new edition of four papers, that is to be posted to one chat."""
    settings.EVENTS_URL, settings.POST_URLS = "", [f"{listener.url}/chat"]
    make.paper(1, upvotes=9, title=HOSTILE)
    for number in range(2, 5):
        make.paper(number)
    publish(make.DAY, now=NOW)
    return listener


def test_an_edition_is_posted_once(published, settings) -> None:
    publish(make.DAY, now=NOW)
    Edition.objects.get().delete()
    publish(make.DAY, now=NOW)
    send_all()
    ((path, _, body),) = published.got
    assert path == "/chat"
    lines = json.loads(body)["text"].split("\n")
    assert lines[0] == "Daily Papers, 2026-04-17: 4 papers"
    assert lines[1].startswith("• &lt;!channel&gt; \uff20everyone ![free]\u200b(")
    assert lines[3].endswith(f"{settings.SITE_URL}/papers/2604.00003/")
    assert lines[4:] == [f"{settings.SITE_URL}/papers/2026-04-17/"]


@pytest.mark.parametrize(
    ("url", "to", "name", "line"),
    [
        (
            "https://discord.com/api/webhooks/1/x",
            "",
            "content",
            r"• \<!channel\> \@everyone !\[",
        ),
        (  # Slack, and Mattermost, Rocket.Chat and Matrix: they read Markdown in it
            "https://chat.example.org/hooks/x",
            "",
            "text",
            "• &lt;!channel&gt; \uff20everyone ![free]\u200b(",
        ),
        (
            "mastodon://TOKEN@social.example.org",
            "https://social.example.org/api/v1/statuses",
            "status",
            "• <!channel> \uff20everyone ![",
        ),
    ],
)
def test_each_place_gets_its_form_and_nobody_is_mentioned(
    published, settings, url, to, name, line
) -> None:
    settings.POST_URLS = [url]
    OutgoingEvent.objects.update(to=webhooks.place(url))
    call = outgoing.post(OutgoingEvent.objects.get())
    assert call.url == (to or url)
    body = json.loads(call.body)
    assert body[name].split("\n")[1].startswith(line)
    assert len(body[name]) < 1000
    if name == "content":
        assert body["allowed_mentions"] == {"parse": []}
    if to:
        assert call.headers["Authorization"] == "Bearer TOKEN"


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (0, "given up"),
        (302, "given up"),
        (500, "given up"),
        (404, "pending"),
        (503, "pending"),
    ],
)
def test_a_post_without_an_answer_is_not_repeated(published, status, state) -> None:
    published.status = status
    outgoing.send_open(NOW)
    assert OutgoingEvent.objects.get().state == state


def test_a_post_does_not_wait_for_a_receiver_that_is_down(published, settings) -> None:
    settings.EVENTS_URL, settings.EVENTS_SECRET = f"{published.url}/events", SECRET
    published.status = 503
    for _ in range(3):
        webhooks.tell("test", now=NOW - SECOND)
    outgoing.send_open(NOW)
    assert [path for path, _, _ in published.got] == ["/chat", "/events"]


def test_a_restored_database_owes_no_posts(published) -> None:
    control.quarantine(NOW - timedelta(days=1), now=NOW)
    assert outgoing.send_open(NOW) == 0
    assert (published.got, rows()) == ([], [("edition.published", "given up")])


def test_a_sender_that_dies_posts_nothing_twice(published) -> None:
    assert outgoing.claimed(OutgoingEvent.objects.get(), NOW)
    assert outgoing.send_open(NOW + timedelta(days=1)) == 0
    assert "may have arrived" in OutgoingEvent.objects.get().reply


@pytest.mark.parametrize("what", ["sample", "old", "gone"])
def test_what_is_no_news_is_not_posted(listener, settings, what) -> None:
    settings.EVENTS_URL, settings.POST_URLS = "", [listener.url]
    make.paper(1)
    Paper.objects.update(is_sample=what == "sample")
    publish(make.DAY, now=NOW + timedelta(days=3 if what == "old" else 0))
    settings.POST_URLS = []
    outgoing.send_open(NOW)
    assert listener.got == []
    assert rows() == ([("edition.published", "given up")] if what == "gone" else [])
