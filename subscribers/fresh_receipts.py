"""Receipts of consent that are not sealed yet, listed outside of the database.

A line in a file of STATE_DIR for each, written once it is committed and taken away once it
is sealed (see consent.py). What has gone from the table meanwhile stays on the list.
"""

import fcntl
import logging
import os
import re
from collections.abc import Sequence
from pathlib import Path

from django.conf import settings

from subscribers.models import ConsentEvent

logger = logging.getLogger(__name__)

# Bytes, for 130,000 receipts: a machine where nobody seals must not fill its disk.
MOST_NOTED = 10_000_000
events = ConsentEvent._base_manager


def list_file() -> Path:
    return Path(settings.STATE_DIR) / "receipts-fresh"


def note(lines: Sequence[str]) -> None:
    """Append receipts to this machine's list, until it has MOST_NOTED bytes."""
    path = list_file()
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
        with path.open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if file.seek(0, os.SEEK_END) < MOST_NOTED:
                file.write("".join(lines))
    except OSError as error:
        logger.warning("%s cannot be written: %s", path, error.strerror)


def forget_sealed() -> None:
    """Take what is sealed off the list; what has gone stays there, for `verify`."""
    try:
        with list_file().open("r+", errors="replace") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            noted = read(file.read())
            sealed = set(
                events.filter(pk__in=list(noted), number__isnull=False).values_list(
                    "pk", "content_hash"
                )
            )
            left = [one for one in noted.items() if one not in sealed]
            file.seek(0)
            file.truncate()
            file.writelines(f"{pk} {content_hash}\n" for pk, content_hash in left)
    except FileNotFoundError:
        return
    except OSError as error:
        logger.warning("%s cannot be written: %s", list_file(), error.strerror)
        return
    for lost in removed():
        logger.error(lost)


def read(text: str) -> dict[int, str]:
    """Return content hashes by primary key; damaged lines say nothing."""
    lines = re.findall(
        r"^([1-9][0-9]{0,17}) ([0-9a-f]{64})$", text, re.ASCII | re.MULTILINE
    )
    return {int(pk): content_hash for pk, content_hash in lines}


def removed() -> list[str]:
    """Return a line for each receipt that was noted and is not in the table any more."""
    try:
        noted = read(list_file().read_text(errors="replace"))
    except FileNotFoundError:
        return []
    there = set(events.filter(pk__in=list(noted)).values_list("pk", "content_hash"))
    return [
        f"row {pk} was removed before it was sealed. After a restore of the database "
        f"remove {list_file()}"
        for pk, content_hash in noted.items()
        if (pk, content_hash) not in there
    ]
