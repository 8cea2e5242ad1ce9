"""Two topics, plain wishes, and a reader who went the whole way through the pages."""

import re
from datetime import UTC, datetime

import pytest
from django.test import Client
from django.utils import timezone

from digest.transport import smtp
from subscribers import import_export, requests
from subscribers.addresses import Address, address_hash, canonical
from subscribers.consent import Origin
from subscribers.import_rows import Person
from subscribers.models import Notice, Subscriber, Topic
from subscribers.notices import send
from subscribers.preferences import Preferences
from tests.sink import Sink

NOW = datetime(2026, 4, 17, 8, 0, tzinfo=UTC)
ORIGIN = Origin("/subscribe/", "192.0.2.0/24", "test")
TOKEN = re.compile(r"/(?:confirm|preferences|block|address|data|u)/([A-Za-z0-9_-]{22})")


@pytest.fixture
def topics(db: None) -> None:
    for position, slug in enumerate(["graphs", "vision"], 900):
        Topic.objects.update_or_create(
            slug=slug,
            defaults={"label": slug.title(), "group": "Test", "position": position},
        )


@pytest.fixture
def form(topics: None) -> dict[str, object]:
    """What a browser posts to /subscribe/."""
    return {
        "email": "ann@example.org",
        "topics": ["graphs"],
        "interests": "",
        "timezone": "Europe/Berlin",
        "send_hour": "9",
        "cadence": "daily",
    }


@pytest.fixture
def active(client: Client, form: dict[str, object]) -> Subscriber:
    """ann@example.org, signed up and confirmed just now."""
    client.post("/subscribe/", form)
    client.post(f"/confirm/{mailed_token()}/")
    return Subscriber.objects.get(email="ann@example.org")


@pytest.fixture
def mailer(sink: Sink, settings, monkeypatch) -> Sink:
    """Mail goes over a real socket."""
    monkeypatch.setattr(smtp, "REPLY_TIMEOUT", 3.0)
    settings.MAILERS = {
        "default": {
            "BACKEND": "django.core.mail.backends.smtp.EmailBackend",
            "OPTIONS": {"host": "127.0.0.1", "port": sink.port, "timeout": 3},
        }
    }
    return sink


def ask(email: str = "ann@example.org", **wishes: object) -> tuple[Address, Preferences]:
    """What a valid form asks for; without wishes the topic of graphs."""
    values: dict[str, object] = {"topics": ("graphs",)} | wishes
    return canonical(email), Preferences(**values)  # type: ignore[arg-type]


def bring_in(email: Address, preferences: Preferences, legal_source: str = "") -> str:
    """Import one row; return why it was not taken, empty if it was."""
    person = Person(
        line=1,
        email=email,
        email_hash=address_hash(email),
        preferences=preferences,
        legal_source=legal_source,
    )
    (done,) = import_export.store([person], {}, set(), name="", now=timezone.now())
    return done.words


def work_off() -> None:
    """What the worker does: look at the requests, send what is owed."""
    now = timezone.now()
    requests.handle_open(now=now)
    send.send_open_notices(now=now)


def mailed_token() -> str:
    """Send what is open and read the token out of the newest mail."""
    from django.core import mail as mailbox

    work_off()
    found = TOKEN.search(str(mailbox.outbox[-1].body))
    assert found
    return found[1]


def state_of(email: str = "ann@example.org") -> str:
    return Subscriber.objects.get(email=email).state


def notices() -> list[tuple[str, str]]:
    return list(Notice.objects.order_by("pk").values_list("kind", "state"))


def forget_quota() -> None:
    """As if every notice so far were of last week."""
    Notice.objects.update(mailbox="")
