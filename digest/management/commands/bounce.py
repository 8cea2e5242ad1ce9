"""`manage.py bounce ADDRESS < MAIL`: read a bounce mail from the mail server's pipe.

See docs/operations.md.
"""

import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.db import Error
from django.utils import timezone

from digest.feedback import dsn, events
from digest.management.base import TRY_AGAIN, OperatorCommand

MOST_BYTES = 1024 * 1024  # enough, as the report comes before the returned mail


class Command(OperatorCommand):
    help = "Process a bounce or complaint from standard input that was sent to ADDRESS."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("address", help="the envelope's recipient: papers+…@…")

    def handle(self, *args: Any, **options: Any) -> None:
        raw = sys.stdin.buffer.read(MOST_BYTES)
        while sys.stdin.buffer.read(MOST_BYTES):
            pass  # some mail servers treat a pipe that is not read to its end as a failure
        now = timezone.now()
        reports = dsn.reports(raw, came_to=options["address"], now=now)
        try:
            count = events.take(reports, now=now)
        except Error as error:
            words = "the database cannot be used; deliver the mail again later"
            raise CommandError(words, returncode=TRY_AGAIN) from error
        if options["verbosity"] > 1:
            self.stdout.write(f"{count} reports stored")
