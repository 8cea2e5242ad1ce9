"""`manage.py quarantine --since INSTANT`: after a restore, a failover or a move."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from digest.deliveries import control, fencing, ledger
from digest.management.base import OperatorCommand, parse_instant
from digest.ops.operators import audit


class Command(OperatorCommand):
    help = (
        "Mark the deliveries due since the instant of the backup as unknown, as they may have"
        " been sent already. Then senders may start on this database."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--since", type=parse_instant, required=True)
        parser.add_argument(
            "--unsent", action="store_true", help="days without an edition never went out"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        now = ledger.database_now()
        count = control.quarantine(options["since"], now=now)
        words = f"since {options['since']:%Y-%m-%d %H:%M}Z: {count} unknown"
        audit.record_command("quarantine", detail=words)
        self.stdout.write(
            f"{count} deliveries are unknown now: use `manage.py unknown` to list and resolve"
            " them"
        )
        days = control.unpublished(options["since"], now=now)
        if days and not options["unsent"]:
            raise CommandError(
                f"senders still refuse: {', '.join(map(str, days))} may have been sent and"
                " would be published and sent again. Run `manage.py publish --day DAY` for"
                " each and then this command again; or use --unsent"
            )
        fencing.accept()
        self.stdout.write("senders may start")
