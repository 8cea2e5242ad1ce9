"""The previous release and this one on one database, both at work on one edition (`just nightly`).

The previous release is the newest tag `v…` before this commit; without any, the commit before
the newest migration.
"""

import io
import subprocess
import tarfile
from collections import Counter
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.db import models
from django.db.migrations import operations
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation

from tests.environment import POSTGRES, ROOT
from tests.faults import outside
from tests.faults.invariants import broken
from tests.faults.scene import Scene, scene
from tests.faults.test_senders import wait_for
from tests.shell import opened

SMALL = {"SEND_CONNECTIONS": "1", "SUBMIT_GROUP": "1"}  # a sender takes ten rows at a time
TREE = ("digest", "subscribers", "templates", "tests", "manage.py", "pyproject.toml")
MIGRATIONS = ("digest/migrations", "subscribers/migrations")


def git(*words: str) -> bytes:
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, check=True).stdout


@pytest.fixture(scope="module")
def release() -> str:
    """The previous release, as git names it."""
    try:
        tags = git("tag", "--merged", "HEAD^", "--sort=-v:refname", "v*").decode().split()
        newest = git("log", "-1", "--format=%H^", "--diff-filter=A", "--", *MIGRATIONS)
        commit = [*tags, newest.decode().strip()][0]
        git("cat-file", "-e", commit)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this checkout has no history that leads to the previous release")
    return commit


@pytest.fixture
def previous(release: str, tmp_path: Path) -> Path:
    """The tree of the previous release, in a folder of its own."""
    archive = git("archive", release, "--", *TREE)
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(tmp_path / "previous", filter="data")
    return tmp_path / "previous"


@pytest.mark.nightly
@pytest.mark.skipif(not POSTGRES, reason="needs a PostgreSQL: `python -m tests`")
def test_o7_two_releases_side_by_side_send_each_mail_once(
    previous: Path, tmp_path: Path, empty_database: str
) -> None:
    readers = ["r0+dot-waitx1@example.org"]
    readers += [f"r{number}@example.org" for number in range(1, 30)]
    with ExitStack() as stack:
        there = stack.enter_context(outside.smtp(tmp_path / "outside"))
        env = there.env | SMALL
        old = scene(tmp_path / "scene", env, database=empty_database, tree=previous)
        new = replace(old, tree=ROOT)
        before = old.shell = stack.enter_context(opened(previous, old.env, old.log))
        after = new.shell = stack.enter_context(opened(ROOT, new.env, new.log))
        old.seed(readers, "--plan")
        new.day = old.day
        # The tables change while a sender of before has a mail under way.
        frozen = before.start("deliver", "--day", old.day)
        wait_for(there, "waiting")
        new.manage("migrate", "-v0", "--no-input")
        assert after.run("deliver", "--day", old.day) == 0
        by_the_new = len(there.arrived())
        (there.folder / "go").touch()
        assert before.wait(frozen) == 0, old.log.read_text()[-2000:]
        assert 0 < by_the_new < len(there.arrived()) == len(readers)
        rows, arrived = new.ledger.rows(), there.arrived()
        assert broken(rows, arrived, readers=readers, most_unknown=0) == []
        # The code of before plans the next edition on the tables of now; both send it.
        old.python("-m", "tests.faults.seed", "--newer")
        ((day,),) = new.ledger.ask("SELECT max(day) FROM digest_edition")
        sending = [one.start("deliver", "--day", f"{day}") for one in (before, after)]
        assert [before.wait(sending[0]), after.wait(sending[1])] == [0, 0]
        new.drain(after)
        assert Counter(there.arrived()) == dict.fromkeys(readers, 2)
        assert {row.state for row in new.ledger.rows()} == {"accepted"}
        import_a_reader(old, tmp_path / "readers.csv")


def import_a_reader(played: Scene, file: Path) -> None:
    file.write_text("email,topics,timezone,send_hour\nlate@example.org,graphs,UTC,7\n")
    played.manage("subscribers", "import", str(file), "--legal-source", "asked")
    assert "late@example.org" in played.manage("subscribers", "export")


# -- expand, migrate, contract ----------------------------------------------------------


def breaks(operation: Operation, *, contracts: bool) -> bool:
    """True if the code of the previous release could not work on the tables after it.

    `contracts`: what the operation removes is unused since the previous release.
    """
    match operation:
        case operations.AddField(field=field):
            optional = field.null or field.many_to_many
            return not optional and field.db_default is models.NOT_PROVIDED
        case (
            operations.RenameField()
            | operations.RenameModel()
            | operations.AlterModelTable()
        ):
            return True
        case operations.RemoveField() | operations.DeleteModel():
            return not contracts
        case operations.SeparateDatabaseAndState():
            inner = operation.database_operations
            return any(breaks(one, contracts=contracts) for one in inner)
    return False


def added(field: "models.Field[Any, Any]") -> Operation:
    return operations.AddField("paper", "mark", field)


@pytest.mark.embedded
@pytest.mark.parametrize(
    ("operation", "wanted"),
    [
        (added(models.IntegerField(default=0)), "breaks"),
        (added(models.IntegerField(default=0, db_default=0)), "fine"),
        (added(models.IntegerField(null=True)), "fine"),
        (operations.RenameField("paper", "title", "name"), "breaks"),
        (operations.RenameModel("Paper", "Article"), "breaks"),
        (operations.RemoveField("paper", "mark"), "only to contract"),
        (operations.DeleteModel("Mark"), "only to contract"),
        (
            operations.SeparateDatabaseAndState(
                state_operations=[operations.RemoveField("paper", "mark")]
            ),
            "fine",
        ),
        (operations.CreateModel("Mark", []), "fine"),
    ],
)
def test_o7_what_the_previous_release_cannot_bear_is_known(
    operation: Operation, wanted: str
) -> None:
    found = [breaks(operation, contracts=contracts) for contracts in (False, True)]
    words = {(True, True): "breaks", (True, False): "only to contract"}
    assert words.get((found[0], found[1]), "fine") == wanted


@pytest.mark.embedded
def test_o7_migrations_since_the_last_release_only_expand(release: str) -> None:
    """One named `contract_…` may remove what the last release left unused."""
    known = git("ls-tree", "-r", "--name-only", release, "--", *MIGRATIONS).decode()
    breaking = [
        f"{app}/migrations/{name}.py: {operation.describe()}"
        for (app, name), migration in MigrationLoader(None).disk_migrations.items()
        if app in {"digest", "subscribers"} and f"{app}/migrations/{name}.py" not in known
        for operation in migration.operations
        if breaks(operation, contracts=name[5:].startswith("contract_"))
    ]
    assert breaking == []
