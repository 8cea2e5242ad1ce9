"""`manage.py refit [--list] [--use VERSION]`: fit the ranking to this installation's papers."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from digest.deliveries import ledger
from digest.management.base import OperatorCommand, add_json
from digest.models import StoredProjection
from digest.ops.operators import audit
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
        add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        if not options["list"]:
            self.change(options["use"])
        newest = projections.newest_version()
        rows = {row.version: row for row in StoredProjection.objects.order_by("fitted_at")}
        for version in {shipped().version: None} | rows:
            row, ranks = rows.get(version), version == newest
            words = json.dumps(told(version, row, ranks=ranks)) if options["json"] else ""
            self.stdout.write(words or line(version, row, ranks=ranks))

    def change(self, use: str | None) -> None:
        now = ledger.database_now()
        try:
            if use:
                projections.adopt(shipped().version if use == "shipped" else use, now=now)
            else:
                projections.refit(now)
        except NotAdopted as error:
            raise CommandError(f"nothing changed: {error}") from None
        audit.record_command("refit", detail=f"ranks by {projections.newest_version()}")


def told(version: str, row: StoredProjection | None, *, ranks: bool) -> dict[str, object]:
    """Return the same as `line`, for scripts; what is not known of the shipped one is null."""
    fitted = row if row and row.papers else None
    return {
        "version": version,
        "ranks": ranks,
        "fitted_at": fitted.fitted_at.isoformat() if fitted else None,
        "papers": fitted.papers if fitted else None,
        "topics": fitted.topics_found if fitted else None,
    }


def line(version: str, row: StoredProjection | None, *, ranks: bool) -> str:
    """Return one line about a version; the row of the shipped one has no content."""
    words = "shipped"
    if row and row.papers:
        words = (
            f"{row.fitted_at:%Y-%m-%d}, {row.papers} papers, topics {row.topics_found:.3f}"
        )
    return f"{'*' if ranks else ' '} {version} {words}"
