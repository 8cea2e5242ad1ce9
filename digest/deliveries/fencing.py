"""A restored or copied database must not send by itself what its original has sent.

Each slice and each commit of intents raises a number in the database, and then the same in
a file of this machine, before a byte of those mails leaves. A database whose number is below
the file's was set back, be it by one commit. One that another PostgreSQL server, timeline or
table holds than at the last slice was restored, copied or has failed over, which senders on
machines without that file see, too; and one made for another SITE_URL is a copy. In all
these cases senders refuse until `manage.py quarantine` has been told since when. Under
another ADDRESS_KEY than the database was made with they refuse until it is right.

A second file says until when what comes due was sent: `deliver --now` and a clock that was
ahead send what a backup knows nothing of, and quarantine has to set that aside as well.
"""

import fcntl
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from django.conf import settings
from django.db import DatabaseError, connection, transaction

from digest import state_files
from digest.models import Fence
from digest.sql import postgres
from subscribers import address_key


class SendingRefused(Exception):
    """This database may not send; the message says why and what to do."""


HIGH_WATER, SENT_UNTIL = "high-water", "sent-until"  # files in STATE_DIR
ADVICE = (
    "Mails that it knows nothing of may have gone out. Run `manage.py quarantine "
    "--since INSTANT` with the time of the backup"
)
OLDER = SendingRefused(f"This database is older than this machine remembers. {ADVICE}.")

RISE = """
UPDATE digest_fence SET count = count + 1 WHERE id = 1
RETURNING *, (SELECT fingerprint FROM subscribers_addresskey WHERE id = 1) AS known_key
"""
ADVANCE = "UPDATE digest_fence SET count = count + 1 WHERE id = 1 RETURNING count"
# The server, its timeline (a failover or a recovery to a point in time begins the next
# one), the database and the table: a restore makes at least one of these anew.
PLACE = """
SELECT (SELECT system_identifier FROM pg_control_system()),
    left(pg_walfile_name(pg_current_wal_insert_lsn()), 8),
    (SELECT oid FROM pg_database WHERE datname = current_database()),
    'digest_fence'::regclass::oid
"""


def rise() -> Fence:
    """Raise both marks if they fit, before each slice. Raises SendingRefused."""
    with transaction.atomic():
        mark = raised()
        check_key(mark)
        check_place(mark)
        check_site(mark)
    remember(mark)
    return mark


def refusal() -> str:
    """Return why senders would refuse, as far as this machine knows; empty if they would not.

    It changes nothing. The file is read before the number, as senders write it after.
    """
    mark = Fence.objects.filter(pk=1).first()
    if mark is None:
        return ""
    known = remembered(mark.identity)
    mark.refresh_from_db()
    try:
        address_key.check()
        if mark.count < known:
            raise OLDER
        if mark.place:
            check_place(mark)
        check_site(mark)
    except (SendingRefused, address_key.WrongKey) as refused:
        return str(refused)
    return ""


def raised() -> Fence:
    """Return the one row, with its number raised; made when there is none yet."""
    for mark in Fence.objects.raw(RISE):
        check_count(mark)
        return mark
    begin()
    return raised()


def begin() -> None:
    """Make the one row unless there is one: a backup without it would look like a new database."""
    defaults = {"site_url": site_url(), "place": place()}
    Fence.objects.get_or_create(pk=1, defaults=defaults)


def advance(mark: Fence) -> None:
    """Raise the number with a commit of intents; `remember` it before their mails leave.

    Call it last in the transaction: senders that commit at once wait for each other here.
    Raises SendingRefused.
    """
    with connection.cursor() as cursor:
        cursor.execute(ADVANCE)
        (mark.count,) = cursor.fetchone()
    check_count(mark)


def check_count(mark: Fence) -> None:
    """Raise SendingRefused when this machine remembers that number already.

    While the transaction that raised it holds the row, nobody can have a higher one.
    """
    if mark.count <= remembered(mark.identity):
        raise OLDER


def check_key(mark: Fence) -> None:
    """Raise SendingRefused if addresses are hashed by another key than in this database."""
    if not address_key.fits(mark.known_key):
        raise SendingRefused(address_key.WORDS)


def check_place(mark: Fence) -> None:
    """Raise SendingRefused if the row is not where it was; note where, if nobody has yet."""
    here = place()
    if not mark.place and here:
        Fence.objects.filter(pk=mark.pk).update(place=here)
    elif here and mark.place != here:
        raise SendingRefused(
            f"This database was restored, copied or has failed over ({mark.place} is now "
            f"{here}). {ADVICE} or of the failover."
        )


def place() -> str:
    """Return what PostgreSQL says of where this database is; empty where it says nothing."""
    if not postgres():
        return ""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(PLACE)
            return "/".join(map(str, cursor.fetchone()))
    except DatabaseError:  # some hosted servers keep these functions to themselves
        return ""


def check_site(mark: Fence) -> None:
    """Raise SendingRefused if the database was made for another SITE_URL."""
    if mark.site_url and site_url() and mark.site_url != site_url():
        raise SendingRefused(
            f"This database was made for {mark.site_url}, and SITE_URL is "
            f"{site_url()}: it may be a copy. {ADVICE} or of the move."
        )


def site_url() -> str:
    """Return SITE_URL; empty when embedded, where it only follows the port."""
    return "" if settings.EMBEDDED else str(settings.SITE_URL)


def accept() -> None:
    """Accept this database as the one to send from; call it after a quarantine."""
    with transaction.atomic():
        mark, _ = Fence.objects.select_for_update().get_or_create(pk=1)
        mark.count = max(mark.count, remembered(mark.identity)) + 1
        mark.site_url = site_url()
        mark.place = place()
        mark.save()
    remember(mark)


def remember(mark: Fence) -> None:
    """Note the number on this machine, before the mails of that commit leave."""
    note(HIGH_WATER, mark.identity, mark.count)


def remember_due(mark: Fence, due: datetime) -> None:
    """Note on this machine that what has come due by then is sent, before it is claimed."""
    note(SENT_UNTIL, mark.identity, math.ceil(due.timestamp()))


def sent_until() -> datetime | None:
    """Return until when this machine has sent what came due; None if it knows nothing."""
    mark = Fence.objects.filter(pk=1).first()
    seconds = remembered(mark.identity, SENT_UNTIL) if mark else 0
    return datetime.fromtimestamp(seconds, UTC) if seconds else None


# -- the files of this machine -----------------------------------------------------------------


def path(name: str = HIGH_WATER) -> Path:
    return Path(settings.STATE_DIR) / name


def remembered(identity: str, name: str = HIGH_WATER) -> int:
    """Return this machine's number for that database; 0 if it last saw another one.

    A damaged file is set aside: this machine has to learn the number anew.
    """
    try:
        with locked(name) as file:
            return number(file, identity)
    except FileNotFoundError:
        return 0
    except (OSError, ValueError) as error:
        state_files.set_aside(path(name), f"{type(error).__name__}: {error}")
        return 0


def note(name: str, identity: str, value: int) -> None:
    """Write the number, unless another sender has noted a higher one.

    Not synced: after a power cut an older number only notices less.
    """
    line = f"{identity} {value:020}\n"
    if state_files.create(path(name), line):
        return
    with locked(name) as file:
        if value > number(file, identity):
            os.pwrite(file, line.encode(), 0)
            os.ftruncate(file, len(line))


@contextmanager
def locked(name: str) -> Iterator[int]:
    """Open the file, ours alone until the end: the senders of a machine share it."""
    file = os.open(path(name), os.O_RDWR)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file
    finally:
        os.close(file)


def number(file: int, identity: str) -> int:
    """Return the number in the file. Raises ValueError for a damaged one."""
    name, count = os.pread(file, 200, 0).decode().split()
    return int(count) if name == identity else 0
