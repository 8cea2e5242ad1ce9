"""`manage.py replay EMAIL DAY`: print a mail as sent, and why it has each paper or not."""

import sys
from argparse import ArgumentParser
from datetime import date
from typing import Any

from django.core.management.base import CommandError

from digest.deliveries import explain, replay
from digest.deliveries.replay import NothingToShow
from digest.management.base import OperatorCommand, add_kind, parse_day
from digest.management.commands.preview import reader
from digest.models import Edition, folded


class Command(OperatorCommand):
    help = "Write the mail as it was sent to standard output, its scores to standard error."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("email", metavar="EMAIL", help="of the reader")
        parser.add_argument("day", type=parse_day, help="of the edition, like 2026-04-17")
        add_kind(parser)
        parser.add_argument(
            "--paper",
            metavar="ID",
            help="print why the reader got a paper, or did not: its arXiv id, link or title",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        kind = options["kind"]
        if options["paper"]:
            self.explain(options["email"], options["day"], kind, options["paper"])
            return
        subscriber = reader(options["email"])
        editions = Edition.objects.filter(day=options["day"], kind=kind)
        rows = (folded.of(edition, subscriber.pk) for edition in editions)
        if not (row := next(filter(None, rows), None)):
            raise CommandError(
                f"no {kind} edition of {options['day']} was due to this reader"
            )
        try:
            replayed = replay.replay(row)
        except NothingToShow as error:
            raise CommandError(str(error)) from None
        for place, pick in enumerate(replayed.picks, start=1):
            why = f"{pick.why}, fit {pick.fit:.2f}" if pick.fit else pick.why
            self.stderr.write(f"{place:2} {pick.arxiv_id} {why}, {pick.upvotes} upvotes")
        # Bytes, as a text stream might change the line ends.
        sys.stdout.flush()
        sys.stdout.buffer.write(replayed.content)

    def explain(self, email: str, day: date, kind: Edition.Kind, typed: str) -> None:
        """Print what the reader is told on their own page."""
        subscriber = reader(email)
        edition = Edition.objects.filter(kind=kind, day=day).first()
        if edition is None:
            raise CommandError(f"no {kind} edition of {day} is published")
        match explain.named_paper(typed, edition):
            case []:
                raise CommandError("no paper has this id or title")
            case [paper]:
                for line in explain.explain(subscriber, edition, paper).lines:
                    self.stdout.write(line)
            case several:
                names = ", ".join(f"{one.arxiv_id} {one.title}" for one in several)
                raise CommandError(f"several papers have this in their titles: {names}")
