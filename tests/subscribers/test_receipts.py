"""Receipts of consent: whatever a person with the database, but no key, does to them shows."""

import hashlib
import json
import stat
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, timedelta
from importlib import import_module

import pytest
import time_machine
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.db.migrations.executor import MigrationExecutor

from subscribers import consent, links, privacy, subscriptions, tasks
from subscribers.addresses import address_hash
from subscribers.consent import Head, events
from subscribers.models import ConsentEvent, Link, Subscriber
from tests.subscribers.conftest import NOW, ORIGIN, ask

EMAILS = ["ann@example.org", "bob@example.org", "eve@example.org"]


@pytest.fixture
def chain(topics: None) -> Head:
    """Nine sealed receipts of three readers, the last of whom was erased."""
    for email in EMAILS:
        subscriptions.subscribe(*ask(email), origin=ORIGIN, now=NOW)
        reader = Subscriber.objects.get(email=email)
        token = links.make(reader, Link.Purpose.CONFIRM, now=NOW)
        subscriptions.confirm(token, origin=ORIGIN, now=NOW)
        subscriptions.pause(reader.pk, origin=ORIGIN, now=NOW)
    privacy.erase(reader.pk, now=NOW)
    consent.seal()
    report = consent.verify()
    assert (report.sealed, report.unsealed, report.blanked) == (10, 0, 4)
    assert report.wrong == []
    return report.head


def set_(place: int, **columns: object) -> Callable[[], object]:
    return lambda: events.filter(number=place).update(**columns)


def take_out(*numbers: int, close: bool = False) -> Callable[[], object]:
    """Delete receipts, and close the gap that they leave in the numbers."""

    def tamper() -> None:
        events.filter(number__in=numbers).delete()
        if close:
            for number, row in enumerate(events.order_by("number"), start=1):
                events.filter(pk=row.pk).update(number=number)

    return tamper


def unkeyed(row: ConsentEvent) -> str:
    """The content hash of the first releases, which anybody can make."""
    at = row.at.astimezone(UTC).isoformat()
    where = [row.wording, row.source, row.network]
    content = [row.salt, row.email_hash, row.kind, at, *where, row.detail]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def rewrite() -> None:
    """The whole chain anew with a changed receipt, hashes and all, but without the key."""
    events.filter(number=2).update(kind="unsubscribed")
    before = ""
    for row in events.order_by("number"):
        own = unkeyed(row)
        before = hashlib.sha256(f"{before} {own}".encode()).hexdigest()
        events.filter(pk=row.pk).update(content_hash=own, seal=before)


def swap_readers() -> None:
    ann, bob = Subscriber.objects.order_by("email")
    theirs = list(events.filter(subscriber=ann).values_list("pk", flat=True))
    events.filter(subscriber=bob).update(subscriber=ann)
    events.filter(pk__in=theirs).update(subscriber=bob)


def swap_places() -> None:
    one, two = events.filter(number__in=[2, 5]).order_by("number")
    seals = one.seal, two.seal
    events.filter(pk=one.pk).update(number=100)
    events.filter(pk=two.pk).update(number=2, seal=seals[0])
    events.filter(pk=one.pk).update(number=5, seal=seals[1])


def forge(**columns: object) -> None:
    row = events.get(number=2)
    row.pk, row.number, row.seal = None, None, ""
    row.kind = "unsubscribed"
    row.at = NOW + timedelta(days=1)
    for name, value in columns.items():
        setattr(row, name, value)
    events.bulk_create([row])


def forge_a_move() -> None:
    """A move that would make another's receipts those of this reader."""
    ann, bob = Subscriber.objects.order_by("email")
    forge(
        kind="moved",
        subscriber=bob,
        email_hash=bob.email_hash,
        detail={"from": ann.email_hash},
    )


TAMPERINGS: dict[str, Callable[[], object]] = {
    "the newest deleted": take_out(10),
    "the newest five deleted": take_out(6, 7, 8, 9, 10),
    "the first deleted": take_out(1),
    "the first deleted, the rest renumbered": take_out(1, close=True),
    "one in the middle deleted": take_out(4),
    "one in the middle deleted, the rest renumbered": take_out(4, close=True),
    "all deleted": take_out(*range(1, 11)),
    "its kind changed": set_(2, kind="unsubscribed"),
    "its instant changed": set_(2, at=NOW - timedelta(days=9)),
    "its wording changed": set_(2, wording="another"),
    "its form changed": set_(2, source="/elsewhere/"),
    "its network changed": set_(2, network="203.0.113.0/24"),
    "its detail changed": set_(1, detail={"topics": []}),
    "its address changed": set_(2, email_hash=address_hash("eve@example.org")),
    "its salt changed": set_(2, salt="x" * 22),
    "its content hash changed": set_(2, content_hash="0" * 64),
    "its seal changed": set_(2, seal="0" * 64),
    "its number changed": set_(10, number=11),
    "given to another reader": swap_readers,
    "two changed places": swap_places,
    "the chain rewritten": rewrite,
    "blanked by hand": set_(2, salt="", email_hash="", network="", detail={}),
    "blanked as if by us": set_(2, salt="-" + "0" * 21, email_hash="", detail={}),
    "the kind of a blanked one changed": set_(7, kind="unsubscribed"),
    "the instant of a blanked one changed": set_(7, at=NOW - timedelta(days=9)),
    "a blanked one given an address": set_(7, email_hash=address_hash("ann@example.org")),
    "a blanked one given a detail": set_(7, detail={"topics": []}),
    "one forged": forge,
    "one forged and numbered": lambda: forge(number=11, seal="0" * 64),
    "a move forged": forge_a_move,
}


@pytest.mark.embedded
@pytest.mark.parametrize("sealer", ["runs on", "has stopped"])
@pytest.mark.parametrize("tamper", TAMPERINGS.values(), ids=TAMPERINGS)
def test_g1_every_tampering_shows(chain: Head, tamper, sealer: str) -> None:
    tamper()
    if sealer == "runs on":  # new receipts come in: they must not paper over it
        subscriptions.subscribe(*ask("new@example.org"), origin=ORIGIN, now=NOW)
        consent.seal()
    assert consent.verify().wrong
    with pytest.raises(CommandError, match="faults in the receipts"):
        call_command("subscribers", "verify")


def test_g1_receipts_removed_together_with_the_file_are_missed_by_the_logs_head(
    chain: Head, capsys
) -> None:
    """Whoever owns database and disk is caught by a log that was shipped elsewhere."""
    take_out(9, 10)()
    consent.head_file().unlink()
    assert consent.verify().wrong == []
    with pytest.raises(CommandError):
        call_command("subscribers", "verify", "--head", str(chain))
    assert "receipt 10 was sealed with" in capsys.readouterr().err


def test_g1_the_head_is_logged_and_kept_for_this_user_alone(chain: Head, caplog) -> None:
    caplog.set_level("INFO")
    assert consent.head_file().read_text() == f"{chain}\n"
    subscriptions.subscribe(*ask("new@example.org"), origin=ORIGIN, now=NOW)
    consent.seal()
    head = consent.verify().head
    assert f"the newest seal is {head}" in caplog.text
    assert consent.head_file().read_text() == f"{head}\n"
    assert stat.S_IMODE(consent.head_file().stat().st_mode) == 0o600
    call_command("subscribers", "verify", "--head", str(chain))


@pytest.fixture
def fresh(chain: Head, django_capture_on_commit_callbacks) -> ConsentEvent:
    """The newest of three receipts that are committed and not sealed yet."""
    with django_capture_on_commit_callbacks(execute=True):
        for number in range(3):
            subscriptions.subscribe(
                *ask(f"new{number}@example.org"), origin=ORIGIN, now=NOW
            )
    assert consent.verify().unsealed == 3
    return events.latest("pk")


@pytest.mark.parametrize("sealer", ["runs on", "has not run"])
@pytest.mark.parametrize("place", [0, 1, 2], ids=["newest", "one in the middle", "oldest"])
def test_g1_a_receipt_that_is_removed_before_it_is_sealed_is_missed(
    fresh: ConsentEvent, place: int, sealer: str, caplog
) -> None:
    row = events.filter(number=None).order_by("-pk")[place]
    events.filter(pk=row.pk).delete()
    for _ in range(2 if sealer == "runs on" else 0):
        consent.seal()
        assert "removed before it was sealed" in caplog.text
    (line,) = consent.verify().wrong
    assert f"row {row.pk} was removed before it was sealed" in line
    assert f"After a restore of the database remove {consent.list_file()}" in line


def test_g1_what_is_sealed_leaves_the_list_and_what_was_never_committed_is_not_on_it(
    fresh: ConsentEvent, django_capture_on_commit_callbacks
) -> None:
    assert len(consent.list_file().read_text().splitlines()) == 3
    assert stat.S_IMODE(consent.list_file().stat().st_mode) == 0o600
    with (
        django_capture_on_commit_callbacks(execute=True),
        suppress(RuntimeError),
        transaction.atomic(),
    ):
        subscriptions.subscribe(*ask("not@example.org"), origin=ORIGIN, now=NOW)
        raise RuntimeError
    assert len(consent.list_file().read_text().splitlines()) == 3
    consent.seal()
    assert consent.list_file().read_text() == ""
    assert consent.verify().wrong == []


@pytest.mark.parametrize("content", ["7", "7 ab", "\0", "x " + "0" * 64, "\udc80"])
def test_r31_a_damaged_list_of_fresh_receipts_stops_nobody(
    fresh: ConsentEvent, content: str
) -> None:
    consent.list_file().write_bytes(content.encode(errors="surrogateescape"))
    assert consent.verify().wrong == []
    assert consent.seal() == 3


@pytest.mark.parametrize("content", ["", "cut o", "7", "seven:x", "\0", "-1:x"])
def test_r31_a_damaged_head_file_stops_nobody(chain: Head, content: str) -> None:
    consent.head_file().write_text(content)
    subscriptions.subscribe(*ask("new@example.org"), origin=ORIGIN, now=NOW)
    assert consent.seal() == 1
    assert consent.verify().wrong == []


def test_a_restored_database_says_what_to_do(chain: Head) -> None:
    take_out(9, 10)()
    (line,) = consent.verify().wrong
    assert f"After a restore of the database remove {consent.head_file()}" in line
    consent.head_file().unlink()
    assert consent.verify().wrong == []


@pytest.mark.parametrize("head", ["x", "12", ":", "-1:aa", "1:"])
def test_a_head_that_is_none_is_one_line(db, head: str) -> None:
    with pytest.raises(CommandError, match="NUMBER:SEAL"):
        call_command("subscribers", "verify", f"--head={head}")


def test_the_house_seals_until_all_are_sealed_and_verify_counts_the_rest(
    chain: Head, monkeypatch, capsys
) -> None:
    monkeypatch.setattr(consent, "SEALED_AT_ONCE", 10)
    for number in range(25):
        email = f"reader-{number}@example.org"
        subscriptions.subscribe(*ask(email), origin=ORIGIN, now=NOW)
    call_command("subscribers", "verify")
    assert "10 receipts sealed, 4 of them blanked, 25 not sealed yet" in (
        capsys.readouterr().out
    )
    with time_machine.travel(NOW, tick=False):
        tasks.maintain()
    call_command("subscribers", "verify")
    assert "35 receipts sealed" in capsys.readouterr().out
    assert not ConsentEvent.objects.filter(number=None).exists()


def test_receipts_from_before_are_keyed_and_sealed_anew(chain: Head) -> None:
    """As the last release left them: hashes without a key, blanked ones without a mark."""
    rewrite_as_before()
    assert consent.verify().wrong
    migration = import_module("subscribers.migrations.0006_keyed_seals")
    apps = MigrationExecutor(connection).loader.project_state().apps
    migration.key_hashes(apps, None)
    consent.head_file().unlink()
    assert consent.seal() == 10
    report = consent.verify()
    assert (report.sealed, report.blanked, report.wrong) == (10, 4, [])


def rewrite_as_before() -> None:
    for row in events.order_by("number"):
        if row.salt == consent.blank_mark(row):
            events.filter(pk=row.pk).update(salt="")
        else:
            events.filter(pk=row.pk).update(content_hash=unkeyed(row))
