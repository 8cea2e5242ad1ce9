"""The base of all operator commands: one clear line instead of a traceback."""

import os
import re
import sys
from argparse import ArgumentParser
from contextlib import suppress
from datetime import UTC, date, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import Error, InterfaceError, OperationalError, ProgrammingError

from digest.models import Edition
from subscribers.address_key import WrongKey

TRY_AGAIN = 75  # EX_TEMPFAIL of sysexits.h: a mail server keeps the mail
YEARS = range(1900, 3000)  # weeks before and after such a day are dates, too
MISSING_TABLE = re.compile(
    "no such (table|column)|(relation|column) .{1,200} does not exist"
)


def parse_day(value: str) -> date:
    """Parse an argument, a day like 2026-04-17. Raises CommandError."""
    with suppress(ValueError):
        if (day := date.fromisoformat(value)).year in YEARS:
            return day
    raise CommandError(f"{value!r:.60} is not a date; use 2026-04-17")


def parse_instant(value: str) -> datetime:
    """Parse an argument, an instant, in UTC without an offset. Raises CommandError."""
    with suppress(ValueError):
        if (instant := datetime.fromisoformat(value)).year in YEARS:
            return (
                instant.astimezone(UTC) if instant.tzinfo else instant.replace(tzinfo=UTC)
            )
    raise CommandError(f"{value!r:.60} is not a time; use 2026-04-17T12:00Z")


def add_kind(parser: ArgumentParser) -> None:
    """Add the options that choose the kind of an edition; a daily one without them."""
    kinds = parser.add_mutually_exclusive_group()
    for name, words in [
        (Edition.Kind.WEEKLY, "the weekly edition"),
        (Edition.Kind.MISSED, "the edition for readers who were away"),
    ]:
        kinds.add_argument(
            f"--{name}", action="store_const", dest="kind", const=name, help=words
        )
    parser.set_defaults(kind=Edition.Kind.DAILY)


def add_json(parser: ArgumentParser) -> None:
    """Add --json, which means the same with all commands."""
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")


class OperatorCommand(BaseCommand):
    """A command whose errors, including the database's, are one line with exit status 1."""

    # `manage.py check` says them; a command says what stops it, in one line of its own.
    requires_system_checks: list[str] = []

    def run_from_argv(self, argv: list[str]) -> None:
        try:
            super().run_from_argv(argv)
        except BrokenPipeError:  # the reader of stdout has gone, as `head` does
            leave_quietly()
        except CommandError as error:  # raised while parsing, before Django catches it
            self.stderr.write(f"{type(error).__name__}: {error}")
            sys.exit(1)
        try:
            self.stdout.flush()
        except BrokenPipeError:
            leave_quietly()

    def execute(self, *args: Any, **options: Any) -> str | None:
        try:
            return super().execute(*args, **options)
        except WrongKey as error:
            raise CommandError(str(error)) from None
        except (OperationalError, ProgrammingError, InterfaceError) as error:
            raise CommandError(database_trouble(error)) from error


def leave_quietly() -> None:
    """Exit after the reader of stdout has gone, so that Python has nothing to flush."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(1)


def database_trouble(error: Error) -> str:
    """Return the message to the operator for a database error."""
    message = next(iter(str(error).strip().splitlines()), type(error).__name__)
    if MISSING_TABLE.search(message):
        return "the database is not migrated: run `python3 manage.py migrate`"
    if isinstance(error, ProgrammingError):
        return f"the database rejected a statement: {message}"
    return f"the database cannot be used: {message}"
