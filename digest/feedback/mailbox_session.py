"""A mailbox by IMAP or POP3, as far as letters are read, starred and deleted.

Whatever imaplib, poplib and the server raise or say becomes MailboxTrouble, in one line and
without user and password. Certificates are verified.
"""

import imaplib
import poplib
import re
import ssl
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any, Protocol

from digest.endpoints import BounceMailbox, Tls
from digest.logs import scrub

MOST_BYTES = 5 * 1024 * 1024  # of a letter; of a larger one only its beginning
BEGINNING = 2000  # lines of a letter that is too large, by POP3
TIMEOUT, LAST = 30.0, 5.0  # seconds for one answer, and for one to a good-bye
# Theirs would end the session, and again the next time: POP3's 2,048 bytes at a letter with one
# long line, IMAP's million at the one line that names 140,000 letters.
poplib._MAXLINE = imaplib._MAXLINE = MOST_BYTES  # type: ignore[attr-defined]


class MailboxTrouble(Exception):
    """The mailbox cannot be read. The message says why, without a secret."""


class MailboxBusy(MailboxTrouble):
    """Somebody else reads it at this moment; POP3 lets in one at a time."""


class Session(Protocol):
    """A mailbox that is open. Letters are named by its protocol."""

    has_stars: bool

    def log_in(self, server: BounceMailbox) -> None: ...
    def names(self) -> list[str]: ...
    def letter(self, name: str) -> bytes | None: ...
    def delete(self, name: str) -> None: ...
    def star(self, name: str) -> None: ...
    def close(self) -> None: ...


@contextmanager
def session(server: BounceMailbox) -> Iterator[Session]:
    """Log in and yield the open mailbox. Raises MailboxTrouble."""
    try:
        # Closed in any case: POP3 deletes what was handled only then.
        with closing((Imap if server.protocol == "imap" else Pop3)(server)) as mailbox:
            mailbox.log_in(server)
            yield mailbox
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


class Imap:
    """A folder by IMAP (RFC 9051), with letters named by their UIDs."""

    has_stars = True

    def __init__(self, server: BounceMailbox) -> None:
        self.context, where = ssl.create_default_context(), (server.host, server.port)
        self.imap = (
            imaplib.IMAP4_SSL(*where, ssl_context=self.context, timeout=TIMEOUT)
            if server.tls is Tls.IMPLICIT
            else imaplib.IMAP4(*where, timeout=TIMEOUT)
        )

    def log_in(self, server: BounceMailbox) -> None:
        if server.tls is Tls.STARTTLS:
            self.imap.starttls(self.context)
        # SASL where it is offered (RFC 4616): LOGIN knows no letters beyond ASCII.
        if "AUTH=PLAIN" in self.imap.capabilities:
            secret = f"\0{server.user}\0{server.password}".encode()
            self.imap.authenticate("PLAIN", lambda _: secret)
        else:
            user = re.sub(r'(["\\])', r"\\\1", server.user)
            self.imap.login(f'"{user}"', server.password)
        answer, told = self.imap.select(f'"{server.folder}"')
        if answer != "OK":
            raise imaplib.IMAP4.error(f"the folder: {told[0]!r}")

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
        self.context, where = ssl.create_default_context(), (server.host, server.port)
        self.pop = (
            poplib.POP3_SSL(*where, timeout=TIMEOUT, context=self.context)
            if server.tls is Tls.IMPLICIT
            else poplib.POP3(*where, timeout=TIMEOUT)
        )

    def log_in(self, server: BounceMailbox) -> None:
        if server.tls is Tls.STARTTLS:
            self.pop.stls(self.context)
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
