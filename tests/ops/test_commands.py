"""Commands as an operator types them: into a pipe, and with second thoughts."""

import io
import json
import os
import re
import subprocess
import sys
from argparse import ArgumentParser, _SubParsersAction
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.management import (
    CommandError,
    call_command,
    get_commands,
    load_command_class,
)

from digest.management.base import parse_instant
from digest.models import Act, Delivery, Edition
from subscribers.addresses import address_hash
from subscribers.models import Suppression
from subscribers.suppression import suppress
from tests import make, migrated
from tests.environment import KEYS, ROOT, bare


@pytest.mark.embedded
@pytest.mark.parametrize("command", [["unknown"], ["subscribers", "export"]])
def test_a_closed_pipe_is_no_traceback(command: list[str], tmp_path: Path) -> None:
    env = bare() | KEYS | {"STATE_DIR": str(tmp_path)}
    manage = [sys.executable, "manage.py"]
    migrated.copy_to(tmp_path / "db.sqlite3")
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


@pytest.mark.embedded
@pytest.mark.parametrize(
    "line",
    [
        "publish --day 0001-01-01",
        "publish --day 9999-12-31 --weekly",
        "edition 1899-12-31",
        "deliver --now 0001-01-01T00:00:00Z",
        "deliver --now 9999-12-31T23:59:59Z",
        "quarantine --since 0001-01-01T00:00:00+14:00",
        "quarantine --since 2026-04-17T25:00Z",
    ],
)
def test_a_day_or_time_that_nothing_can_be_counted_from_is_one_line(line: str) -> None:
    with pytest.raises(CommandError, match=r"is not a (date|time); use 2026-04-17"):
        call_command(*line.split())


PAPER = (
    '{"paper": {"id": "2604.00001", "title": "On graphs", "summary": "Graphs.", '
    '"authors": [], "upvotes": 5, "submittedOnDailyAt": "2026-04-16T00:00:00Z"}}\n'
)
JSON = [
    (["edition", "2026-04-17"], {"day", "kind", "hold", "eligible", "states", "relay"}),
    (["relay"], {"rest", "domains"}),
    (["deliver", "--now", "2026-04-17T12:00Z"], {"planned", "waiting", "accepted"}),
    (["delivery", "ann@example.org"], {"id", "run", "attempts", "due_at", "history"}),
    (["publish"], {"day", "kind", "papers"}),
    (["interleave", "start", "closer"], {"variant", "runs", "votes", "share"}),
    (["refit", "--list"], {"version", "ranks", "papers"}),
    (["subscribers", "verify"], {"sealed", "unsealed", "faults", "head"}),
    (["subscribers", "erase", "ann@example.org"], {"erased"}),
    (["subscribers", "lift", "gone@example.org", "--reason", "x"], {"lifted", "reader"}),
    (
        ["quarantine", "--since", "2090-01-01T00:00Z"],
        {"unknown", "unpublished", "may_start"},
    ),
    (["operator"], {"name", "role", "second_factor"}),
    (["unknown"], {"id", "edition", "email", "reason", "reply", "run", "intent_at"}),
    (["unknown", "abandon", "--all"], {"action", "count"}),
    (["subscribers", "show", "ann@example.org"], {"id", "state", "topics", "suppressed"}),
]


@pytest.mark.django_db
@pytest.mark.parametrize(("command", "fields"), JSON, ids=[str(one[0]) for one in JSON])
def test_what_a_command_prints_for_scripts_is_json(
    command: list[str], fields: set[str], capsys, sink, settings
) -> None:
    settings.MAILER_URL = sink.url
    User.objects.create_superuser("root")
    edition = make.edition({make.paper(1): {"graphs": 1.0}})
    ann, bob = (make.reader(f"{name}@example.org", "graphs") for name in ("ann", "bob"))
    for reader, state in ((ann, "pending"), (bob, "unknown")):
        Delivery.objects.create(
            edition=edition,
            subscriber=reader,
            state=state,
            lease_token="1a2b3c4d",
            intent_at=make.NOON,
            due_at=make.NOON,
            not_before=make.NOON,
            expires_at=make.NOON.replace(year=2090),
        )
    suppress(address_hash("gone@example.org"), Suppression.Reason.BOUNCED, now=make.NOON)
    call_command(*command, "--json")
    (line,) = capsys.readouterr().out.splitlines()
    told = json.loads(line)
    assert set(told) >= fields
    assert told.get("run") in {None, "1a2b3c4d"}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("operator bob", "there is no operator 'bob'"),
        ("restore README.md", "README.md is not a whole backup: .{1,80}"),
        ("up --port 99999", ".*--port: '99999' is not a port, from 1 to 65535"),
        ("up --mail-port x", ".*--mail-port: 'x' is not a port, from 1 to 65535"),
    ],
)
def test_what_cannot_be_is_one_line_in_the_operators_words(
    line: str, words: str, monkeypatch
) -> None:
    monkeypatch.chdir(ROOT)
    with pytest.raises(CommandError) as refused:
        call_command(*line.split())
    assert re.fullmatch(words, str(refused.value))


def test_an_option_that_takes_an_instant_says_so() -> None:
    ours = [name for name, app in get_commands().items() if app == "digest"]
    named = {
        f"{name} {action.option_strings}": action.metavar
        for name in ours
        for action in load_command_class("digest", name).create_parser("", name)._actions
        if action.type is parse_instant
    }
    assert len(named) >= 5 and set(named.values()) == {"INSTANT"}


def parsers(name: str, parser: ArgumentParser) -> Iterator[tuple[str, ArgumentParser]]:
    """Yield a command's parser and those of what it can do, each with its name."""
    yield name, parser
    for action in parser._actions:
        if isinstance(action, _SubParsersAction):
            for doing, one in action.choices.items():
                yield from parsers(f"{name} {doing}", one)


def test_help_says_what_each_argument_means() -> None:
    ours = [(name, app) for name, app in get_commands().items() if app == "digest"]
    silent = [
        f"{name} {action.option_strings or action.dest}"
        for command, app in ours
        for name, parser in parsers(
            command, load_command_class(app, command).create_parser("", command)
        )
        for action in parser._actions
        if not action.help and not isinstance(action, _SubParsersAction)
    ]
    assert len(ours) > 20 and silent == []


@pytest.mark.django_db
def test_one_who_is_only_suppressed_is_shown_too(capsys) -> None:
    suppress(address_hash("gone@example.org"), Suppression.Reason.BOUNCED, now=make.NOON)
    call_command("subscribers", "show", "gone@example.org")
    assert capsys.readouterr().out.split() == ["suppressed", "bounced"]
    with pytest.raises(CommandError, match="no reader"):
        call_command("subscribers", "show", "nobody@example.org")
    with pytest.raises(CommandError):
        call_command("subscribers", "show", "nobody")


@pytest.mark.parametrize(
    ("typed", "status"),
    [(["edition"], 2), (["edition", "x"], 1), (["unknown", "--nonsense"], 2)],
)
def test_exit_status_tells_a_typing_error_from_a_failure(
    typed: list[str], status: int
) -> None:
    command = load_command_class("digest", typed[0])
    with pytest.raises(SystemExit) as ended:
        command.run_from_argv(["manage.py", *typed])
    assert ended.value.code == status


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("command", "logged"),
    [
        (["interleave", "start", "closer"], ("interleave start", "closer")),
        (["interleave"], None),
        (["refit", "--use", "shipped"], ("refit", "ranks by")),
        (["refit", "--list"], None),
        (["fetch", "--from", "papers.jsonl"], ("fetch", "fetched 1 papers")),
        (["deliver", "--now", "2026-04-17T12:00Z"], ("deliver", "planned 1: 1 accepted")),
        (["deliver", "--now", "2026-04-01T12:00Z"], None),
        (["doctor", "--send-test", "ada@example.org"], ("test", "Test digest: accepted")),
        (["subscribers", "verify"], None),
    ],
)
def test_what_a_command_changes_for_readers_is_in_the_audit_log(
    command, logged, sink, settings, tmp_path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("digest.ops.doctor.doctor.examine", lambda *args, **named: [])
    Path("papers.jsonl").write_text(PAPER)
    settings.MAILER_URL = sink.url
    make.edition({make.paper(1): {"graphs": 1.0}})
    make.reader("ann@example.org", "graphs")
    call_command(*command)
    acts = [(one.what, one.detail) for one in Act.objects.all()]
    if logged is None:
        assert acts == []
    else:
        ((what, detail),) = acts
        assert what == logged[0] and detail.startswith(logged[1])
        assert "ada@" not in detail
