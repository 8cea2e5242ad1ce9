"""Uploaded files of readers: the worker's part, whatever dies or comes twice."""

from collections.abc import Iterator
from datetime import timedelta
from itertools import count
from types import SimpleNamespace

import pytest
from django.utils import timezone

from subscribers import import_export, import_jobs, tasks
from subscribers.import_export import Intake, slices
from subscribers.import_file import ImportFile, Row
from subscribers.import_rows import Person, Reader
from subscribers.models import (
    Import,
    Notice,
    Schedule,
    Subscriber,
    Suppression,
    TriedAddress,
)
from subscribers.retention import purge

pytestmark = pytest.mark.django_db
State = Import.State
ROWS = [f"r{number}@example.org,active" for number in range(5)]
CSV = "\n".join(
    ["email,state", *ROWS, "bad,active", "r1@example.org,active", "x@example.org,left"]
)
TRIED = {
    "asked by mail to confirm": 5,
    "refused": 1,
    "known already": 1,
    "kept as opted out": 1,
}


@pytest.fixture(autouse=True)
def short_slices(monkeypatch) -> None:
    monkeypatch.setattr(import_export, "SLICE", 3)


def uploaded(text: str = CSV, *, state: State = State.CHECKING, **fields: object) -> Import:
    now = timezone.now()
    return Import.objects.create(
        name="readers.csv",
        content=text.encode(),
        state=state,
        who="ann",
        created_at=now,
        changed_at=now,
        **fields,
    )


def test_a_trial_tells_what_would_become_of_each_row_and_stores_nothing() -> None:
    one = uploaded()
    assert import_jobs.work(seconds=60) is None
    one.refresh_from_db()
    assert (one.state, one.rows, one.tally) == (State.CHECKED, 8, TRIED)
    assert "Line 7: refused: email" in one.notes and "@" not in one.notes
    stored = [Subscriber, Suppression, Notice, Schedule]
    assert [model._default_manager.count() for model in stored] == [0] * 4
    assert bytes(one.content) == CSV.encode()


def test_an_import_takes_in_what_the_trial_told_and_deletes_the_file() -> None:
    one = uploaded(state=State.IMPORTING)
    import_jobs.work(seconds=60)
    one.refresh_from_db()
    assert (one.state, one.rows, one.tally) == (State.DONE, 8, TRIED)
    assert bytes(one.content) == b""
    assert Subscriber.objects.filter(state="pending").count() == 5
    assert import_jobs.work(seconds=60) is None


@pytest.mark.parametrize("state", Import.WORKING)
def test_a_worker_goes_on_where_another_stopped(state) -> None:
    one = uploaded(state=state)
    for done in (3, 6, 8):  # each takes one slice, as its time is up
        assert import_jobs.work(seconds=0) == (one.pk, done), "nobody has to wait for more"
    import_jobs.work(seconds=60)
    one.refresh_from_db()
    assert (one.rows, one.tally) == (8, TRIED)


def test_a_trial_reads_each_row_once_however_often_it_stops(monkeypatch) -> None:
    uploaded()
    lines: list[int] = []
    person = Reader.person

    def noting(self: Reader, row: Row) -> Person:
        lines.append(row.line)
        return person(self, row)

    monkeypatch.setattr(Reader, "person", noting)
    while import_jobs.work(seconds=0):
        pass
    assert lines == list(range(2, 10))


def test_to_find_the_place_does_not_use_up_the_time(monkeypatch) -> None:
    one = uploaded()
    Import.objects.update(position=3)
    clock, rows = count(), ImportFile.rows

    def slow(file: ImportFile) -> Iterator[Row]:  # a second for each row
        for row in rows(file):
            next(clock)
            yield row

    monkeypatch.setattr(ImportFile, "rows", slow)
    monkeypatch.setattr(import_jobs, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    assert import_jobs.work(seconds=6) == (one.pk, 8)


# How many beats come, and how many messages may wait after each: one may be out of date.
@pytest.mark.parametrize("beats", [1, 2, 6])
def test_beats_start_no_chains_beside_one_another(monkeypatch, beats) -> None:
    monkeypatch.setattr(import_export, "SLICE", 1)
    monkeypatch.setattr(tasks, "TURN", 0)
    waiting: list[tuple[int, ...]] = []
    monkeypatch.setattr(tasks, "wake_imports", lambda *place: waiting.append(place))
    uploaded("email\n" + "\n".join(f"r{number}@x.org" for number in range(20)))
    for _ in range(beats):
        waiting.append(())
        for _ in range(len(waiting)):
            tasks.take_imports(*waiting.pop(0))
    assert len(waiting) == min(beats, 2)
    while waiting:
        tasks.take_imports(*waiting.pop(0))
    one = Import.objects.get()
    assert (one.state, one.rows) == (State.CHECKED, 20)


def test_a_worker_that_comes_too_late_wakes_nobody(monkeypatch) -> None:
    one, file_of = uploaded(), import_jobs.file_of

    def while_another_goes_on(late: Import) -> ImportFile:
        monkeypatch.setattr(import_jobs, "file_of", file_of)
        assert import_jobs.go_on(Import.objects.get(), seconds=0)
        return file_of(late)

    monkeypatch.setattr(import_jobs, "file_of", while_another_goes_on)
    assert import_jobs.work(seconds=60) is None
    assert import_jobs.work(seconds=60, place=(one.pk, 0)) is None
    assert import_jobs.next_place() == (one.pk, 3)


def test_a_trial_leaves_nothing_behind_and_can_be_repeated() -> None:
    one = uploaded()
    import_jobs.work(seconds=60)
    assert TriedAddress.objects.exists()
    one.refresh_from_db()
    now = timezone.now()
    assert import_jobs.begin(one, State.CHECKING, before=State.CHECKED, now=now)
    import_jobs.work(seconds=60)
    assert Import.objects.get().tally == TRIED
    purge(timezone.now())
    assert not TriedAddress.objects.exists()


def test_of_two_workers_at_once_one_finds_its_slice_taken() -> None:
    one, same = uploaded(state=State.IMPORTING), Import.objects.get()
    rows = next(slices(import_jobs.file_of(one).rows()))
    for each, taken in ((one, True), (same, False)):
        assert import_jobs.take(each, Intake("", timezone.now()), rows) is taken
    one.refresh_from_db()
    assert sum(one.tally.values()) == 3
    assert Notice.objects.count() == 3


def test_a_slice_that_fails_is_not_noted_as_done(monkeypatch) -> None:
    one = uploaded(state=State.IMPORTING)
    monkeypatch.setattr(import_jobs, "noted", None)  # dies after the rows are stored
    with pytest.raises(TypeError):
        import_jobs.work(seconds=60)
    one.refresh_from_db()
    assert one.position == 0 and not Subscriber.objects.exists()


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("name\nAnn", "it must name the columns"),
        ('email\na@example.org\n"b@example.org', "its quotes do not fit"),
    ],
)
def test_a_file_that_cannot_be_read_says_where(text, fault) -> None:
    one = uploaded(text, state=State.IMPORTING)
    import_jobs.work(seconds=60)
    one.refresh_from_db()
    assert one.state == State.FAILED and fault in one.fault
    assert bytes(one.content) == b""


def test_a_cancelled_import_ends_at_the_next_slice() -> None:
    one = uploaded(state=State.IMPORTING)
    import_jobs.work(seconds=0)
    assert import_jobs.cancel(one.pk, now=timezone.now())
    assert not import_jobs.cancel(one.pk, now=timezone.now())
    assert import_jobs.work(seconds=60) is None
    assert Subscriber.objects.count() == 3
    assert bytes(Import.objects.get().content) == b""


@pytest.mark.parametrize(
    ("state", "days", "left"),
    [
        (State.NEW, 2, b""),
        (State.CHECKED, 2, b""),
        (State.CHECKING, 2, b""),
        (State.IMPORTING, 2, b""),
        (State.CHECKED, 0, b"x"),
        (State.IMPORTING, 0, b"x"),
        (State.DONE, 91, None),
    ],
)
def test_a_file_that_nobody_imports_is_deleted(state, days, left) -> None:
    uploaded("x", state=state)
    ago = timezone.now() - timedelta(days=days)
    Import.objects.update(changed_at=ago, created_at=ago)
    purge(timezone.now())
    contents = [bytes(one.content) for one in Import.objects.all()]
    assert contents == ([] if left is None else [left])
