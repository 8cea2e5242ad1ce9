import os
import stat
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone

from digest.management.base import OperatorCommand
from subscribers import consent, import_export, privacy
from subscribers.addresses import BadAddress


def parse_head(value: str) -> consent.Head:
    """Parse an argument, a head as in the log. Raises CommandError."""
    try:
        return consent.read_head(value)
    except ValueError as error:
        raise CommandError(f"{value!r:.90} is {error}, as in the log") from None


def private(path: str, flags: int) -> int:
    """Open a file that only its owner may read, even if it existed before."""
    number = os.open(path, flags, 0o600)
    if stat.S_ISREG(os.fstat(number).st_mode):
        os.fchmod(number, 0o600)
    return number


class Command(OperatorCommand):
    help = "Import, export or erase readers; verify the receipts of their consent."

    def add_arguments(self, parser: ArgumentParser) -> None:
        doing = parser.add_subparsers(dest="doing", required=True)
        importing = doing.add_parser("import", help="CSV with a header line, or JSON Lines")
        importing.add_argument("file", type=Path)
        importing.add_argument(
            "--legal-source",
            default="",
            help="the legal reason to write to these people, who are active at once; "
            "without it, each address gets a mail to confirm",
        )
        exporting = doing.add_parser("export", help="CSV, or JSON Lines for FILE.jsonl")
        exporting.add_argument("file", type=Path, nargs="?")
        erasing = doing.add_parser("erase", help="remove a person for good")
        erasing.add_argument("email")
        verifying = doing.add_parser("verify", help="walk the chain of receipts")
        verifying.add_argument(
            "--head",
            type=parse_head,
            help="NUMBER:SEAL from a log, to check that it exists",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        match options["doing"]:
            case "import":
                self.load(options["file"], options["legal_source"])
            case "export":
                self.dump(options["file"])
            case "erase":
                self.erase(options["email"])
            case "verify":
                self.verify(options["head"])

    def load(self, file: Path, legal_source: str) -> None:
        taken = refused = 0
        try:
            now = timezone.now()
            for row in import_export.load(file, legal_source=legal_source, now=now):
                if row.refused:
                    refused += 1
                    self.stderr.write(f"line {row.line}: refused: {row.refused}")
                else:
                    taken += 1
        except import_export.BadFile as error:
            raise CommandError(str(error)) from None
        what = "imported" if legal_source else "taken, those without a source asked by mail"
        self.stdout.write(f"{taken} {what}, {refused} refused")

    def dump(self, file: Path | None) -> None:
        jsonl = file is not None and file.suffix in {".jsonl", ".ndjson", ".json"}
        try:
            if file is None:
                sys.stdout.writelines(import_export.dump(jsonl=False))
                return
            with open(file, "w", encoding="utf-8", newline="", opener=private) as out:
                out.writelines(import_export.dump(jsonl=jsonl))
        except BrokenPipeError:
            raise
        except OSError as error:
            raise CommandError(f"cannot write {file}: {error.strerror}") from None

    def erase(self, email: str) -> None:
        try:
            erased = privacy.erase_address(email, now=timezone.now())
        except BadAddress as error:
            raise CommandError(str(error)) from None
        if not erased:
            raise CommandError("there is no data about this address")
        self.stdout.write("erased")

    def verify(self, head: consent.Head | None) -> None:
        report = consent.verify(head)
        for line in report.wrong:
            self.stderr.write(line)
        self.stdout.write(
            f"{report.sealed} receipts sealed, {report.blanked} of them blanked, "
            f"{report.unsealed} not sealed yet, head {report.head}"
        )
        if report.wrong:
            raise CommandError(f"{len(report.wrong)} faults in the receipts")
