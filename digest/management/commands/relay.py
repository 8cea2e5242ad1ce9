"""`manage.py relay [status|resume] [--json]`: show or end the rests of relays and domains."""

import json
from argparse import ArgumentParser
from typing import Any

from digest.deliveries import ledger
from digest.management.base import OperatorCommand, add_json
from digest.ops.operators import audit
from digest.throttling import circuit_breaker
from digest.transport import relays


class Command(OperatorCommand):
    help = (
        "Show whether each relay or provider can be used, and which domains rest."
        " `resume` ends all rests, so that senders retry at once."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = ["status", "resume"]
        parser.add_argument(
            "action", nargs="?", choices=actions, default="status", help="(default: status)"
        )
        add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        if options["action"] == "resume":
            circuit_breaker.reset_all()
            audit.record_command("relay resume")
        now = ledger.database_now()
        rests = {rest.relay: f"{rest}" for rest in circuit_breaker.rests(now)}
        _, known = circuit_breaker.read()
        domains = [one for one in known.values() if one.rests_at(now)]
        if options["json"]:
            each = {name: rests.get(name, "") for name in relays.configured()}
            told = {"rest": "; ".join(rests.values()), "relays": each}
            domains_rest = {one.name: f"{one.resting_until}" for one in domains}
            self.stdout.write(json.dumps(told | {"domains": domains_rest}))
            return
        for name in relays.configured():
            well = f"{relays.called(name)} is in use: no rest"
            self.stdout.write(rests.get(name, well))
        for one in domains:
            self.stdout.write(f"{one.name} rests until {one.resting_until}")
