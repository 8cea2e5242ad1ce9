"""Another ADDRESS_KEY than the database's: one clear line, nothing done, and the site up."""

import io
import json
import logging
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.checks import run_checks
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from digest import tasks as digest_tasks
from digest.deliveries.plan import plan
from subscribers import address_key
from subscribers import tasks as subscribers_tasks
from subscribers.models import AddressKey, ConsentEvent, Request, Subscriber, Suppression
from tests import make
from tests.environment import KEYS

pytestmark = pytest.mark.django_db
OTHER = "another-address-key-0123456789-abcdefghijklmnopqrstu"


@pytest.fixture
def other_key(settings, sink) -> None:
    """A reader who is known and one who is barred, and then another key."""
    settings.MAILER_URL = sink.url
    make.edition({make.paper(1): {"graphs": 1.0}})
    make.reader("known@example.org", "graphs")
    barred = make.reader("barred@example.org", "graphs")
    Suppression.objects.create(
        email_hash=barred.email_hash, reason="blocked", at=timezone.now()
    )
    settings.ADDRESS_KEY = OTHER


def said() -> list[str]:
    return [one.msg for one in run_checks() if one.id == "digest.W007"]


def test_the_right_key_is_noted_by_migrate_and_nothing_is_said() -> None:
    assert said() == []
    assert KEYS["ADDRESS_KEY"] not in json.dumps(list(AddressKey.objects.values()))


@pytest.mark.usefixtures("other_key")
def test_check_says_one_line_and_stops_no_migrate() -> None:
    assert said() == [address_key.WORDS]
    assert "\n" not in address_key.WORDS and OTHER not in address_key.WORDS
    call_command("migrate", skip_checks=False, verbosity=0, stderr=io.StringIO())
    assert said() == [address_key.WORDS]  # the first key stays the database's


@pytest.mark.usefixtures("other_key")
@pytest.mark.parametrize(
    "words",
    [
        ["subscribers", "import", "{file}"],
        ["subscribers", "import", "{file}", "--legal-source", "a contract"],
        ["subscribers", "erase", "known@example.org"],
        ["subscribers", "verify"],
        ["deliver"],
    ],
    ids=" ".join,
)
def test_a_command_says_one_line_and_does_nothing(words: list[str], tmp_path: Path) -> None:
    file = tmp_path / "readers.csv"
    file.write_text("email\nknown@example.org\nbarred@example.org\nnew@example.org\n")
    before = Subscriber.objects.count(), ConsentEvent.objects.count()
    with pytest.raises(CommandError) as error:
        call_command(*(word.format(file=file) for word in words))
    assert str(error.value) == address_key.WORDS
    assert (Subscriber.objects.count(), ConsentEvent.objects.count()) == before


@pytest.mark.usefixtures("other_key")
@pytest.mark.parametrize(
    "task",
    [subscribers_tasks.send_notices, subscribers_tasks.maintain, digest_tasks.send],
    ids=lambda task: task.name,
)
def test_a_task_says_one_line_and_sends_nothing(
    task, sink, caplog: pytest.LogCaptureFixture
) -> None:
    Request.objects.create(
        kind=Request.Kind.SIGN_UP,
        email="barred@example.org",
        at=timezone.now(),
        not_before=timezone.now() - timedelta(hours=1),
    )
    plan(make.NOON)
    task()
    (line,) = [one for one in caplog.records if one.levelno >= logging.WARNING]
    assert address_key.WORDS in line.getMessage() and not line.exc_info
    assert Request.objects.count() == 1 and not sink.mails()


@pytest.mark.usefixtures("other_key")
@pytest.mark.parametrize("path", ["/", "/healthz", "/subscribe/"])
def test_pages_go_on(path: str, client) -> None:
    assert client.get(path).status_code in {200, 302, 405}


def test_a_database_without_a_noted_key_gets_the_one_its_readers_were_hashed_with(
    settings,
) -> None:
    make.reader("known@example.org", "graphs")
    AddressKey.objects.all().delete()
    settings.ADDRESS_KEY = OTHER
    address_key.note()
    with pytest.raises(address_key.WrongKey):
        address_key.check()
    settings.ADDRESS_KEY = KEYS["ADDRESS_KEY"]
    address_key.note()
    address_key.check()


def test_without_the_table_there_is_nothing_to_say() -> None:
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE subscribers_addresskey RENAME TO gone")
        assert said() == []
