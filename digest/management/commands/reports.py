"""`manage.py reports [FILE]`: read DMARC and TLS reports about our domain.

See docs/operations.md.
"""

import json
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from django.db import Error
from django.utils import timezone

from digest.feedback import domain_reports
from digest.management.base import TRY_AGAIN, OperatorCommand, add_json


class Command(OperatorCommand):
    help = (
        "Read DMARC aggregate reports and TLS reports, from a file (XML, JSON, gzip, zip) or"
        " from the mails that bring them: FILE, or one mail on standard input."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "file", nargs="?", type=Path, help="without it, read a mail from standard input"
        )
        add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        raw, now = self.read(options["file"]), timezone.now()
        try:
            found = domain_reports.read(raw)
            count = domain_reports.store(found, now=now)
        except domain_reports.NotAReport as error:
            if options["file"]:
                raise CommandError(f"{options['file']} is no report: {error}") from None
            # A failure would make the mail server answer whoever forged the sender.
            self.stderr.write(f"not a report: {error}")
            return
        except Error as error:
            words = "the database cannot be used; deliver the mail again later"
            raise CommandError(words, returncode=TRY_AGAIN) from error
        told = {"reports": len(found), "new_counts": count}
        words = f"{len(found)} reports read, {count} new counts"
        self.stdout.write(json.dumps(told) if options["json"] else words)

    def read(self, file: Path | None) -> bytes:
        """Return the file, or standard input up to what a report may have."""
        most = domain_reports.MOST_BYTES
        if file is None:
            raw = sys.stdin.buffer.read(most + 1)
            while sys.stdin.buffer.read(most):
                pass  # a mail server may treat a pipe that is not read to its end as a failure
            return raw
        try:
            with file.open("rb") as opened:
                return opened.read(most + 1)
        except OSError as error:
            raise CommandError(f"cannot read {file}: {error.strerror}") from None
