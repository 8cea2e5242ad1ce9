"""`manage.py quarantine --since INSTANT`: after a restore, a failover or a move."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from digest.deliveries import control, fencing, ledger
from digest.management.base import OperatorCommand, add_json, parse_instant
from digest.ops import announcements
from digest.ops.operators import audit


class Command(OperatorCommand):
    help = (
        "Mark the deliveries due since the instant of the backup as unknown, as they may have"
        " been sent already. Then senders may start on this database."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--since",
            type=parse_instant,
            required=True,
            metavar="INSTANT",
            help="of the backup, like 2026-04-17T12:00Z",
        )
        add_until(parser)
        parser.add_argument(
            "--unsent", action="store_true", help="days without an edition never went out"
        )
        add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        now, until = ledger.database_now(), options["until"]
        count = control.quarantine(options["since"], until=until, now=now)
        words = f"since {options['since']:%Y-%m-%d %H:%M}Z: {count} unknown"
        audit.record_command("quarantine", detail=words)
        days = control.unpublished(options["since"], until=until, now=now)
        waits = bool(days) and not options["unsent"]
        if options["json"]:
            told = {"unknown": count, "unpublished": [f"{day}" for day in days]}
            self.stdout.write(json.dumps(told | {"may_start": not waits}))
        else:
            self.stdout.write(
                f"{count} deliveries are unknown now: use `manage.py unknown` to list and resolve"
                " them"
            )
        if drafts := announcements.drafts_after_restore():
            self.stderr.write(drafts)
        if waits:
            raise CommandError(
                f"senders still refuse: {', '.join(map(str, days))} may have been sent and"
                " would be published and sent again. Run `manage.py publish --day DAY` for"
                " each and then this command again; or use --unsent"
            )
        fencing.accept()
        if not options["json"]:
            self.stdout.write("senders may start")


def add_until(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--until",
        type=parse_instant,
        metavar="INSTANT",
        help="`deliver --now` sent ahead what comes due by then, where nothing remembers it",
    )
