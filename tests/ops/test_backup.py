"""A backup: where it finds room, and what it says when PostgreSQL's programs do not fit."""

import tempfile
from pathlib import Path

import pytest
from django.conf import settings

from digest.ops.backup import BackupError, back_up, put_back, run

INSTALL = "install PostgreSQL's client of at least the server's version"
SAID = {
    "dump of a newer server": (
        "pg_dump: error: aborting because of server version mismatch\n"
        "pg_dump: detail: server version: 18.6; pg_dump version: 15.18",
        ["server version: 18.6; pg_dump version: 15.18", INSTALL],
    ),
    "dump of a newer program": (
        "pg_restore: error: unsupported version (1.16) in file header",
        ["unsupported version (1.16)", INSTALL],
    ),
    "another fault": ("pg_dump: error: no room\nmore", ["failed: pg_dump: error: no room"]),
    "not a word": ("", ["failed: no reason given"]),
}


@pytest.mark.parametrize(("said", "words"), SAID.values(), ids=SAID)
def test_g12_the_error_of_a_program_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, words: list[str]
) -> None:
    """The words are those of PostgreSQL 15 to 18."""
    (tmp_path / "said").write_text(said)
    (tmp_path / "pg_dump").write_text(f'#!/bin/sh\ncat "{tmp_path}/said" >&2; exit 1\n')
    (tmp_path / "pg_dump").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(BackupError) as raised:
        run("pg_dump", connected=False)
    assert all(word in str(raised.value) for word in words), raised.value
    assert (INSTALL in str(raised.value)) == (INSTALL in words)


def test_g12_a_program_that_is_not_there_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BackupError, match=f"pg_dump is not on the PATH: {INSTALL}"):
        run("pg_dump", connected=False)


@pytest.mark.embedded
@pytest.mark.django_db(transaction=True)
def test_g12_a_restore_takes_its_room_beside_the_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """/tmp lies in memory on Debian 13 and in our containers."""
    back_up(tmp_path / "backup.tar")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    put_back(tmp_path / "backup.tar")
    assert not list(settings.STATE_DIR.glob(".restore-*"))
