"""`manage.py bounce`: read what comes back, from the mail server's pipe or from the mailbox.

See docs/operations.md.
"""

import json
import sys
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError
from django.db import Error
from django.utils import timezone

from digest.deliveries import ledger
from digest.feedback import bounce_mailbox, dsn, events
from digest.feedback.mailbox_session import MailboxTrouble
from digest.management.base import TRY_AGAIN, OperatorCommand, add_json


class Command(OperatorCommand):
    help = (
        "Process a bounce or complaint from standard input that was sent to ADDRESS; or, with"
        " --mailbox, all that is in BOUNCE_MAILBOX_URL."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "address", nargs="?", help="the envelope's recipient: papers+…@…"
        )
        parser.add_argument("--mailbox", action="store_true", help="empty the mailbox now")
        add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        if options["mailbox"] == (options["address"] is not None):
            raise CommandError("give the ADDRESS to which the mail came, or --mailbox")
        if options["mailbox"]:
            self.read_mailbox(as_json=options["json"])
            return
        raw = sys.stdin.buffer.read(dsn.MOST_LETTER)
        while sys.stdin.buffer.read(dsn.MOST_LETTER):
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

    def read_mailbox(self, *, as_json: bool) -> None:
        """Empty the mailbox and say how many letters of each kind were in it."""
        if not settings.BOUNCE_MAILBOX_URL:
            raise CommandError("set BOUNCE_MAILBOX_URL: imaps://user:password@host/INBOX")
        try:
            taken = bounce_mailbox.read(ledger.database_now())
        except MailboxTrouble as trouble:
            raise CommandError(f"the bounce mailbox was not read: {trouble}") from None
        if as_json:
            self.stdout.write(json.dumps({one.name.lower(): taken[one] for one in taken}))
        else:
            self.stdout.write(bounce_mailbox.told(taken))
