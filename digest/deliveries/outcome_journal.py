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
from enum import StrEnum
from pathlib import Path
from typing import Any, get_type_hints

from django.conf import settings
from django.db import DataError, transaction

from digest import state_files
from digest.deliveries import ledger
from digest.deliveries.ledger import Claimed
from digest.transport.outcomes import Outcome

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
    """Record what was kept and return how many rows took their outcome.

    A file that cannot be read or recorded is set aside: its rows end as unknown with
    their lease. Raises the database's errors, but for those of what is in a file.
    """
    taken = 0
    for path in sorted(folder().glob("*.json")):
        try:
            taken += recorded(path, now)
        except FileNotFoundError:
            continue  # another sender has just replayed it
        except (OSError, DataError, *MALFORMED) as error:
            state_files.set_aside(path, f"{type(error).__name__}: {error}"[:200])
        else:
            path.unlink(missing_ok=True)
    return taken


def replay_copy(copied: Path, now: datetime) -> tuple[int, list[str]]:
    """Record what another machine had kept, and leave its folder as it is.

    `copied` is its STATE_DIR or the folder of outcomes in it. Returns how many rows took
    their outcome and the names of files that cannot be recorded. Raises the database's errors,
    but for those of what is in a file, and NotADirectoryError.
    """
    inner = copied / folder().name
    copied = inner if inner.is_dir() else copied
    if not copied.is_dir():
        raise NotADirectoryError(copied)
    taken, damaged = 0, []
    for path in sorted(copied.glob("*.json")):
        try:
            taken += recorded(path, now)
        except (OSError, DataError, *MALFORMED):
            damaged.append(path.name)
    return taken, damaged


def recorded(path: Path, now: datetime) -> int:
    """Record a file of outcomes; return how many rows took theirs. Raises as `read`."""
    rows, outcomes = read(path.read_bytes())
    with transaction.atomic():
        return ledger.record(outcomes, rows, now=now)


# What reading a file of another version, or none of ours, raises.
MALFORMED = (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError)


def read(content: bytes) -> tuple[list[Claimed], dict[int, Outcome]]:
    """Return the rows and their outcomes by delivery id. Raises one of MALFORMED."""
    entries = json.loads(content)
    if not (isinstance(entries, list) and entries):
        raise ValueError("not a list of outcomes")
    rows = [rebuilt(Claimed, entry["row"]) for entry in entries]
    if len({row.lease_token for row in rows}) > 1:
        raise ValueError("not outcomes of one lease")
    outcomes = {
        row.delivery_id: rebuilt(Outcome, entry["outcome"])
        for row, entry in zip(rows, entries, strict=True)
    }
    return rows, outcomes


def rebuilt[T: (Claimed, Outcome)](kind: type[T], fields: Mapping[str, Any]) -> T:
    """Return the tuple of these fields, each of its own type, as JSON knows no enum.

    A field that is missing has its default: an older version did not write it. Raises
    one of MALFORMED, as for a field that only a newer version knows.
    """
    types = get_type_hints(kind)
    return kind(**{name: typed(types[name], value) for name, value in fields.items()})


def typed(kind: Any, value: Any) -> Any:
    """Return the value as a field of that type holds it. Raises ValueError or TypeError."""
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return kind(value)
    number = kind is float and type(value) is int
    if not (number or isinstance(value, kind)):
        raise TypeError(f"{value!r} is no {kind}")
    return value


def sync_folder() -> None:
    descriptor = os.open(folder(), os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
