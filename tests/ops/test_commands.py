"""Commands as an operator types them: into a pipe, and with second thoughts."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from digest.models import Edition
from tests import make
from tests.environment import KEYS, ROOT, bare


@pytest.mark.embedded
@pytest.mark.parametrize("command", [["unknown"], ["subscribers", "export"]])
def test_a_closed_pipe_is_no_traceback(command: list[str], tmp_path: Path) -> None:
    env = bare() | KEYS | {"STATE_DIR": str(tmp_path)}
    manage = [sys.executable, "manage.py"]
    subprocess.run([*manage, "migrate", "-v0"], cwd=ROOT, env=env, check=True)
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [*manage, *command], cwd=ROOT, env=env, stdout=writer, stderr=subprocess.PIPE
    )
    os.close(writer)
    assert done.stderr == b""


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("typed", "options", "cancelled"),
    [
        ("", [], False),
        ("yes\n", [], False),
        ("2026-04-16\n", [], False),
        ("2026-04-17\n", [], True),
        ("", ["--yes"], True),
    ],
)
def test_an_edition_is_cancelled_after_a_second_thought(
    typed: str, options: list[str], cancelled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    edition = make.edition({make.paper(1): {"graphs": 1.0}})
    monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
    said = io.StringIO()
    try:
        call_command(
            "edition", str(edition.day), "cancel", *options, stdout=said, stderr=said
        )
    except CommandError as error:
        assert "not cancelled" in str(error)
    assert (Edition.objects.get(pk=edition.pk).hold == "cancelled") is cancelled
    assert ("cannot be resumed" in said.getvalue()) is not bool(options)
