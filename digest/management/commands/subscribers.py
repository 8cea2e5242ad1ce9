import json
import os
import stat
import sys
from argparse import ArgumentParser, ArgumentTypeError
from collections import Counter
from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from django.db import transaction
from django.utils import timezone

from digest.management.base import OperatorCommand, add_json
from digest.ops.operators import audit
from subscribers import consent, import_export, privacy, suppression
from subscribers.addresses import BadAddress, address_hash, canonical
from subscribers.import_export import Became
from subscribers.import_file import BadFile, ImportFile, name_of
from subscribers.import_rows import KNOWN
from subscribers.models import Subscriber, Suppression

EVERY = 10_000  # rows: then a line of progress


def named(columns: Iterable[str]) -> str:
    """Return the columns' names in one short line, whatever is in them."""
    return ", ".join(f"{name!a:.60}" for name in list(columns)[:20])


def parse_head(value: str) -> consent.Head:
    """Parse an argument, a head as in the log. Raises CommandError."""
    try:
        return consent.read_head(value)
    except ValueError as error:
        raise CommandError(f"{value!r:.90} is {error}, as in the log") from None


def parse_column(value: str) -> tuple[str, str]:
    """Return their name and ours of a column, from OURS=THEIRS."""
    ours, equals, theirs = value.partition("=")
    if not equals or not name_of(theirs) or ours not in KNOWN:
        raise ArgumentTypeError(f"say OURS=THEIRS, ours one of {', '.join(sorted(KNOWN))}")
    return name_of(theirs), ours


def add_parser(doing: Any, name: str, words: str) -> ArgumentParser:
    """Add what the command can do, with the words that both helps have."""
    added: ArgumentParser = doing.add_parser(name, help=words, description=words)
    return added


def private(path: str, flags: int) -> int:
    """Open a file that only its owner may read, even if it existed before."""
    number = os.open(path, flags, 0o600)
    if stat.S_ISREG(os.fstat(number).st_mode):
        os.fchmod(number, 0o600)
    return number


class Command(OperatorCommand):
    help = (
        "Import, export, show or erase readers, lift bars, verify the receipts of consent."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        doing = parser.add_subparsers(dest="doing", required=True)
        importing = add_parser(doing, "import", "CSV with a header line, or JSON Lines")
        importing.add_argument(
            "file", type=Path, help="that of another tool, too: its columns are recognised"
        )
        importing.add_argument(
            "--legal-source",
            default="",
            help="the legal reason to write to these people, who are active at once; "
            "without it, each address gets a mail to confirm",
        )
        importing.add_argument(
            "--dry-run", action="store_true", help="only say what would happen"
        )
        importing.add_argument(
            "--all-or-nothing",
            action="store_true",
            help="take nothing if a row is refused or the file is damaged",
        )
        importing.add_argument(
            "--column",
            action="append",
            default=[],
            type=parse_column,
            metavar="OURS=THEIRS",
            help="which column of the file is ours, as in email=Adresse; may be repeated",
        )
        add_json(importing)
        exporting = add_parser(doing, "export", "CSV, or JSON Lines for FILE.jsonl")
        exporting.add_argument(
            "file", type=Path, nargs="?", help="to write (default: standard output)"
        )
        erasing = add_parser(doing, "erase", "remove a person for good")
        erasing.add_argument("email", metavar="EMAIL", help="of the person")
        add_json(erasing)
        showing = add_parser(doing, "show", "what is known of one reader")
        showing.add_argument("email", metavar="EMAIL", help="of the person")
        add_json(showing)
        lifting = add_parser(doing, "lift", "lift a bar that should not be there")
        lifting.add_argument("email", metavar="EMAIL", help="of the person")
        lifting.add_argument("--reason", required=True, help="kept in the receipt")
        add_json(lifting)
        verifying = add_parser(doing, "verify", "walk the chain of receipts")
        verifying.add_argument(
            "--head",
            type=parse_head,
            help="NUMBER:SEAL from a log, to check that it exists",
        )
        add_json(verifying)

    def handle(self, *args: Any, **options: Any) -> None:
        match options["doing"]:
            case "import":
                self.load(as_json=options["json"], **options)
            case "export":
                self.dump(options["file"])
            case "erase":
                self.erase(options["email"], as_json=options["json"])
            case "show":
                self.show(options["email"], as_json=options["json"])
            case "lift":
                self.lift(options["email"], options["reason"], as_json=options["json"])
            case "verify":
                self.verify(options["head"], as_json=options["json"])

    def load(
        self,
        *,
        file: Path,
        legal_source: str,
        dry_run: bool,
        all_or_nothing: bool,
        column: list[tuple[str, str]],
        as_json: bool,
        **_: Any,
    ) -> None:
        source = ImportFile(file, KNOWN, named=dict(column))
        tally: Counter[Became] = Counter()
        fault = ""
        is_one = all_or_nothing and not dry_run
        with transaction.atomic() if is_one else nullcontext():
            try:
                self.count(source, tally, legal_source, dry_run=dry_run)
            except BadFile as error:
                fault = str(error)
            failed = is_one and (bool(fault) or bool(tally[Became.REFUSED]))
            if failed:
                transaction.set_rollback(True)
        self.say_how_read(source)
        words = ", ".join(f"{tally[each]} {each}" for each in Became if tally[each])
        words = words or "no rows"
        if failed:
            why = fault or f"{tally[Became.REFUSED]} rows are refused"
            raise CommandError(f"nothing was taken: {why}")
        if fault and not tally:  # not even the first row could be read
            raise CommandError(fault)
        if not dry_run:
            why = f", legal source: {legal_source}" if legal_source else ""
            audit.record_command("import", detail=f"{words}{why}")
        counts = {each.value: tally[each] for each in Became}
        told = json.dumps({"dry_run": dry_run, "rows": counts}) if as_json else ""
        self.stdout.write(told or (f"would be: {words}" if dry_run else words))
        if fault:
            raise CommandError(fault)
        if tally and set(tally) == {Became.REFUSED}:
            raise CommandError("nothing was taken: every row is refused")

    def count(
        self,
        source: ImportFile,
        tally: Counter[Became],
        legal_source: str,
        *,
        dry_run: bool,
    ) -> None:
        """Import, say why rows are not taken, and count what became of them."""
        now = timezone.now()
        for number, row in enumerate(
            import_export.load(source, legal_source=legal_source, now=now, dry_run=dry_run),
            start=1,
        ):
            tally[row.became] += 1
            if row.words:
                self.stderr.write(
                    f"{source.path}, line {row.line}: {row.became}: {row.words}"
                )
            if number % EVERY == 0:
                self.stderr.write(f"{number} rows …")

    def say_how_read(self, source: ImportFile) -> None:
        if source.tool:
            self.stderr.write(f"read as an export of {source.tool.name}")
        if source.ignored:
            self.stderr.write(f"ignored columns: {named(source.ignored)}")
        if source.encoding == "cp1252":
            self.stderr.write(f"{source.path} is not UTF-8: read as Windows-1252")

    def dump(self, file: Path | None) -> None:
        audit.record_command("export", detail="all readers")
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

    def erase(self, email: str, *, as_json: bool) -> None:
        try:
            erased = privacy.erase_address(email, now=timezone.now())
        except BadAddress as error:
            raise CommandError(str(error)) from None
        if not erased:
            raise CommandError("there is no data about this address")
        audit.record_command("erase")
        self.stdout.write(json.dumps({"erased": True}) if as_json else "erased")

    def show(self, email: str, *, as_json: bool) -> None:
        """Print a reader's state and choices, or that only a suppression is left."""
        try:
            email_hash = address_hash(canonical(email))
        except BadAddress as error:
            raise CommandError(str(error)) from None
        people = Subscriber.objects.select_related("schedule")
        reader = people.filter(email_hash=email_hash).first()
        bar = Suppression.objects.filter(email_hash=email_hash).first()
        if reader is None and bar is None:
            raise CommandError("no reader has this address, and it is not suppressed")
        told: dict[str, object] = {"suppressed": bar.reason if bar else None}
        if reader:
            told |= {"id": reader.pk, "email": reader.email, "state": reader.state}
            told |= {"when": f"{reader.schedule}", "language": reader.language}
            told["topics"] = list(reader.topics.values_list("slug", flat=True))
            told["created_at"] = reader.created_at.isoformat()
        if as_json:
            self.stdout.write(json.dumps(told))
            return
        for name, value in told.items():
            words = ", ".join(value) if isinstance(value, list) else value or "no"
            self.stdout.write(f"{name:10}  {words}")

    def lift(self, email: str, why: str, *, as_json: bool) -> None:
        if not why.strip():
            raise CommandError("--reason is empty: say why the bar is wrong")
        origin = consent.Origin("subscribers lift")
        try:
            email_hash = address_hash(canonical(email))
            reader = suppression.lift_bar(
                email_hash, why.strip(), origin=origin, now=timezone.now()
            )
        except (BadAddress, suppression.NotBarred) as error:
            raise CommandError(str(error)) from None
        audit.record_command("lift", reader, detail=why.strip())
        if as_json:
            told = {"lifted": True, "reader": reader.pk if reader else None}
            self.stdout.write(json.dumps(told))
            return
        self.stdout.write(
            "lifted: mail goes again"
            if reader
            else "lifted: the address may sign up, and gets mail once its holder confirms"
        )

    def verify(self, head: consent.Head | None, *, as_json: bool) -> None:
        report = consent.verify(head)
        for line in report.wrong:
            self.stderr.write(line)
        counts = {"sealed": report.sealed, "blanked": report.blanked}
        counts |= {"unsealed": report.unsealed, "faults": len(report.wrong)}
        self.stdout.write(
            json.dumps(counts | {"head": f"{report.head}"})
            if as_json
            else f"{report.sealed} receipts sealed, {report.blanked} of them blanked, "
            f"{report.unsealed} not sealed yet, head {report.head}"
        )
        if report.wrong:
            raise CommandError(f"{len(report.wrong)} faults in the receipts")
