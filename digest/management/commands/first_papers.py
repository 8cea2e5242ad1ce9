"""`manage.py first_papers`: fetch the papers for `manage.py up`."""

from argparse import ArgumentParser
from pathlib import Path

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from digest.ops.stack import demo as invented
from digest.ops.stack.first_papers import bring
from digest.papers.sources import SourceError


class Command(BaseCommand):
    help = "Fetch and publish the newest papers; without a network, publish samples."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--from",
            dest="papers",
            type=Path,
            metavar="FILE",
            help="papers from a file instead of the source, as `fetch` takes it",
        )
        invent = parser.add_mutually_exclusive_group()
        invent.add_argument("--demo", action="store_true", help="and invent readers")
        invent.add_argument("--first-digest", action="store_true", help="and one reader")

    def handle(
        self, *, papers: Path | None, demo: bool, first_digest: bool, **options: object
    ) -> None:
        try:
            self.stdout.write(bring(papers, now=timezone.now()))
            if demo:
                self.stdout.write(invented.fill(now=timezone.now()))
            elif first_digest:
                self.stdout.write(invented.first_digest(now=timezone.now()))
        except (SourceError, CommandError) as error:
            # For the operator of `up`, who sees this output and not the log.
            self.stdout.write(str(error))
            raise SystemExit(1) from None
