"""A database that was set back is noticed before the next hand-over, whoever restores it."""

import math
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from digest.deliveries import fencing
from digest.deliveries.plan import plan
from digest.deliveries.send import send_due
from digest.models import Delivery, Fence, Lease
from tests import make
from tests.damage import DAMAGE
from tests.environment import POSTGRES

pytestmark = pytest.mark.django_db
NOW = make.NOON
READERS = 6


@pytest.fixture
def readers(settings, tmp_path, sink, monkeypatch):
    # On a busy machine a sender would write its counts in between, and ask the clock for it.
    monkeypatch.setattr("digest.deliveries.throughput.PERIOD", math.inf)
    settings.STATE_DIR = tmp_path / "state"
    settings.MAILER_URL = sink.url
    settings.SEND_CONNECTIONS = settings.SUBMIT_GROUP = 1
    make.edition({make.paper(1): {"graphs": 1.0}})
    make.readers([f"r{number}@example.org" for number in range(READERS)], "graphs")
    plan(NOW)
    return sink


class Killed(BaseException):
    """The sender is gone."""


class Snapshots:
    """The clock of a sender, which is asked before each commit of intents.

    Keeps what a backup of each of these moments would hold; dies at the last of them.
    """

    TABLES: tuple[Any, ...] = (Delivery, Lease, Fence)

    def __init__(self, *, die_at: int) -> None:
        self.die_at = die_at
        self.kept: list[list] = []

    def __call__(self):
        self.kept.append([list(model._default_manager.all()) for model in self.TABLES])
        if len(self.kept) > self.die_at:
            raise Killed
        return NOW

    def restore(self, place: int) -> None:
        for model, rows in zip(self.TABLES, self.kept[place], strict=True):
            model._default_manager.all().delete()
            model._default_manager.bulk_create(rows)


def open_again() -> None:
    """As if the leases had run out: what was claimed is anybody's, and nothing was sent."""
    Lease.objects.all().delete()


@pytest.mark.each_row
@pytest.mark.parametrize("at", range(3, READERS + 3))
def test_r30_a_rollback_to_any_commit_of_intents_is_noticed(readers, at):
    """The clock is asked three times before the first group, and once before each."""
    snapshots = Snapshots(die_at=READERS + 3)
    with suppress(Killed):
        send_due(snapshots)
    sent = len(readers.mails())
    assert sent == READERS
    snapshots.restore(at)
    open_again()
    with pytest.raises(fencing.SendingRefused, match="older than this machine"):
        send_due(lambda: NOW)
    assert len(readers.mails()) == sent


def test_r30_nothing_leaves_before_the_mark_is_on_disk(readers, settings):
    """Each mail that the server has is one commit, and each commit is in the file."""
    seen = []

    def clock():
        seen.append(fencing.remembered(Fence.objects.get().identity))
        return NOW

    send_due(clock)
    assert seen[-1] == Fence.objects.get().count
    assert len(readers.mails()) == READERS
    assert seen[-1] >= READERS


def test_r30_a_rollback_in_mid_slice_ends_the_slice(readers):
    calls = iter(range(100))

    def clock():
        if next(calls) == 5:
            Fence.objects.update(count=1)
        return NOW

    with pytest.raises(fencing.SendingRefused):
        send_due(clock)
    assert 0 < len(readers.mails()) < READERS
    assert not Delivery.objects.filter(state="submitting").exists()


def test_r30_two_senders_of_a_machine_never_lower_its_mark(settings, tmp_path):
    settings.STATE_DIR = tmp_path / "state"
    fencing.remember(Fence(identity="one", count=11))
    fencing.remember(Fence(identity="one", count=10))
    assert fencing.remembered("one") == 11
    fencing.remember(Fence(identity="another", count=1))
    assert (fencing.remembered("one"), fencing.remembered("another")) == (0, 1)


@pytest.mark.skipif(not POSTGRES, reason="only PostgreSQL says where a database is")
@pytest.mark.parametrize("machine", ["one that knows nothing", "one that has sent before"])
def test_r30_another_machine_sees_that_the_table_was_restored(readers, settings, machine):
    send_due(lambda: NOW, until=NOW)
    fencing.rise()
    with connection.cursor() as cursor:  # what a restore from a dump does
        cursor.execute("CREATE TABLE kept AS SELECT * FROM digest_fence")
        cursor.execute("DROP TABLE digest_fence")
        cursor.execute("CREATE TABLE digest_fence (LIKE kept INCLUDING ALL)")
        cursor.execute("INSERT INTO digest_fence SELECT * FROM kept")
    if machine == "one that knows nothing":
        settings.STATE_DIR = settings.STATE_DIR / "another"
    with pytest.raises(fencing.SendingRefused, match="was restored, copied or has failed"):
        send_due(lambda: NOW)
    fencing.accept()
    assert send_due(lambda: NOW)["accepted"] == READERS


@pytest.mark.skipif(not POSTGRES, reason="only PostgreSQL says where a database is")
def test_r30_where_a_database_is_may_be_asked_by_everybody(readers):
    assert fencing.place().name.count("/") == 3
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("CREATE ROLE plain_sender")
        cursor.execute("SET LOCAL ROLE plain_sender")
        assert fencing.place().name.count("/") == 3
        cursor.execute("RESET ROLE")
        transaction.set_rollback(True)


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda one: one.__name__)
def test_r31_damaged_marks_are_set_aside_and_stop_nobody(readers, damage, caplog):
    names = fencing.HIGH_WATER, fencing.SENT_UNTIL
    send_due(lambda: NOW)
    Delivery.objects.update(state="pending")
    for name in names:
        damage(fencing.path(name))
    later = NOW + timedelta(seconds=1)
    assert send_due(lambda: later)["accepted"] == READERS
    for name in names:
        assert f"{name} is damaged and was set aside" in caplog.text
    assert fencing.sent_until() == later
    Fence.objects.update(count=0)
    with pytest.raises(fencing.SendingRefused):
        fencing.rise()
