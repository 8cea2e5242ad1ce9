"""A restored or copied database must not send by itself what its original has sent.

Each slice raises a number in the database, and then the same in a file of this machine.
A database whose number is below the file's is older than what this machine has seen; one
that was made for another SITE_URL is a copy. In both cases senders refuse to start until
`manage.py quarantine` has been told since when.
"""

import secrets
from pathlib import Path

from django.conf import settings
from django.db import transaction

from digest.models import HighWater


class SendingRefused(Exception):
    """This database may not send; the message says why and what to do."""


ADVICE = (
    "Mails that it knows nothing of may have gone out. Run `manage.py quarantine "
    "--since INSTANT` with the time of the backup"
)


def path() -> Path:
    return Path(settings.STATE_DIR) / "high-water"


def remembered(identity: str) -> int:
    """This machine's number for that database; 0 if it last saw another one."""
    try:
        name, count = path().read_text().split()
        return int(count) if name == identity else 0
    except (OSError, ValueError):
        return 0


def site_url() -> str:
    """Embedded, the address follows the port and says nothing."""
    return "" if settings.EMBEDDED else str(settings.SITE_URL)


RISE = """
UPDATE digest_highwater SET count = count + 1 WHERE id = 1
RETURNING *, EXISTS (SELECT 1 FROM digest_domainrest) AS has_rests
"""


def rise() -> HighWater:
    """Before each slice: raise both marks, if they fit. Raises SendingRefused."""
    with transaction.atomic():
        mark = raised()
        if mark.count <= remembered(mark.identity):
            raise SendingRefused(
                f"This database is older than this machine remembers. {ADVICE}."
            )
        if mark.site_url and site_url() and mark.site_url != site_url():
            raise SendingRefused(
                f"This database was made for {mark.site_url}, and SITE_URL is "
                f"{site_url()}: it may be a copy. {ADVICE} or of the move."
            )
    write(mark.identity, mark.count)
    return mark


def raised() -> HighWater:
    """The one row, with its number raised; made when there is none yet."""
    for mark in HighWater.objects.raw(RISE):
        return mark
    HighWater.objects.get_or_create(pk=1, defaults={"site_url": site_url()})
    return raised()


def accept() -> None:
    """From now on this database is the one: after a quarantine."""
    with transaction.atomic():
        mark, _ = HighWater.objects.select_for_update().get_or_create(pk=1)
        mark.count = max(mark.count, remembered(mark.identity)) + 1
        mark.site_url = site_url()
        mark.save()
    write(mark.identity, mark.count)


def write(identity: str, count: int) -> None:
    """Not synced: after a power cut an older number only notices less."""
    settings.STATE_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path().with_name(f"high-water.{secrets.token_hex(4)}")
    draft.write_text(f"{identity} {count}")
    draft.replace(path())
