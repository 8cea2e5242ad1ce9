"""`manage.py refit [--list] [--use VERSION]`: fit the ranking to this installation's papers."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from digest.deliveries import ledger
from digest.management.base import OperatorCommand
from digest.models import StoredProjection
from digest.ranking import projections
from digest.ranking.projections import NotAdopted
from digest.ranking.vectors import shipped


class Command(OperatorCommand):
    help = (
        "Fit the ranking to the stored papers and rank by it from now on; beat does so each"
        " month. Readers' directions follow within some ticks."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        instead = parser.add_mutually_exclusive_group()
        instead.add_argument("--list", action="store_true", help="print the versions kept")
        instead.add_argument(
            "--use", metavar="VERSION", help="rank by this version, or by `shipped`, again"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if not options["list"]:
            self.change(options["use"])
        newest = projections.newest_version()
        rows = {row.version: row for row in StoredProjection.objects.order_by("fitted_at")}
        for version in {shipped().version: None} | rows:
            self.stdout.write(line(version, rows.get(version), ranks=version == newest))

    def change(self, use: str | None) -> None:
        now = ledger.database_now()
        try:
            if use:
                projections.adopt(shipped().version if use == "shipped" else use, now=now)
            else:
                projections.refit(now)
        except NotAdopted as error:
            raise CommandError(f"nothing changed: {error}") from None


def line(version: str, row: StoredProjection | None, *, ranks: bool) -> str:
    """Return one line about a version; the row of the shipped one has no content."""
    words = "shipped"
    if row and row.papers:
        words = (
            f"{row.fitted_at:%Y-%m-%d}, {row.papers} papers, topics {row.topics_found:.3f}"
        )
    return f"{'*' if ranks else ' '} {version} {words}"
