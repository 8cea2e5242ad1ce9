"""`manage.py backup FILE`: the whole database in one file, while everything runs."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from digest.management.base import OperatorCommand
from digest.ops.backup import BackupError, back_up
from digest.ops.operators import audit


class Command(OperatorCommand):
    help = (
        "Write the database into a new file, for `restore`. The keys are not in it: keep"
        " SECRET_KEY and ADDRESS_KEY elsewhere. It holds addresses: encrypt it."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="a new file")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            about = back_up(options["file"])
        except (BackupError, OSError) as error:
            raise CommandError(str(error)) from None
        audit.record_command("backup", detail=f"as of {about.at}")
        size = options["file"].stat().st_size
        self.stdout.write(f"{options['file']}: {size:,} bytes, as of {about.at}")
