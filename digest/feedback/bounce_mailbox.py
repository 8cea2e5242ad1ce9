"""Read the bounce mailbox by IMAP or POP3, where no mail server can pipe to `manage.py bounce`.

A letter goes through the same door as one from the pipe. Only when the database has it, it is
deleted: after a crash in between it is read again, and a second time changes nothing. A letter
that is nothing of ours stays in an IMAP mailbox, starred; POP3 has no stars, and deletes it.
"""

import logging
import re
import time
from collections import Counter, deque
from collections.abc import Iterator
from datetime import datetime, timedelta
from email.parser import BytesHeaderParser
from enum import StrEnum
from hashlib import sha256

from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.utils import timezone

from digest import signing
from digest.deliveries import heartbeats
from digest.deliveries.heartbeats import Loop
from digest.endpoints import BounceMailbox, bounce_mailbox
from digest.feedback import domain_reports, dsn, events
from digest.feedback.mailbox_session import MailboxBusy, MailboxTrouble, session
from digest.models import Heartbeat

logger = logging.getLogger(__name__)

MOST_LETTERS = 5_000  # of a run
MOST_SECONDS = 45.0  # of a run: ticks wait for a worker that reads
MOST_HEAD = 64 * 1024
SILENT = timedelta(hours=1)
# Where mail servers note for whom a letter came; what its sender wrote comes last.
RECIPIENTS = ("Delivered-To", "X-Original-To", "Envelope-To", "X-Envelope-To", "To", "Cc")
ADDRESS = re.compile(r"[^\s<>,;:\"]{1,64}@[^\s<>,;:\"]{1,255}")
MOST_ADDRESSES = 50
# Letters that this process could not handle. By POP3 they are read again by each run, and one
# traceback is enough.
STUMBLED: deque[bytes] = deque(maxlen=1000)


class Letter(StrEnum):
    """What a letter was."""

    REPORT = "report"  # of one of our mails, or a wish to leave
    DOMAIN = "report of our domain"  # DMARC, TLS
    OTHER = "other"
    BROKEN = "broken"  # we stumbled over it; the log says how


def configured() -> BounceMailbox | None:
    return bounce_mailbox(settings.BOUNCE_MAILBOX_URL)


def read(now: datetime) -> Counter[Letter]:
    """Read what is in the mailbox, note that it worked or why not, and return the counts.

    Raises MailboxTrouble. Without a mailbox in the settings it does nothing.
    """
    if (server := configured()) is None:
        return Counter()
    try:
        taken = Counter(read_all(server))
    except MailboxBusy:
        raise
    except MailboxTrouble as trouble:
        Heartbeat.objects.filter(loop=Loop.MAILBOX).update(cause=str(trouble)[:200])
        raise
    heartbeats.beat(Loop.MAILBOX, now)
    return taken


def troubles(now: datetime) -> list[str]:
    """Return one line if the mailbox cannot be read."""
    row = Heartbeat.objects.filter(loop=Loop.MAILBOX).first()
    if not settings.BOUNCE_MAILBOX_URL or row is None:
        return []
    is_silent = heartbeats.EPOCH < row.at < now - SILENT
    if not row.cause and not is_silent:
        return []
    since = "" if row.at == heartbeats.EPOCH else f" since {row.at:%d %b %H:%M} UTC"
    return [f"the bounce mailbox was not read{since}: {row.cause or 'nobody did'}"]


def told(taken: Counter[Letter]) -> str:
    """Return the counts in words."""
    words = ", ".join(f"{count} {letter}" for letter, count in sorted(taken.items()))
    return f"{taken.total()} letters read{': ' if words else ''}{words}"


def read_all(server: BounceMailbox) -> Iterator[Letter]:
    """Handle letter after letter. Raises MailboxTrouble."""
    end = time.monotonic() + MOST_SECONDS
    try:
        with session(server) as mailbox:
            for name in mailbox.names()[:MOST_LETTERS]:
                if time.monotonic() > end:
                    return
                if (raw := mailbox.letter(name)) is None:
                    continue
                letter = handle(raw)
                stays = {Letter.BROKEN} | ({Letter.OTHER} if mailbox.has_stars else set())
                (mailbox.star if letter in stays else mailbox.delete)(name)
                yield letter
    except (OperationalError, InterfaceError) as error:
        raise MailboxTrouble("the database does not answer") from error


def handle(raw: bytes) -> Letter:
    """Take in one letter. Raises the database's errors if that does not answer."""
    try:
        return take(raw, now=timezone.now())
    except (OperationalError, InterfaceError):
        raise
    except Exception:  # one letter must not stop those behind it
        is_new = (name := sha256(raw).digest()) not in STUMBLED
        STUMBLED.append(name)
        words = "a letter in the bounce mailbox cannot be handled"
        logger.error(words if is_new else f"{words} still", exc_info=is_new)
        return Letter.BROKEN


def take(raw: bytes, *, now: datetime) -> Letter:
    """Take in one letter as the pipes of `bounce` and `reports` would."""
    came_to = recipient(raw)
    reports = dsn.reports(raw[: dsn.MOST_LETTER], came_to=came_to, now=now)
    if came_to or reports:
        events.take(reports, now=now)
        return Letter.REPORT
    try:
        domain_reports.store(domain_reports.read(raw), now=now)
    except domain_reports.NotAReport:
        return Letter.OTHER
    return Letter.DOMAIN


def recipient(raw: bytes) -> str:
    """Return the address of ours that a letter came to; "" if we signed none of them.

    Its own head is believed, as whoever knows the signed address may write to it anyway.
    """
    head = BytesHeaderParser().parsebytes(raw[:MOST_HEAD])
    values = [f"{value}" for name in RECIPIENTS for value in head.get_all(name, [])]
    found = ADDRESS.findall("\n".join(values))[:MOST_ADDRESSES]
    return next((one for one in found if signing.delivery_of(one) is not None), "")
