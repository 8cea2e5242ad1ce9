"""`manage.py quarantine --since INSTANT`: after a restore, a failover or a move."""

from argparse import ArgumentParser
from typing import Any

from digest.deliveries import high_water, ledger, resolve
from digest.management.base import OperatorCommand, parse_instant


class Command(OperatorCommand):
    help = (
        "Set aside as unknown what came due since the instant of the backup: it may have"
        " gone out already. Then senders may start on this database."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--since", type=parse_instant, required=True)

    def handle(self, *args: Any, **options: Any) -> None:
        now = ledger.database_now()
        count = resolve.quarantine(options["since"], now=now)
        high_water.accept()
        self.stdout.write(
            f"{count} deliveries are unknown now; `manage.py unknown list` shows them"
        )
        for day in resolve.unpublished(options["since"], now=now):
            self.stdout.write(
                f"{day} has no edition in this database: it would be published and sent"
                f" anew. If it went out before, `publish` and `edition {day} cancel` first"
            )
