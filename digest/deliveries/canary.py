"""The canary: what all mails of an edition share is composed and read before any goes out.

A fault in it would refuse every reader's mail, one by one, or show readers what was never
meant for them. So the first plan of an edition looks at whole mails, and each sender
composes them before its first.
"""

import email
import email.policy
import logging
import re
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from email.headerregistry import HeaderRegistry
from email.message import EmailMessage
from functools import lru_cache
from typing import NamedTuple

from django.db import Error

from digest.deliveries import alarms, control
from digest.deliveries.digests import Ready, load
from digest.editions import bodies
from digest.editions.bodies import Letter
from digest.editions.compose import MOST_BYTES, MOST_HTML, MOST_PICKS, Pick, Reader
from digest.models import Edition

logger = logging.getLogger(__name__)

ANY_INSTANT = datetime(2026, 1, 1, tzinfo=UTC)
# Headers as they stand: their parsers cost more than the rest.
RAW_HEADERS = email.policy.default.clone(
    header_factory=HeaderRegistry(use_default_map=False)
)
NO_BREAK = 998  # octets of a line, RFC 5322 section 2.1.1
# Two openings of parts and the end; every other such line would be a fourth for some parser.
DELIMITERS = 3
DELIMITER = re.compile(rb"^--", re.MULTILINE)


class Unsound(Exception):
    """A mail of the edition must not go out; the message says why."""


def hold_if_unsound(edition: Edition) -> bool:
    """Compose and read every block in every language; pause the edition if one fails."""
    try:
        for trial in mails(load(edition.pk)):
            read(trial, whole=trial.position % MOST_PICKS == 0)
    except Error:
        raise
    except Exception as error:  # whatever it is, every reader's mail would have it
        reason = str(error) if isinstance(error, Unsound) else type(error).__name__
        logger.exception("the canary of %s", edition)
        if paused := control.pause(edition, f"canary: {reason}"):
            alarms.page(f"{edition} is paused: its mails are not sound ({reason})")
        return paused
    return False


@lru_cache(maxsize=8)
def composed(edition_id: int) -> Ready:
    """The edition, loaded once per process and composed once for nobody.

    Raises what composing raises: before the first intent, not once for every reader.
    """
    ready = load(edition_id)
    for _ in mails(ready):
        pass
    return ready


class Trial(NamedTuple):
    """A mail for nobody, and what a reader should see in it."""

    position: int  # of its first block
    reader: Reader
    mail: bytes
    meant: Letter


def mails(ready: Ready) -> Iterator[Trial]:
    """Mails for nobody, in every language: each block is the first of one.

    Address and token are random: no paper can hold them.
    """
    encoded = ready.encoded
    token = secrets.token_urlsafe(16)
    address = f"canary-{secrets.token_hex(8)}@daily-papers.example"
    picks = [Pick(position, None) for position in range(len(encoded.titles))]
    for language in encoded.tongues:
        reader = Reader(0, address, token, language)
        for position in range(len(picks)):
            some = (picks[position:] + picks[:position])[:MOST_PICKS]
            mail = encoded.compose(reader, some, sent_at=ANY_INSTANT)
            meant = bodies.letter(encoded, reader, some, sent_at=ANY_INSTANT)
            yield Trial(position, reader, mail, meant)


def read(trial: Trial, *, whole: bool = True) -> None:
    """Raise Unsound unless a mail program sees what was meant, and the way out.

    Not `whole`: the headers only, as its blocks are read in other mails.
    """
    mail = trial.mail
    if len(mail) > MOST_BYTES:
        raise Unsound(f"a mail has {len(mail)} bytes")
    whole = whole or len(mail) > MOST_HTML
    text = mail if whole else mail.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    if any(len(line) > NO_BREAK or b"\n" in line for line in text.split(b"\r\n")):
        raise Unsound("a line is too long or ends without CRLF")
    policy = email.policy.default if whole else RAW_HEADERS
    message = email.message_from_bytes(text, policy=policy)
    read_headers(message, trial)
    if whole:
        read_parts(message, trial)


def read_headers(message: EmailMessage, trial: Trial) -> None:
    """Raise Unsound unless each header is there once, and they are the reader's."""
    names = [*trial.meant.own, *trial.meant.shared]
    way_out = f"/u/{trial.reader.token}>"
    if (
        sorted(message.keys()) != sorted(names)
        or message["To"] != trial.reader.address
        or not str(message["List-Unsubscribe"]).endswith(way_out)
    ):
        raise Unsound("the headers are not the reader's")


def read_parts(message: EmailMessage, trial: Trial) -> None:
    """Raise Unsound unless the mail is the two parts that were meant, and nothing else."""
    if len(DELIMITER.findall(trial.mail)) != DELIMITERS:
        raise Unsound("a line of text could be taken for the border of a part")
    parts = list(message.iter_parts()) if message.is_multipart() else []
    if [part.get_content_type() for part in parts] != ["text/plain", "text/html"]:
        raise Unsound("the mail is not a text part and an html part")
    if message.defects or message.preamble or message.epilogue:
        raise Unsound("something stands before, between or after the parts")
    meant = [trial.meant.text, trial.meant.html]
    for part, pieces in zip(parts, meant, strict=True):
        name = part.get_content_subtype()
        if part.defects:
            raise Unsound(f"the {name} part cannot be read")
        seen = part.get_content().replace("\r\n", "\n")
        if seen != bodies.as_text(pieces):
            raise Unsound(f"the {name} part is not what was meant")
        if f"/u/{trial.reader.token}" not in seen:
            raise Unsound(f"the {name} part has no way out")
        if name == "html" and len(part.as_bytes()) > MOST_HTML:
            raise Unsound("the html part is too big")
