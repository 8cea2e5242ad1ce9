"""`manage.py restore FILE`: put a backup back, and keep it from sending anything twice."""

import sys
from argparse import ArgumentParser
from datetime import datetime
from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import DatabaseError

from digest.deliveries import control
from digest.management.base import OperatorCommand
from digest.management.commands.quarantine import add_until
from digest.ops.backup import BackupError, awake, instant, put_back, read_about
from digest.ops.operators import audit


class Command(OperatorCommand):
    help = (
        "Replace the database by a backup, migrate it, and quarantine it: what may have been"
        " sent since the backup is marked as unknown, and is not sent again by itself."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="that `backup` wrote")
        add_until(parser)
        parser.add_argument("--yes", action="store_true", help="replace without asking")
        parser.add_argument(
            "--unsent", action="store_true", help="days without an edition never went out"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            about = read_about(options["file"])
            if running := awake():
                raise BackupError(
                    f"the loops {', '.join(running)} ran within the last minute: stop the"
                    " workers and beat, wait a minute, and try again"
                )
            if not options["yes"]:
                self.ask(about.at)
            known = [options["until"], ahead(instant(about))]
            put_back(options["file"])
        except (BackupError, OSError) as error:
            raise CommandError(str(error)) from None
        self.stdout.write(f"the database is as of {about.at}")
        call_command("migrate", interactive=False, verbosity=0, stdout=self.stdout)
        audit.record_command("restore", detail=f"as of {about.at}")
        call_command(
            "quarantine",
            since=instant(about),
            until=max(filter(None, known), default=None),
            unsent=options["unsent"],
            stdout=self.stdout,
            stderr=self.stderr,
        )

    def ask(self, at: str) -> None:
        """Ask whether to replace the database. Raises CommandError unless told to."""
        self.stderr.write(
            f"Everything in the database is replaced by what it was at {at}. "
            "Type restore to do so:"
        )
        if sys.stdin.readline().strip() != "restore":
            raise CommandError("nothing was changed (use --yes to restore without asking)")


def ahead(since: datetime) -> datetime | None:
    """Return until when what comes due was sent, as the database that is replaced tells."""
    try:
        return control.sent_since(since)
    except DatabaseError:  # empty or broken: that is what restores are for
        return None
