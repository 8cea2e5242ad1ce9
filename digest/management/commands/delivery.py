"""`manage.py delivery EMAIL|ID [--json]`: print the history with the servers' replies."""

import json
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandError

from digest.deliveries import history
from digest.editions.picks import parse_picks
from digest.management.base import OperatorCommand, add_json
from digest.models import Delivery, folded
from subscribers.addresses import BadAddress, address_hash, canonical
from subscribers.models import Subscriber


class Command(OperatorCommand):
    help = "Print the full history of one delivery, or of all deliveries to one address."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "which", metavar="EMAIL|ID", help="a reader, or one delivery by its number"
        )
        add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        rows = found(options["which"])
        if not rows:
            raise CommandError("no such delivery")
        for row in rows:
            steps = history.steps(row)
            if options["json"]:
                head = {"id": row.pk, "edition": f"{row.edition}", "state": row.state}
                head |= {"attempts": row.attempts, "run": row.run}
                head |= {"due_at": row.due_at.isoformat(), "reason": row.reason}
                told = [asdict(step) | {"at": step.at.isoformat()} for step in steps]
                self.stdout.write(json.dumps(head | {"history": told}))
                continue
            stored = parse_picks(row.picks)
            facts = [f"papers: {len(stored.picks)}"] if stored and stored.picks else []
            facts.append(f"attempts: {row.attempts}")
            facts += [f"run {row.run} in the logs"] if row.run else []
            self.stdout.write(
                f"delivery {row.pk}, {row.edition}: {row.state} ({', '.join(facts)})"
            )
            for step in steps:
                words = " | ".join(filter(None, [step.reason, step.reply]))
                at = f"{step.at:%Y-%m-%d %H:%M:%S}Z"
                self.stdout.write(f"  {at}  {step.source:8} {step.kind:12} {words}")


def found(which: str) -> list[Delivery]:
    if which.isdecimal():
        return list(filter(None, [folded.find(int(which))]))
    try:
        known = address_hash(canonical(which))
    except BadAddress as bad:
        raise CommandError(f"neither an id nor an address: {bad}") from None
    readers = Subscriber.objects.filter(email_hash=known).values_list("pk", flat=True)
    rows = Delivery.objects.of_readers(*readers).select_related("edition")
    kept = [*rows, *folded.of_readers(*readers)]
    return sorted(kept, key=lambda row: (row.due_at, row.pk))
