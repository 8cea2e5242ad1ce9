"""`manage.py edition DAY [--json] [pause|resume|cancel]`: count it, stop it, go on."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from digest.deliveries import control, ledger
from digest.management.base import OperatorCommand, parse_day
from digest.models import Edition


class Command(OperatorCommand):
    help = "Count the deliveries of an edition by state; pause, resume or cancel it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("day", type=parse_day)
        parser.add_argument("action", nargs="?", choices=["pause", "resume", "cancel"])
        parser.add_argument(
            "--weekly", action="store_true", help="of the week, not the day"
        )
        parser.add_argument("--reason", default="by the operator", help="kept with it")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        kind = Edition.Kind.WEEKLY if options["weekly"] else Edition.Kind.DAILY
        edition = Edition.objects.filter(day=options["day"], kind=kind).first()
        if edition is None:
            raise CommandError(f"no {kind} edition is published for {options['day']}")
        if options["action"]:
            self.act(edition, options["action"], options["reason"])
            edition.refresh_from_db()
        account = control.account(edition)
        if options["json"]:
            words = {"day": f"{edition.day}", "kind": edition.kind, "hold": edition.hold}
            sums = {"eligible": account.eligible, "states": account.states}
            self.stdout.write(json.dumps(words | sums))
            return
        held = f", {edition.hold}: {edition.hold_reason}" if edition.hold else ""
        self.stdout.write(f"{edition}{held}\n{account.eligible:9} eligible")
        for state, count in account.states.items():
            self.stdout.write(f"{count:9} {state}")

    def act(self, edition: Edition, action: str, reason: str) -> None:
        if action == "cancel":
            control.cancel(edition, reason, now=ledger.database_now())
        elif action == "pause" and not control.pause(edition, reason):
            raise CommandError(f"the edition is held already: {edition.hold}")
        elif action == "resume" and not control.resume(edition, now=ledger.database_now()):
            raise CommandError("the edition is not paused")
