"""`manage.py edition DAY [pause|resume|cancel|retry-refused]`: count or hold an edition."""

import json
import sys
from argparse import ArgumentParser
from datetime import datetime
from typing import Any

from django.core.management.base import CommandError

from digest.deliveries import control, ledger
from digest.management.base import (
    OperatorCommand,
    add_json,
    add_kind,
    parse_day,
    parse_instant,
)
from digest.models import Edition
from digest.ops.operators import audit
from digest.throttling import circuit_breaker

ACTIONS = ["pause", "resume", "cancel", "retry-refused"]


class Command(OperatorCommand):
    help = (
        "Count the deliveries of an edition by state; pause, resume or cancel it, or send"
        " again the deliveries that a relay refused because of us, not of the readers."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("day", type=parse_day, help="of the edition, like 2026-04-17")
        parser.add_argument(
            "action", nargs="?", choices=ACTIONS, help="without it, count its deliveries"
        )
        add_kind(parser)
        parser.add_argument(
            "--reason", default="by the operator", help="stored with the hold"
        )
        parser.add_argument(
            "--since",
            type=parse_instant,
            metavar="INSTANT",
            help="retry-refused: deliveries refused since then, like 2026-04-17T12:00Z",
        )
        add_json(parser)
        parser.add_argument("--yes", action="store_true", help="cancel without asking")

    def handle(self, *args: Any, **options: Any) -> None:
        edition = Edition.objects.filter(day=options["day"], kind=options["kind"]).first()
        if edition is None:
            raise CommandError(
                f"no {options['kind']} edition is published for {options['day']}"
            )
        if options["action"] == "retry-refused":
            self.retry_refused(edition, options["since"])
        elif options["action"]:
            if options["action"] == "cancel" and not options["yes"]:
                self.ask(edition)
            self.act(edition, options["action"], options["reason"])
            edition.refresh_from_db()
        account = control.account(edition)
        rests = [f"{rest}" for rest in circuit_breaker.rests(ledger.database_now())]
        if options["json"]:
            words = {"day": f"{edition.day}", "kind": edition.kind, "hold": edition.hold}
            sums = {"eligible": account.eligible, "states": account.states}
            relay = {"relay": "; ".join(rests)}
            self.stdout.write(json.dumps(words | sums | relay))
            return
        held = f", {edition.hold}: {edition.hold_reason}" if edition.hold else ""
        self.stdout.write(f"{edition}{held}\n{account.eligible:9} eligible")
        for state, count in account.states.items():
            self.stdout.write(f"{count:9} {state}")
        for rest in rests:
            self.stdout.write(rest)
        if rests:
            self.stdout.write("To retry at once, run `manage.py relay resume`.")

    def retry_refused(self, edition: Edition, since: datetime | None) -> None:
        if since is None:
            raise CommandError(
                "--since is required: retry-refused --since 2026-04-17T12:00Z"
            )
        count = control.retry_refused(edition, since, now=ledger.database_now())
        audit.record_command("retry", edition, detail=f"{count} pending again")
        self.stdout.write(f"{count} pending again")

    def ask(self, edition: Edition) -> None:
        """Ask whether to cancel. Raises CommandError unless the day is typed again."""
        self.stderr.write(
            f"{edition} will be sent to no more readers, and cannot be resumed. "
            f"Type {edition.day} to cancel it:"
        )
        if sys.stdin.readline().strip() != f"{edition.day}":
            raise CommandError("not cancelled (use --yes to cancel without asking)")

    def act(self, edition: Edition, action: str, reason: str) -> None:
        if action == "cancel":
            control.cancel(edition, reason, now=ledger.database_now())
        elif action == "pause" and not control.pause(edition, reason):
            raise CommandError(f"the edition is already {edition.hold}")
        elif action == "resume" and not control.resume(edition, now=ledger.database_now()):
            raise CommandError("the edition is not paused")
        audit.record_command(action, edition, detail=reason)
