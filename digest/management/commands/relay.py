"""`manage.py relay [status|resume] [--json]`: show or end the rests of relay and domains."""

import json
from argparse import ArgumentParser
from typing import Any

from digest.deliveries import ledger
from digest.management.base import OperatorCommand
from digest.ops.operators import audit
from digest.throttling import circuit_breaker


class Command(OperatorCommand):
    help = (
        "Show whether the relay or provider can be used, and which domains rest."
        " `resume` ends all rests, so that senders retry at once."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = ["status", "resume"]
        parser.add_argument("action", nargs="?", choices=actions, default="status")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["action"] == "resume":
            circuit_breaker.reset_all()
            audit.record_command("relay resume")
        now = ledger.database_now()
        rest = circuit_breaker.resting(now)
        _, known = circuit_breaker.read()
        domains = [one for one in known.values() if one.rests_at(now)]
        if options["json"]:
            told = {"rest": f"{rest}" if rest else ""}
            rests = {one.name: f"{one.resting_until}" for one in domains}
            self.stdout.write(json.dumps(told | {"domains": rests}))
            return
        self.stdout.write(f"{rest or 'the relay is in use: no rest'}")
        for one in domains:
            self.stdout.write(f"{one.name} rests until {one.resting_until}")
