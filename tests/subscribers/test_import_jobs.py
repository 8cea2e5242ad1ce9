"""Uploaded files of readers: the worker's part, whatever dies or comes twice."""

import time
from datetime import timedelta

import pytest
from django.utils import timezone

from subscribers import import_export, import_jobs
from subscribers.import_export import Intake, slices
from subscribers.models import Import, Notice, Schedule, Subscriber, Suppression
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


def forever() -> float:
    return time.monotonic() + 60


def test_a_trial_tells_what_would_become_of_each_row_and_stores_nothing() -> None:
    one = uploaded()
    assert import_jobs.work(until=forever()) is False
    one.refresh_from_db()
    assert (one.state, one.rows, one.tally) == (State.CHECKED, 8, TRIED)
    assert "Line 7: refused: email" in one.notes and "@" not in one.notes
    stored = [Subscriber, Suppression, Notice, Schedule]
    assert [model._default_manager.count() for model in stored] == [0] * 4
    assert bytes(one.content) == CSV.encode()


def test_an_import_takes_in_what_the_trial_told_and_deletes_the_file() -> None:
    one = uploaded(state=State.IMPORTING)
    import_jobs.work(until=forever())
    one.refresh_from_db()
    assert (one.state, one.rows, one.tally) == (State.DONE, 8, TRIED)
    assert bytes(one.content) == b""
    assert Subscriber.objects.filter(state="pending").count() == 5
    assert import_jobs.work(until=forever()) is False


@pytest.mark.parametrize("state", Import.WORKING)
def test_a_worker_goes_on_where_another_stopped(state) -> None:
    one = uploaded(state=state)
    for _ in range(3):  # each takes one slice, as its time is up
        assert import_jobs.work(until=0), "there is more, and nobody has to wait for it"
    import_jobs.work(until=forever())
    one.refresh_from_db()
    assert (one.rows, one.tally) == (8, TRIED)


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
        import_jobs.work(until=forever())
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
    import_jobs.work(until=forever())
    one.refresh_from_db()
    assert one.state == State.FAILED and fault in one.fault
    assert bytes(one.content) == b""


def test_a_cancelled_import_ends_at_the_next_slice() -> None:
    one = uploaded(state=State.IMPORTING)
    import_jobs.work(until=0)
    assert import_jobs.cancel(one.pk, now=timezone.now())
    assert not import_jobs.cancel(one.pk, now=timezone.now())
    assert import_jobs.work(until=forever()) is False
    assert Subscriber.objects.count() == 3
    assert bytes(Import.objects.get().content) == b""


@pytest.mark.parametrize(
    ("state", "days", "left"),
    [
        (State.NEW, 2, b""),
        (State.CHECKED, 2, b""),
        (State.CHECKED, 0, b"x"),
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
