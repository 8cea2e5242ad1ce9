"""Uploaded files of readers, tried and taken in by a worker: all state is in the database.

A slice and the note that it is done are one transaction, under a lock of the import's row:
a worker that dies leaves no slice half done, and of two that work at once one waits, finds
that the position has moved, and ends.
"""

import logging
import time
from collections import Counter, deque
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path

from django.db import transaction
from django.utils import timezone

from subscribers import address_key
from subscribers.import_export import Imported, Intake, slices, without_addresses
from subscribers.import_file import BadFile, ImportFile, Row
from subscribers.import_rows import KNOWN
from subscribers.models import Import, TriedAddress

logger = logging.getLogger(__name__)

State = Import.State
MOST_BYTES = 32 * 1024 * 1024  # of a file; `subscribers import` takes any
MOST_NOTES = 200  # lines about single rows
UNUSED = timedelta(days=1)  # then a file that nobody imports, or no worker can, is deleted
KEPT = timedelta(days=90)  # the report
Place = tuple[int, int]  # the key of an import, and how many of its rows are done


def file_of(one: Import) -> ImportFile:
    return ImportFile(Path(one.name), KNOWN, named=one.columns, raw=bytes(one.content))


@transaction.atomic
def begin(one: Import, state: Import.State, *, before: Import.State, now: datetime) -> bool:
    """Ask the worker to try or to import a file, from its first row.

    False if it is too late, or somebody has tried it in another way since `one` was read.
    """
    same = Import.objects.filter(pk=one.pk, state=before, changed_at=one.changed_at)
    found = same.exclude(content=b"")
    one.tried.all().delete()
    return bool(
        found.update(state=state, position=0, tally={}, notes="", fault="", changed_at=now)
    )


def cancel(pk: int, *, now: datetime) -> bool:
    """End an import; rows that are taken in stay. False if it has ended."""
    ended = [State.DONE, State.FAILED]
    return bool(
        Import.objects.filter(pk=pk)
        .exclude(state__in=ended)
        .update(state=State.FAILED, content=b"", fault="Cancelled.", changed_at=now)
    )


# -- the worker's part -----------------------------------------------------------------------


def work(*, seconds: float, place: Place | None = None) -> Place | None:
    """Go on with the oldest file for so many seconds; return the place where to go on.

    `place` is what an earlier call returned: where another worker has gone on since, nothing
    is done. None if no row is left, or another worker goes on.
    """
    there = next_place()
    if there is None or place not in (None, there):
        return None
    try:
        address_key.check()
    except address_key.WrongKey as wrong:
        logger.error("a file of readers waits: %s", wrong)
        return None
    one = Import.objects.working().filter(pk=there[0]).first()
    return next_place() if one and go_on(one, seconds=seconds) else None


def next_place() -> Place | None:
    return Import.objects.working().values_list("pk", "position").first()


def go_on(one: Import, *, seconds: float) -> bool:
    """Take in slices from where the last worker stopped. False if another worker goes on.

    The seconds count from there: to find the place in a large file takes some, too.
    """
    trial = one if one.state == State.CHECKING else None
    name = f"import {one.pk}, {one.name}"
    intake = Intake(one.legal_source, timezone.now(), name=name, trial=trial)
    rows, fault = file_of(one).rows(), ""
    try:
        deque(islice(rows, one.position), maxlen=0)
        until = time.monotonic() + seconds
        for some in slices(rows):
            if not take(one, intake, some):
                return False
            if time.monotonic() > until:
                return True
    except BadFile as error:
        fault = str(error)
    return finish(one, fault)


@transaction.atomic
def take(one: Import, intake: Intake, rows: list[Row]) -> bool:
    """Take one slice in, or try it, and note that. False if another worker has."""
    row = locked(one)
    if row is None:
        return False
    with transaction.atomic():
        found = intake.take(rows)
        if intake.trial:
            transaction.set_rollback(True)
    if intake.trial:
        note_tried(one, intake.seen)
    row.position += len(rows)
    row.tally = dict(Counter(row.tally) + Counter(f"{each.became}" for each in found))
    row.notes = noted(row.notes, found)
    row.changed_at = timezone.now()
    row.save(update_fields=["position", "tally", "notes", "changed_at"])
    one.position = row.position
    return True


def note_tried(one: Import, hashes: set[str]) -> None:
    """Keep in mind whom the trial has met, for the slices to come."""
    met = [TriedAddress(trial=one, email_hash=each) for each in sorted(hashes)]
    TriedAddress.objects.bulk_create(met, ignore_conflicts=True)


def locked(one: Import) -> Import | None:
    """Lock the row, if it is where this worker believes it to be."""
    same = Import.objects.filter(pk=one.pk, state=one.state, position=one.position)
    return same.select_for_update().defer("content").first()


def noted(notes: str, found: list[Imported]) -> str:
    """Add a line for each row that was not taken, while there is room, without addresses."""
    lines = notes.splitlines()
    for each in found:
        if each.words and len(lines) < MOST_NOTES:
            words = without_addresses(each.words)
            lines.append(f"Line {each.line}: {each.became}: {words}"[:300])
    return "\n".join(lines)


@transaction.atomic
def finish(one: Import, fault: str) -> bool:
    """Note the end; what was imported needs its file no longer. False as `take`."""
    row = locked(one)
    if row is None:
        return False
    row.fault, row.changed_at = without_addresses(fault)[:300], timezone.now()
    fields = ["state", "fault", "changed_at", "rows"]
    if row.state == State.CHECKING:
        row.state, row.rows = State.CHECKED, row.position
    else:
        row.state = State.FAILED if fault else State.DONE
        row.rows, row.content = row.position, b""
        fields.append("content")
        logger.info("import %d ended after %d rows", row.pk, row.position)
    row.save(update_fields=fields)
    return True


def purge(now: datetime) -> None:
    """Delete files with which nothing happens, what trials noted, and old reports."""
    open_ones = Import.objects.exclude(state__in=[State.DONE, State.FAILED])
    open_ones.filter(changed_at__lte=now - UNUSED).update(
        state=State.FAILED, content=b"", fault="Nothing happened for a day: deleted."
    )
    TriedAddress.objects.exclude(trial__state=State.CHECKING).delete()
    Import.objects.filter(created_at__lte=now - KEPT).delete()
