"""The outcome journal: outcomes that the database would not take, on this machine's disk.

One file per lost commit, synced before its name appears, and read again by the sweep and
at the start of every sender. Replaying is harmless: the ledger's tokens decide.
"""

import json
import logging
import os
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from django.conf import settings

from digest.deliveries import ledger
from digest.deliveries.ledger import Claimed
from digest.transport.outcomes import Outcome, Verdict

logger = logging.getLogger(__name__)


def folder() -> Path:
    return Path(settings.STATE_DIR) / "outcomes"


def keep(outcomes: Mapping[int, Outcome], rows: Sequence[Claimed]) -> None:
    """Put the outcomes on disk until the database is back. Raises OSError."""
    folder().mkdir(mode=0o700, parents=True, exist_ok=True)
    owned = {row.delivery_id: row._asdict() for row in rows}
    entries = [
        {"row": owned[pk], "outcome": outcome._asdict()} for pk, outcome in outcomes.items()
    ]
    path = folder() / f"{secrets.token_hex(8)}.json"
    with open(path.with_suffix(".part"), "w") as file:
        json.dump(entries, file)
        file.flush()
        os.fsync(file.fileno())
    path.with_suffix(".part").rename(path)
    sync_folder()
    logger.error("%d outcomes could not be recorded and are kept in %s", len(entries), path)


def replay(now: datetime) -> int:
    """Record what was kept; how many rows took their outcome."""
    taken = 0
    for path in sorted(folder().glob("*.json")):
        try:
            entries = json.loads(path.read_text())
        except FileNotFoundError:
            continue  # another sender has just replayed it
        rows = [Claimed(**entry["row"]) for entry in entries]
        outcomes = {
            entry["row"]["delivery_id"]: revived(entry["outcome"]) for entry in entries
        }
        taken += ledger.record(outcomes, rows, now=now)
        path.unlink(missing_ok=True)
    return taken


def revived(entry: dict[str, object]) -> Outcome:
    return Outcome(
        Verdict(str(entry["verdict"])),
        str(entry["reason"]),
        str(entry["reply"]),
        bool(entry["charged"]),
        bool(entry["bad_address"]),
    )


def sync_folder() -> None:
    descriptor = os.open(folder(), os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
