"""`manage.py interleave [start VARIANT | stop]`: compare two rankings by readers' votes."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.db.models import Max

from digest.deliveries import ledger
from digest.management.base import OperatorCommand, add_json
from digest.models import Experiment
from digest.ops.operators import audit
from digest.ranking.interleaving import VARIANTS, credit


class Command(OperatorCommand):
    help = (
        "Interleave a variant of the ranking with the usual one in the editions published"
        " from now on; without arguments, count the votes for each."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "action", nargs="?", choices=["start", "stop"], help="without it, count votes"
        )
        parser.add_argument(
            "variant", nargs="?", choices=sorted(VARIANTS), help="start: the one to compare"
        )
        add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        action, variant = options["action"], options["variant"]
        if (action == "start") != bool(variant):
            names = ", ".join(sorted(VARIANTS))
            raise CommandError(f"name a variant to start, and none to stop: {names}")
        now = ledger.database_now()
        if action:
            Experiment.objects.filter(ended_at=None).update(ended_at=now)
        if variant:
            Experiment.objects.create(variant=variant, started_at=now)
        if action:
            audit.record_command(f"interleave {action}", detail=variant or "")
        if not options["json"] and not Experiment.objects.exists():
            self.stdout.write("no variant has been interleaved")
        tried = Experiment.objects.values_list("variant").annotate(last=Max("started_at"))
        for name, _ in tried.order_by("last"):
            self.stdout.write(json.dumps(told(name)) if options["json"] else line(name))


def told(variant: str) -> dict[str, object]:
    """Return the same as `line`, for scripts."""
    found = credit(variant)
    runs = Experiment.objects.filter(ended_at=None, variant=variant).exists()
    counts = {"for_it": found.variant, "for_the_usual": found.usual, "neither": found.equal}
    share = {"votes": found.votes, "share": found.share, "interval": [*found.interval]}
    return {"variant": variant, "runs": runs} | counts | share


def line(variant: str) -> str:
    found, running = credit(variant), Experiment.objects.filter(ended_at=None)
    low, high = found.interval
    now = "runs" if running.filter(variant=variant).exists() else "ended"
    return (
        f"{variant} ({now}): {found.variant} readers preferred it, {found.usual} the usual,"
        f" {found.equal} neither, by {found.votes} votes;"
        f" share {found.share:.2f}, 95% from {low:.2f} to {high:.2f}"
    )
