"""`manage.py publish [--day D]`: publish the edition of a day."""

import json
from argparse import ArgumentParser
from datetime import date
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone

from digest.deliveries.plan import week_end
from digest.editions.publish import NothingToPublish, newest_stored, publish
from digest.management.base import OperatorCommand, add_json, parse_day
from digest.models import Edition
from digest.ops.operators import audit
from digest.papers import sources


class Command(OperatorCommand):
    help = "Publish the edition of a day: assign topics to its papers and freeze it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--day",
            type=parse_day,
            help="YYYY-MM-DD (default: the newest day that has papers)",
        )
        parser.add_argument(
            "--weekly", action="store_true", help="the week that ends that day"
        )
        add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        now = timezone.now()
        newest = sources.newest_day(now)
        day = options["day"] or newest_stored(now) or newest
        kind = Edition.Kind.WEEKLY if options["weekly"] else Edition.Kind.DAILY
        if kind == Edition.Kind.WEEKLY:
            check_week(day, newest)
        try:
            edition = publish(day, now=now, kind=kind)
        except NothingToPublish as error:
            raise CommandError(
                f"{error}; fetch them with `manage.py fetch --day {day}`"
            ) from None
        audit.record_command("publish", edition)
        count = edition.blocks.count()
        told = {"day": f"{edition.day}", "kind": edition.kind, "papers": count}
        words = f"published {edition}: {count} papers"
        self.stdout.write(json.dumps(told) if options["json"] else words)


def check_week(day: date, newest: date) -> None:
    """Raise CommandError unless a week ends on the day and is over."""
    end = week_end(day)
    if end != day:
        raise CommandError(
            f"no reader's week ends on {day}: use `manage.py publish --weekly --day {end}`"
        )
    if day > newest:
        raise CommandError(f"the week that ends on {day} is not over yet")
