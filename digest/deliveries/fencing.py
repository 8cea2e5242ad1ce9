"""A restored or copied database must not send by itself what its original has sent.

Each slice and each commit of intents raises a number in the database, and then the same in
a file of this machine and in Redis, before a byte of those mails leaves. A database whose
number is below either was set back, be it by one commit, and Redis tells that to machines
which have never sent. One that another PostgreSQL server, timeline or table holds than at
the last slice was restored, copied or has failed over; and one made for another SITE_URL is
a copy. In all these cases senders refuse until `manage.py quarantine` has been told since
when, but for a failover to a standby that each commit had waited for, as Redis confirms. Under
another ADDRESS_KEY than the database was made with they refuse until it is right.

Beside it they note until when what comes due was sent: `deliver --now` and a clock that was
ahead send what a backup knows nothing of, and quarantine has to set that aside as well.
"""

import fcntl
import logging
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import redis
from django.conf import settings
from django.db import DatabaseError, connection, transaction
from redis.backoff import NoBackoff
from redis.retry import Retry

from digest import state_files
from digest.models import Fence
from digest.sql import postgres
from subscribers import address_key

logger = logging.getLogger(__name__)


class SendingRefused(Exception):
    """This database may not send; the message says why and what to do."""


HIGH_WATER, SENT_UNTIL = "high-water", "sent-until"  # files in STATE_DIR, sets in Redis
# Seconds. A Redis that does not answer must not slow the senders: it is left alone for a while.
PATIENCE = 0.5
REST = 10.0
# A sorted set holds doubles: whole numbers are exact below this, and no count is above it.
MOST = 2**53
LATEST = 2**36  # seconds, in the year 4147; a file or Redis may hold any number
ADVICE = (
    "Mails that it knows nothing of may have gone out. Quarantine it, on the operators' page "
    "Unknown or by `manage.py quarantine --since INSTANT`, with the time of the backup"
)
OLDER = SendingRefused(f"This database is older than this machine remembers. {ADVICE}.")
OLDER_THAN_OTHERS = SendingRefused(
    f"This database is older than Redis remembers of all senders. {ADVICE} or of the failover."
)

RISE = """
UPDATE digest_fence SET count = count + 1 WHERE id = 1
RETURNING *, (SELECT fingerprint FROM subscribers_addresskey WHERE id = 1) AS known_key
"""
ADVANCE = "UPDATE digest_fence SET count = count + 1 WHERE id = 1 RETURNING count"
# The server, its timeline (a failover or a recovery to a point in time begins the next
# one), the database and the table: a restore makes at least one of these anew. And whether
# each commit waits until a standby has it on its disk.
PLACE = """
SELECT (SELECT system_identifier FROM pg_control_system()),
    left(pg_walfile_name(pg_current_wal_insert_lsn()), 8),
    (SELECT oid FROM pg_database WHERE datname = current_database()),
    'digest_fence'::regclass::oid,
    current_setting('synchronous_standby_names') <> ''
        AND current_setting('synchronous_commit') IN ('on', 'remote_apply')
"""


class Place(NamedTuple):
    """Where PostgreSQL holds the database: server/timeline/database/table, or "" unknown."""

    name: str = ""
    is_replicated: bool = False


def rise() -> Fence:
    """Raise the number everywhere if all fit, before each slice. Raises SendingRefused.

    What Redis knows is read first: it has been committed, so that a database that holds it
    gives a higher number now.
    """
    known = witnessed()
    with transaction.atomic():
        mark = raised(known)
        check_key(mark)
        check_place(mark)
        check_site(mark)
    attest(mark)
    return mark


def refusal() -> str:
    """Return why senders would refuse, as far as this machine knows; empty if they would not.

    It changes nothing. File and Redis are read before the number, as senders write them
    after it.
    """
    mark = Fence.objects.filter(pk=1).first()
    if mark is None:
        return ""
    known = remembered(mark.identity)
    mark.witnessed = witnessed().get(mark.identity, 0)
    mark.refresh_from_db()
    try:
        address_key.check()
        if mark.count < known:
            raise OLDER
        if mark.count < mark.witnessed:
            raise OLDER_THAN_OTHERS
        if mark.place:
            has_moved(mark, place())
        check_site(mark)
    except (SendingRefused, address_key.WrongKey) as refused:
        return str(refused)
    return ""


def raised(known: Mapping[str, int]) -> Fence:
    """Return the one row, with its number raised; made when there is none yet."""
    for mark in Fence.objects.raw(RISE):
        mark.witnessed = known.get(mark.identity, 0)
        check_count(mark)
        return mark
    begin()
    return raised(known)


def begin() -> None:
    """Make the one row unless there is one: a backup without it would look like a new database."""
    here = place()
    defaults = {"place": here.name, "is_replicated": here.is_replicated}
    Fence.objects.get_or_create(pk=1, defaults={"site_url": site_url(), **defaults})


def advance(mark: Fence) -> None:
    """Raise the number with a commit of intents; `attest` it before their mails leave.

    Call it last in the transaction: senders that commit at once wait for each other here.
    Raises SendingRefused.
    """
    with connection.cursor() as cursor:
        cursor.execute(ADVANCE)
        (mark.count,) = cursor.fetchone()
    check_count(mark)


def attest(mark: Fence) -> None:
    """Note the committed number on this machine and in Redis, before a mail of it leaves.

    Raises SendingRefused when Redis knows a number that this database has not reached: it
    has just gone back, or another copy of it was accepted.
    """
    remember(mark)
    highest = tell_witness(mark.identity, mark.count)
    if highest > mark.count:  # another sender has committed since, or it is no longer so
        reached = Fence.objects.filter(pk=mark.pk).values_list("count", flat=True).first()
        if (reached or 0) < highest:
            raise OLDER_THAN_OTHERS
    mark.witnessed = max(mark.witnessed, highest)


def check_count(mark: Fence) -> None:
    """Raise SendingRefused when this machine or Redis knew that number before.

    While the transaction that raised it holds the row, nobody can have a higher one.
    """
    if mark.count <= remembered(mark.identity):
        raise OLDER
    if mark.count <= mark.witnessed:
        raise OLDER_THAN_OTHERS


def check_key(mark: Fence) -> None:
    """Raise SendingRefused if addresses are hashed by another key than in this database."""
    if not address_key.fits(mark.known_key):
        raise SendingRefused(address_key.WORDS)


def check_place(mark: Fence) -> None:
    """Raise SendingRefused if the row is not where it was; note where, if nobody has yet.

    After a failover that lost nothing its number is put beyond what senders of the old
    server can reach.
    """
    here = place()
    if has_moved(mark, here):
        logger.warning("failed over from %s to %s without loss", mark.place, here.name)
        mark.count = beyond(mark)
    if here.name and here != (mark.place, mark.is_replicated):
        mark.place, mark.is_replicated = here
        mark.save(update_fields=["count", "place", "is_replicated"])


def has_moved(mark: Fence, here: Place) -> bool:
    """Return whether a standby that has every commit took over. Raises SendingRefused.

    The row came with those commits: it says whether they waited for a standby. A recovery to
    a point in time looks the same, so Redis has to know the database, and no later commit.
    """
    if not mark.place or not here.name or mark.place == here.name:
        return False
    is_known = 0 < mark.witnessed <= mark.count
    if mark.is_replicated and is_known and is_promotion(mark.place, here.name):
        return True
    raise SendingRefused(
        f"This database was restored, copied or has failed over ({mark.place} is now "
        f"{here.name}). {ADVICE} or of the failover."
    )


def is_promotion(before: str, after: str) -> bool:
    """Return whether only the timeline differs, and is a later one."""
    (server, old, *rest), (same, new, *others) = before.split("/"), after.split("/")
    return (server, rest) == (same, others) and int(new, 16) > int(old, 16)


def place() -> Place:
    """Return what PostgreSQL says of where this database is; empty where it says nothing."""
    if not postgres():
        return Place()
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(PLACE)
            *parts, is_replicated = cursor.fetchone()
            return Place("/".join(map(str, parts)), is_replicated)
    except DatabaseError:  # some hosted servers keep these functions to themselves
        return Place()


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
    known = witnessed()
    with transaction.atomic():
        mark, _ = Fence.objects.select_for_update().get_or_create(pk=1)
        mark.witnessed = known.get(mark.identity, 0)
        mark.count = beyond(mark)
        mark.site_url = site_url()
        mark.place, mark.is_replicated = place()
        mark.save()
    remember(mark)
    tell_witness(mark.identity, mark.count)


def beyond(mark: Fence) -> int:
    """Return a number above all that any machine remembers, also those we cannot ask.

    Nobody commits a million groups a second, so the clock gives one that none has reached.
    """
    known = max(mark.count, remembered(mark.identity), mark.witnessed)
    return max(known + 1, int(time.time()) << 20)


def remember(mark: Fence) -> None:
    """Note the number on this machine, before the mails of that commit leave."""
    note(HIGH_WATER, mark.identity, mark.count)


def remember_due(mark: Fence, due: datetime) -> None:
    """Note on this machine and in Redis what is sent: all that has come due by then.

    Call it before that is claimed.
    """
    seconds = math.ceil(due.timestamp())
    if seconds > remembered(mark.identity, SENT_UNTIL):  # which sets a damaged file aside
        note(SENT_UNTIL, mark.identity, seconds)
    tell_witness(mark.identity, seconds, SENT_UNTIL)


def sent_until() -> datetime | None:
    """Return until when what came due was sent, as this machine and Redis know; None: nothing."""
    mark = Fence.objects.filter(pk=1).first()
    if mark is None:
        return None
    told = witnessed(SENT_UNTIL).get(mark.identity, 0)
    seconds = max(remembered(mark.identity, SENT_UNTIL), told)
    return datetime.fromtimestamp(min(seconds, LATEST), UTC) if seconds else None


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


# -- Redis, for the senders of all machines -----------------------------------------

# Each number is one sorted set, with a member for each database. Redis may be down, full or
# emptied at any time: then this witness is absent, and senders go on by the database and by
# their own disk. It is told the number again by the next commit of intents.


class Witness:
    """One Redis as a process sees it; none where no REDIS_URL is set."""

    def __init__(self, url: str) -> None:
        self.client = (
            redis.Redis.from_url(
                url,
                socket_timeout=PATIENCE,
                socket_connect_timeout=PATIENCE,
                decode_responses=True,
                retry=Retry(NoBackoff(), 0),
            )
            if url
            else None
        )
        self.absent_until = 0.0

    def ask[T](self, question: Callable[[redis.Redis], T], absent: T) -> T:
        """Return the answer, or `absent` when there is none."""
        if self.client is None or time.monotonic() < self.absent_until:
            return absent
        try:
            return question(self.client)
        except (redis.RedisError, OSError, ValueError) as error:
            words = f"{type(error).__name__}: {error}"
            logger.warning("Redis remembers no number of commits: %s", words)
            self.absent_until = time.monotonic() + REST
            return absent


@cache
def witness(url: str) -> Witness:
    return Witness(url)


def key(name: str) -> str:
    return f"daily-papers:{name}"


def witnessed(name: str = HIGH_WATER) -> dict[str, int]:
    """Return the number of each database by its identity; empty when Redis is absent."""
    return witness(settings.REDIS_URL).ask(partial(numbers, name=name), {})


def numbers(client: redis.Redis, *, name: str) -> dict[str, int]:
    found: Any = client.zrange(key(name), 0, -1, withscores=True)
    return {identity: int(score) for identity, score in found if 0 <= score < MOST}


def tell_witness(identity: str, count: int, name: str = HIGH_WATER) -> int:
    """Tell Redis the number, and return the highest that it knows; 0 when it is absent."""

    def highest(client: redis.Redis) -> int:
        # One command: 1 says that no higher number was there (GT needs Redis 6.2).
        if client.zadd(key(name), {identity: count}, gt=True, ch=True):
            return count
        return numbers(client, name=name).get(identity, 0)

    return witness(settings.REDIS_URL).ask(highest, 0)


def witness_refuses(client: redis.Redis) -> str:
    """Return why this Redis takes no number: an old one, or rights; empty if it does."""
    try:
        for name in (HIGH_WATER, SENT_UNTIL):
            # XX changes only a member that is there, and none has this name.
            client.zadd(key(name), {"": 0}, xx=True, gt=True)
            numbers(client, name=name)
    except (redis.ResponseError, ValueError) as error:
        return str(error)
    return ""
