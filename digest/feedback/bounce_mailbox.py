"""Read the bounce mailbox by IMAP or POP3, where no mail server can pipe to `manage.py bounce`.

A letter goes through the same door as one from the pipe. Only when the database has it, it is
deleted: after a crash in between it is read again, and a second time changes nothing. A letter
that is nothing of ours stays in an IMAP mailbox, starred; POP3 has no stars, and deletes it.
"""

import imaplib
import logging
import poplib
import re
import ssl
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import datetime, timedelta
from email.parser import BytesHeaderParser
from enum import StrEnum
from typing import Any, Protocol

from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.utils import timezone

from digest import signing
from digest.deliveries import heartbeats
from digest.deliveries.heartbeats import Loop
from digest.endpoints import Tls
from digest.feedback import domain_reports, dsn, events
from digest.logs import scrub
from digest.mailbox_url import BounceMailbox, bounce_mailbox
from digest.models import Heartbeat

logger = logging.getLogger(__name__)

MOST_BYTES = 5 * 1024 * 1024  # of a letter; of a larger one only its beginning
MOST_LETTERS = 5_000  # of a run
MOST_SECONDS = 120.0  # of a run: a task has 240
TIMEOUT, LAST = 30.0, 5.0  # seconds for one answer, and for one to a good-bye
MOST_HEAD = 64 * 1024
BEGINNING = 2000  # lines of a letter that is too large, by POP3
SILENT = timedelta(hours=1)
# Where mail servers note for whom a letter came; what its sender wrote comes last.
RECIPIENTS = ("Delivered-To", "X-Original-To", "Envelope-To", "X-Envelope-To", "To", "Cc")
ADDRESS = re.compile(r"[^\s<>,;:\"]{1,64}@[^\s<>,;:\"]{1,255}")
MOST_ADDRESSES = 50
# Theirs would end the session, and again the next time: POP3's 2,048 bytes at a letter with one
# long line, IMAP's million at the one line that names 140,000 letters.
poplib._MAXLINE = imaplib._MAXLINE = MOST_BYTES  # type: ignore[attr-defined]


class MailboxTrouble(Exception):
    """The mailbox cannot be read. The message says why, without a secret."""


class MailboxBusy(MailboxTrouble):
    """Somebody else reads it at this moment; POP3 lets in one at a time."""


class Letter(StrEnum):
    """What a letter was."""

    REPORT = "report"  # of one of our mails, or a wish to leave
    DOMAIN = "report of our domain"  # DMARC, TLS
    OTHER = "other"
    BROKEN = "broken"  # we stumbled over it; the log says how


class Session(Protocol):
    """A mailbox that is open. Letters are named by its protocol."""

    has_stars: bool

    def names(self) -> list[str]: ...
    def letter(self, name: str) -> bytes | None: ...
    def delete(self, name: str) -> None: ...
    def star(self, name: str) -> None: ...
    def close(self) -> None: ...


def configured() -> BounceMailbox | None:
    return bounce_mailbox("BOUNCE_MAILBOX_URL", settings.BOUNCE_MAILBOX_URL)


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


# -- letters -----------------------------------------------------------------------------


def read_all(server: BounceMailbox) -> Iterator[Letter]:
    """Handle letter after letter. Raises MailboxTrouble, whatever the libraries raise."""
    end = time.monotonic() + MOST_SECONDS
    try:
        # Closed in any case: POP3 deletes what was handled only then.
        with closing(opened(server)) as session:
            for name in session.names()[:MOST_LETTERS]:
                if time.monotonic() > end:
                    return
                if (raw := session.letter(name)) is None:
                    continue
                letter = handle(raw)
                stays = {Letter.BROKEN} | ({Letter.OTHER} if session.has_stars else set())
                (session.star if letter in stays else session.delete)(name)
                yield letter
    except (OperationalError, InterfaceError) as error:
        raise MailboxTrouble("the database does not answer") from error
    except ssl.SSLCertVerificationError as error:
        raise MailboxTrouble(f"its certificate: {error.verify_message}") from None
    except (
        imaplib.IMAP4.error,
        poplib.error_proto,
        OSError,
        EOFError,
        ValueError,
    ) as error:
        raise MailboxTrouble(said(error, server)) from None


def handle(raw: bytes) -> Letter:
    """Take in one letter. Raises the database's errors if that does not answer."""
    try:
        return take(raw, now=timezone.now())
    except (OperationalError, InterfaceError):
        raise
    except Exception:  # one letter must not stop those behind it
        logger.exception("a letter in the bounce mailbox cannot be handled")
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


def said(error: Exception, server: BounceMailbox) -> str:
    """Return a library's or server's words in one line, without user and password."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, UnicodeError):  # its words repeat a letter of the password
        return "it takes no user or password with letters beyond ASCII"
    given = error.args[0] if error.args else ""
    words = given.decode(errors="replace") if isinstance(given, bytes) else str(error)
    for secret in (f"\0{server.user}\0{server.password}", server.password, server.user):
        raw = secret.encode()
        for shape in (secret, repr(secret)[1:-1], repr(raw)[2:-1], b64encode(raw).decode()):
            words = words.replace(shape, "***")
    return scrub(" ".join(words.split()) or type(error).__name__)[:200]


# -- sessions ----------------------------------------------------------------------------


def opened(server: BounceMailbox) -> Session:
    """Log in; return the open mailbox. Certificates are verified."""
    return Imap(server) if server.protocol == "imap" else Pop3(server)


class Imap:
    """A folder by IMAP (RFC 9051), with letters named by their UIDs."""

    has_stars = True

    def __init__(self, server: BounceMailbox) -> None:
        context = ssl.create_default_context()
        where = server.host, server.port
        if server.tls is Tls.IMPLICIT:
            self.imap: imaplib.IMAP4 = imaplib.IMAP4_SSL(
                *where, ssl_context=context, timeout=TIMEOUT
            )
        else:
            self.imap = imaplib.IMAP4(*where, timeout=TIMEOUT)
        try:
            if server.tls is Tls.STARTTLS:
                self.imap.starttls(context)
            self.log_in(server)
            answer, told = self.imap.select(f'"{server.folder}"')
            if answer != "OK":
                raise MailboxTrouble(said(OSError(f"the folder: {told[0]!r}"), server))
        except BaseException:
            with suppress(OSError):
                self.imap.shutdown()
            raise

    def log_in(self, server: BounceMailbox) -> None:
        """Use SASL where it is offered (RFC 4616): LOGIN knows no letters beyond ASCII."""
        if "AUTH=PLAIN" in self.imap.capabilities:
            told = f"\0{server.user}\0{server.password}".encode()
            self.imap.authenticate("PLAIN", lambda _: told)
        else:
            user = re.sub(r'(["\\])', r"\\\1", server.user)
            self.imap.login(f'"{user}"', server.password)

    def names(self) -> list[str]:
        return (
            b" ".join(filter(None, self.ask("SEARCH", "UNDELETED", "UNFLAGGED")))
            .decode()
            .split()
        )

    def letter(self, name: str) -> bytes | None:
        """Return a letter without marking it as read; None if it is gone."""
        found = self.ask("FETCH", name, f"(BODY.PEEK[]<0.{MOST_BYTES}>)")
        return next((one[1] for one in found if isinstance(one, tuple)), None)

    def delete(self, name: str) -> None:
        self.ask("STORE", name, "+FLAGS.SILENT", r"(\Deleted)")

    def star(self, name: str) -> None:
        self.ask("STORE", name, "+FLAGS.SILENT", r"(\Flagged)")

    def ask(self, command: str, *arguments: str) -> list[Any]:
        """Return the answer; imaplib itself raises no error for a plain NO."""
        answer, found = self.imap.uid(command, *arguments)
        if answer != "OK":
            raise imaplib.IMAP4.error(f"{command}: {found[0]!r}")
        return found

    def close(self) -> None:
        """End the session; the server then drops what is marked as deleted."""
        with suppress(imaplib.IMAP4.error, OSError):
            self.imap.sock.settimeout(LAST)
            self.imap.close()
        with suppress(imaplib.IMAP4.error, OSError):
            self.imap.logout()
        with suppress(OSError):  # where it is not shut yet
            self.imap.shutdown()


class Pop3:
    """A mailbox by POP3 (RFC 1939), with letters named by their numbers."""

    has_stars = False

    def __init__(self, server: BounceMailbox) -> None:
        context = ssl.create_default_context()
        where = server.host, server.port
        if server.tls is Tls.IMPLICIT:
            self.pop: poplib.POP3 = poplib.POP3_SSL(
                *where, timeout=TIMEOUT, context=context
            )
        else:
            self.pop = poplib.POP3(*where, timeout=TIMEOUT)
        try:
            if server.tls is Tls.STARTTLS:
                self.pop.stls(context)
            self.log_in(server)
        except BaseException:
            with suppress(OSError):
                self.pop.close()
            raise

    def log_in(self, server: BounceMailbox) -> None:
        self.pop.user(server.user)
        try:
            self.pop.pass_(server.password)
        except poplib.error_proto as error:
            if "[IN-USE]" in str(error):  # RFC 2449 section 8.1.2
                raise MailboxBusy("somebody else reads it at this moment") from None
            raise

    def names(self) -> list[str]:
        _, lines, _ = self.pop.list()
        self.sizes = dict(line.decode().split()[:2] for line in lines)
        return list(self.sizes)

    def letter(self, name: str) -> bytes:
        is_large = int(self.sizes[name]) > MOST_BYTES
        _, lines, _ = self.pop.top(name, BEGINNING) if is_large else self.pop.retr(name)
        return b"\r\n".join(lines)[:MOST_BYTES]

    def delete(self, name: str) -> None:
        self.pop.dele(name)

    def star(self, name: str) -> None:
        """Leave the letter: it is read again by the next run."""

    def close(self) -> None:
        """End the session; only then the server deletes."""
        with suppress(poplib.error_proto, OSError):
            self.pop.sock.settimeout(LAST)
            self.pop.quit()
        with suppress(OSError):  # where it is not closed yet
            self.pop.close()
