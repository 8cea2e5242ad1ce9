import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone

from digest.management.base import OperatorCommand, add_json, parse_day
from digest.ops.operators import audit
from digest.papers import ingest
from digest.papers.sources import SourceError


class Command(OperatorCommand):
    help = "Fetch the papers of a day from the source, or store the papers of a file."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--day",
            type=parse_day,
            metavar="YYYY-MM-DD",
            help="the day (UTC; default: the newest day whose list is complete)",
        )
        parser.add_argument(
            "--from",
            type=Path,
            dest="file",
            metavar="FILE",
            help="the source's JSON array, JSON Lines or a saved page; all its days unless "
            "--day is given",
        )
        add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        file, day, now = options["file"], options["day"], timezone.now()
        filled = ingest.Counts()
        try:
            if file:
                fetched = ingest.fetch_file(file, now=now, day=day)
            else:
                fetched = ingest.fetch(now=now, day=day)
                if fetched.day:
                    filled = ingest.fill_gaps(now=now, day=fetched.day)
        except SourceError as error:
            raise CommandError(str(error)) from None
        for rejected in fetched.rejected:
            self.stderr.write(f"skipped {rejected.which}: {rejected.why}")
        if fetched.rejected and not fetched.counts.papers:
            raise CommandError("no entry could be stored; see the lines above")
        audit.record_command("fetch", detail=summary(fetched))
        if options["json"]:
            self.stdout.write(json.dumps(told(fetched) | {"from_arxiv": filled.added}))
            return
        self.stdout.write(summary(fetched))
        if filled.added:
            self.stdout.write(f"added {filled.added} papers from arXiv for rare topics")


def told(fetched: ingest.Fetched) -> dict[str, object]:
    """Return the same as summary, for scripts."""
    counts = fetched.counts
    return {
        "days": [f"{day}" for day in fetched.days],
        "papers": counts.papers,
        "new": counts.added,
        "updated": counts.updated,
        "skipped": len(fetched.rejected),
    }


def summary(fetched: ingest.Fetched) -> str:
    """Return one line with the number of papers, their days and the changes."""
    counts, days = fetched.counts, fetched.days
    of = f" of {days[0]}" if len(days) == 1 else ""
    if len(days) > 1:
        of = f" of {len(days)} days, the newest {days[-1]}"
    return (
        f"fetched {counts.papers} papers{of}: {counts.added} new, "
        f"{counts.updated} updated, {len(fetched.rejected)} skipped"
    )
