"""`manage.py deliver [--day D] [--now INSTANT]`: plan and send in this process."""

import json
import signal
from argparse import ArgumentParser
from collections import Counter
from datetime import datetime
from typing import Any

from django.core.management.base import CommandError

from digest import process
from digest.deliveries import control, fencing, idempotent_retry, ledger, preflight
from digest.deliveries.ledger import DatabaseClock
from digest.deliveries.outlets import Clock
from digest.deliveries.plan import due_editions, plan, plan_edition
from digest.deliveries.send import send_due
from digest.logs import begin_run
from digest.management.base import OperatorCommand, add_json, parse_day, parse_instant
from digest.models import Delivery, Edition
from digest.ops.operators import audit
from digest.tasks import catch_up
from digest.throttling import circuit_breaker

COUNTED = ("accepted", "skipped", "refused", "retry", "unknown")


class Command(OperatorCommand):
    help = "Plan and send what is due, in this process and without a broker."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--day", type=parse_day, help="send this day's edition, however late it is"
        )
        parser.add_argument(
            "--now",
            type=parse_instant,
            metavar="INSTANT",
            help="take this for the current time, like 2026-04-17T12:00Z",
        )

        add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        begin_run()
        instant: datetime | None = options["now"]
        clock = DatabaseClock()
        due: Clock = (lambda: instant) if instant else clock
        signal.signal(signal.SIGTERM, lambda *_: process.ask_to_stop())
        now = ledger.database_now()
        catch_up(now)
        found = due_editions(due())
        if options["day"]:
            found = Edition.objects.of_papers().filter(day=options["day"])
            if not found:
                raise CommandError(
                    f"no edition is published for {options['day']}; "
                    f"use `manage.py publish --day {options['day']}`"
                )
            if any(edition.folded_at for edition in found):
                raise CommandError(
                    f"the edition of {options['day']} is too old: who got it is told by"
                    " `manage.py delivery`, and nobody gets it any more"
                )
        preflight.check_new(found, now)
        editions = list(found) if options["day"] else [None]
        planned, tally = 0, Counter[str]()
        try:
            idempotent_retry.ask_again(now)
            for edition in editions:
                planned += (
                    plan_edition(edition, due())
                    if edition
                    else plan(due(), preflight.check_new)
                )
                only = edition.pk if edition else None
                tally += send_due(clock, due=due, edition_id=only)
        except fencing.SendingRefused as refused:
            raise CommandError(str(refused)) from None
        waiting = control.why_waiting(found, ledger.database_now())
        counts = {word: tally[word] for word in COUNTED}
        told = ", ".join(f"{count} {word}" for word, count in counts.items())
        if planned or any(counts.values()):
            audit.record_command("deliver", detail=f"planned {planned}: {told}")
        if options["json"]:
            self.stdout.write(json.dumps({"planned": planned, "waiting": waiting} | counts))
        else:
            self.stdout.write("\n".join([f"planned {planned}: {told}", *waiting]))
            if not any(tally.values()) and not Delivery.objects.filter(edition__in=found):
                self.stdout.write("nothing is due to anybody")
        if stopped := circuit_breaker.stopped(clock()):
            rests = "; ".join(map(str, stopped))
            raise CommandError(f"{rests}. To retry at once, run `manage.py relay resume`.")
