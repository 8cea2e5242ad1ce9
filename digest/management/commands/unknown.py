"""`manage.py unknown [list|mark-sent|resend|abandon] [ID …|--all]`: resolve unknowns.

`manage.py unknown --from FOLDER` resolves those whose outcomes another machine had kept.
"""

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from digest.deliveries import control, ledger, outcome_journal
from digest.management.base import OperatorCommand, add_json
from digest.ops.operators import audit

ACTIONS = {
    "mark-sent": (control.mark_sent, "marked as sent"),
    "resend": (control.resend, "pending again"),
    "abandon": (control.abandon, "abandoned"),
}


class Command(OperatorCommand):
    help = (
        "Resolve deliveries whose outcome was lost in a crash or with a reply: each mail may"
        " have been sent or not. Only `resend` can send a reader an edition twice."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = ["list", *ACTIONS]
        parser.add_argument(
            "action", nargs="?", choices=actions, default="list", help="(default: list)"
        )
        parser.add_argument(
            "ids", nargs="*", type=int, metavar="ID", help="of deliveries, from the list"
        )
        parser.add_argument("--all", action="store_true", help="all unknown deliveries")
        parser.add_argument(
            "--from",
            dest="folder",
            type=Path,
            metavar="FOLDER",
            help="record the outcomes in this copy of a dead machine's STATE_DIR",
        )
        add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        if options["folder"]:
            if options["action"] != "list" or options["ids"] or options["all"]:
                raise CommandError("--from goes alone: it records and decides nothing")
            self.record_copy(options["folder"], as_json=options["json"])
            return
        if options["action"] == "list":
            self.print_list(options["ids"], as_json=options["json"])
            return
        if bool(options["ids"]) == options["all"]:
            raise CommandError("give the ids of the deliveries, or --all")
        ids = options["ids"] or list(control.unknown().values_list("pk", flat=True))
        act, done = ACTIONS[options["action"]]
        count = act(ids, now=ledger.database_now())
        words = f"{count} unknown deliveries {done}: {', '.join(map(str, ids[:20]))}"
        audit.record_command(options["action"], detail=words)
        told = json.dumps({"action": options["action"], "count": count})
        self.stdout.write(told if options["json"] else f"{count} {done}")
        if count < len(ids):
            raise CommandError(f"{len(ids) - count} of them were not unknown")

    def record_copy(self, folder: Path, *, as_json: bool) -> None:
        now = ledger.database_now()
        try:
            count, damaged = outcome_journal.replay_copy(folder, now)
        except OSError:
            raise CommandError(f"{folder} is not a folder that can be read") from None
        words = f"{count} outcomes recorded"
        audit.record_command("record outcomes", detail=f"{words} from {folder}"[:200])
        told = json.dumps({"action": "record", "count": count, "damaged": damaged})
        self.stdout.write(told if as_json else words)
        if damaged:
            raise CommandError(f"these files cannot be read: {', '.join(damaged)}")

    def print_list(self, ids: list[int], *, as_json: bool) -> None:
        rows = control.unknown(ids).select_related("subscriber")
        for row in rows:
            email = row.subscriber.email if row.subscriber else ""
            if as_json:
                told = {"id": row.pk, "edition": f"{row.edition}", "reason": row.reason}
                told |= {"email": email, "reply": row.reply, "run": row.run}
                at = row.intent_at.isoformat() if row.intent_at else None
                self.stdout.write(json.dumps(told | {"intent_at": at}))
            else:
                at = f"{row.intent_at:%Y-%m-%d %H:%M}Z" if row.intent_at else "never"
                words = f"{row.reason} {row.reply}".strip()
                who = email or "erased"
                self.stdout.write(
                    f"{row.pk:9}  {row.edition}  {who}  handed over {at}  {words}"
                )
        if not as_json:
            self.stdout.write(f"{len(rows)} unknown")
