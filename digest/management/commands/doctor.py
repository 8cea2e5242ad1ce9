"""`manage.py doctor [--send-test EMAIL] [--received FILE]`: find what keeps mail away."""

import json
import sys
from argparse import ArgumentParser
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError
from django.utils import timezone

from digest.management.base import OperatorCommand
from digest.models import Edition
from digest.ops.doctor import doctor, sample_digest
from digest.ops.doctor.findings import Finding
from digest.ops.doctor.network import Network
from digest.ops.operators import audit
from digest.transport.outcomes import Verdict
from subscribers.addresses import BadAddress


class Command(OperatorCommand):
    help = (
        "Check DNS records, servers and settings, and say what to set. Exit status 0 when"
        " no fault was found, 1 when there is one or the check itself fails."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        add = parser.add_argument
        add("--json", action="store_true", help="print the findings as one JSON object")
        add("--send-test", metavar="EMAIL", help="first send the newest edition there")
        add("--received", metavar="FILE", help="judge a mail as received; - reads stdin")
        add(
            "--dkim-selector",
            action="append",
            default=[],
            metavar="NAME",
            help="of the DKIM record (default: the usual ones are tried); may be repeated",
        )
        add(
            "--ip",
            action="append",
            default=[],
            metavar="ADDRESS",
            help="an address from which mail leaves, if not the relay's; may be repeated",
        )
        add("--nameserver", default="", metavar="ADDRESS[:PORT]", help="ask this one")
        add("--blocklists", action="store_true", help="ask blocklists for our addresses")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["send_test"]:
            self.send_test(options["send_test"])
        found = doctor.examine(
            doctor.configured_sender(
                addresses=options["ip"], selectors=options["dkim_selector"]
            ),
            Network(options["nameserver"]),
            now=timezone.now(),
            blocklists=options["blocklists"],
            received=read(options["received"]) if options["received"] else None,
        )
        faults = sum(one.is_fault for one in found)
        if options["json"]:
            rows = [asdict(one) for one in found]
            self.stdout.write(json.dumps({"faults": faults, "findings": rows}, indent=2))
        else:
            self.print(found, faults)
        if faults:
            sys.exit(1)

    def print(self, found: list[Finding], faults: int) -> None:
        for one in found:
            self.stdout.write(f"{one.severity.upper()}  {one.what}  [{one.code}]")
            remedy = one.remedy.replace("\n", f"\n{' ' * 9}")
            self.stdout.write(f"    why  {one.why}\n    set  {remedy}\n")
        self.stdout.write(f"{settings.FROM_EMAIL}: {faults} to mend" if faults else "sound")

    def send_test(self, address: str) -> None:
        edition = Edition.objects.of_papers().order_by("-day", "kind").first()
        if edition is None:
            raise CommandError("no edition is published; run `manage.py publish`")
        try:
            outcome = sample_digest.send(edition, address, now=timezone.now())
        except (BadAddress, sample_digest.NotSent) as error:
            raise CommandError(f"not sent: {error}") from None
        words = ": ".join(filter(None, [outcome.reason, outcome.reply]))
        audit.record_command("test", edition, detail=f"Test digest: {outcome.verdict}")
        if outcome.verdict is not Verdict.ACCEPTED:
            raise CommandError(f"the test digest of {edition} was not sent: {words}")
        self.stderr.write(f"test digest of {edition}: {words}")
        self.stderr.write(
            "Save it as received, with all its headers, and judge it with --received FILE."
        )


def read(path: str) -> bytes:
    """Return the mail in a file, or from standard input. Raises CommandError."""
    try:
        return sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from None
