"""Parse the URL of the mailbox into which bounces come: see feedback/mailbox_session.py.

As the other URLs in the variables (endpoints.py): one line if it is wrong, without a secret.
"""

import re
from dataclasses import dataclass, field
from functools import lru_cache

from django.core.exceptions import ImproperlyConfigured

from digest.endpoints import SmtpServer, Tls, split


@dataclass(frozen=True)
class BounceMailbox:
    """A mailbox that is read for what comes back; `folder` is IMAP's."""

    protocol: str  # imap or pop3
    host: str
    port: int
    tls: Tls
    user: str
    password: str = field(repr=False)
    folder: str = "INBOX"


MAILBOX_PORTS = {"imap": 143, "imaps": 993, "pop3": 110, "pop3s": 995}
FOLDER = re.compile(r"[\x20-\x7e]{1,200}", re.ASCII)  # IMAP quotes it


@lru_cache(maxsize=8)
def bounce_mailbox(name: str, url: str) -> BounceMailbox | None:
    """Parse a mailbox's URL; None for an empty one. Raises ImproperlyConfigured."""
    if not url:
        return None
    like = "imaps://user:password@host/INBOX or pop3s://user:password@host."
    address = split(name, url, like=like, schemes=MAILBOX_PORTS, options={"tls"})
    folder = address.path.strip("/")
    implicit = address.scheme.endswith("s")
    protocol = address.scheme.removesuffix("s")
    if not (address.user and address.password) or (folder and protocol != "imap"):
        raise ImproperlyConfigured(f"{name} must be like {like}")
    if folder and (not FOLDER.fullmatch(folder) or set(folder) & set('"\\*%')):
        raise ImproperlyConfigured(f"{name} has a folder whose name is not plain ASCII.")
    if "tls" in address.options and (implicit or address.options["tls"] != "starttls"):
        raise ImproperlyConfigured(
            f"{name}: tls must be starttls, and works with imap:// and pop3:// only."
        )
    tls = Tls.IMPLICIT if implicit else Tls(address.options.get("tls", "none"))
    if SmtpServer(address.host, 0, tls).in_clear_text:
        raise ImproperlyConfigured(
            f"{name} would send its password in clear text: use {protocol}s://, or add "
            "?tls=starttls."
        )
    port = address.port or MAILBOX_PORTS[address.scheme]
    return BounceMailbox(
        protocol, address.host, port, tls, address.user, address.password, folder or "INBOX"
    )
